#include "text/char_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "text/unicode_data.h"

void loam_char_set_deinit(struct loam_char_set *set)
{
    free(set->spans);
    *set = (struct loam_char_set){0};
}

static int compare_spans(const void *a, const void *b)
{
    uint32_t x = ((const struct loam_span *)a)->first;
    uint32_t y = ((const struct loam_span *)b)->first;
    return (x > y) - (x < y);
}

void loam_char_set_tidy(struct loam_char_set *set)
{
    if (set->count == 0) return;
    qsort(set->spans, set->count, sizeof *set->spans, compare_spans);
    size_t last = 0;
    for (size_t i = 1; i < set->count; i++) {
        struct loam_span span = set->spans[i];
        if (span.first > set->spans[last].end)
            set->spans[++last] = span;
        else if (span.end > set->spans[last].end)
            set->spans[last].end = span.end;
    }
    set->count = last + 1;
}

enum loam_status loam_char_set_add(struct loam_char_set *set, uint32_t first, uint32_t end,
                                   struct loam_error *error)
{
    if (first >= end) return LOAM_OK;
    if (set->count == set->capacity) {
        // Tidying before growing bounds the memory of a class that repeats the same characters.
        loam_char_set_tidy(set);
        if (set->count >= set->capacity / 2) {
            struct loam_span *grown =
                loam_grow(set->spans, &set->capacity, set->capacity + 1, sizeof *grown, error);
            if (grown == NULL) return LOAM_ERROR_MEMORY;
            set->spans = grown;
        }
    }
    set->spans[set->count++] = (struct loam_span){first, end};
    return LOAM_OK;
}

bool loam_char_set_has(const struct loam_char_set *tidy, uint32_t code_point)
{
    size_t low = 0;
    size_t high = tidy->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (code_point >= tidy->spans[middle].end)
            low = middle + 1;
        else
            high = middle;
    }
    return low < tidy->count && code_point >= tidy->spans[low].first;
}

// Adds the code points that are not in a tidy set.
static enum loam_status add_gaps(struct loam_char_set *set, const struct loam_char_set *tidy,
                                 struct loam_error *error)
{
    uint32_t at = 0;
    for (size_t i = 0; i < tidy->count; i++) {
        LOAM_TRY(loam_char_set_add(set, at, tidy->spans[i].first, error));
        at = tidy->spans[i].end;
    }
    return loam_char_set_add(set, at, LOAM_CODE_POINTS, error);
}

enum loam_status loam_char_set_invert(struct loam_char_set *set, struct loam_error *error)
{
    struct loam_char_set inverse = {0};
    loam_char_set_tidy(set);
    enum loam_status status = add_gaps(&inverse, set, error);
    loam_char_set_deinit(set);
    *set = inverse;
    return status;
}

enum loam_status loam_char_set_unite(struct loam_char_set *set, const struct loam_char_set *other,
                                     struct loam_error *error)
{
    for (size_t i = 0; i < other->count; i++)
        LOAM_TRY(loam_char_set_add(set, other->spans[i].first, other->spans[i].end, error));
    loam_char_set_tidy(set);
    return LOAM_OK;
}

// A and B = not (not A or not B).
enum loam_status loam_char_set_intersect(struct loam_char_set *set, struct loam_char_set *other,
                                         struct loam_error *error)
{
    LOAM_TRY(loam_char_set_invert(set, error));
    LOAM_TRY(loam_char_set_invert(other, error));
    LOAM_TRY(loam_char_set_unite(set, other, error));
    return loam_char_set_invert(set, error);
}

// ---- Properties ----

enum { LONGEST_NAME = 80 };

// Gives the name in the form of the table. False: the name is too long or not ASCII.
static bool simplify_name(const char *name, size_t size, char plain[LONGEST_NAME])
{
    size_t length = 0;
    for (size_t i = 0; i < size; i++) {
        char c = name[i];
        if (c == ' ' || c == '-' || c == '_') continue;
        if (c <= 0 || length + 1 == LONGEST_NAME) return false;
        plain[length++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    plain[length] = '\0';
    return true;
}

static int compare_name(const void *key, const void *property)
{
    return strcmp(key, ((const struct loam_unicode_property *)property)->name);
}

static enum loam_status add_runs(struct loam_char_set *set, const struct loam_runs *runs, uint32_t values,
                                 uint32_t value, struct loam_error *error)
{
    for (size_t i = 0; i < runs->count; i++) {
        uint32_t has = runs->items[i] % LOAM_RUN_VALUES;
        uint32_t end = i + 1 < runs->count ? runs->items[i + 1] >> LOAM_RUN_VALUE_BITS : LOAM_CODE_POINTS;
        bool wanted = values != 0 ? (values >> has & 1) != 0 : has == value;
        if (wanted) LOAM_TRY(loam_char_set_add(set, runs->items[i] >> LOAM_RUN_VALUE_BITS, end, error));
    }
    return LOAM_OK;
}

enum loam_status loam_char_set_add_property(struct loam_char_set *set, const char *name, size_t size,
                                            bool *known, struct loam_error *error)
{
    char plain[LONGEST_NAME];
    const struct loam_unicode_property *property = NULL;
    if (simplify_name(name, size, plain))
        property = bsearch(plain, loam_unicode_properties, loam_unicode_property_count, sizeof *property,
                           compare_name);
    *known = property != NULL;
    if (property == NULL) return LOAM_OK;
    if (property->categories != 0)
        LOAM_TRY(add_runs(set, &loam_unicode_categories, property->categories, 0, error));
    if (property->runs == NULL) return LOAM_OK;
    return add_runs(set, property->runs, 0, property->value, error);
}

// ---- Case ----

enum loam_status loam_char_set_ignore_case(struct loam_char_set *set, struct loam_error *error)
{
    loam_char_set_tidy(set);
    struct loam_char_set others = {0};
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; i < loam_unicode_case_pair_count && status == LOAM_OK; i++) {
        uint32_t first = (uint32_t)loam_unicode_case_pairs[i].first;
        uint32_t second = (uint32_t)loam_unicode_case_pairs[i].second;
        bool has_first = loam_char_set_has(set, first);
        if (has_first == loam_char_set_has(set, second)) continue;
        uint32_t other = has_first ? second : first;
        status = loam_char_set_add(&others, other, other + 1, error);
    }
    if (status == LOAM_OK) status = loam_char_set_unite(set, &others, error);
    loam_char_set_deinit(&others);
    return status;
}
