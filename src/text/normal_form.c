#include <stdlib.h>

#include "base/grow.h"
#include "text/steps.h"
#include "text/unicode_data.h"

// Unicode normalisation (UAX #15) with the origin of each character, which libraries do not report. Its
// tables are those of the package `tokenizers` (text/unicode_data.h), which do not match any single version
// of Unicode.

enum { SHORT_RUN = 32 }; // marks; a run up to this length is sorted by insertion

// Hangul syllables are composed of two or three letters by arithmetic (the Unicode Standard, 3.12).
enum {
    SYLLABLE = 0xAC00,
    LEADING = 0x1100,
    VOWEL = 0x1161,
    TRAILING = 0x11A7, // index 0 means no trailing letter
    LEADING_COUNT = 19,
    VOWEL_COUNT = 21,
    TRAILING_COUNT = 28,
    SYLLABLE_COUNT = LEADING_COUNT * VOWEL_COUNT * TRAILING_COUNT,
};

enum { FIRST_CHANGED = 0xA0 }; // no earlier character has another form or is a mark

// A character of the output. `change` gives its origin: 0: it replaces the next character of the input; -n:
// it replaces that character and the n after it; 1: it is added after the previous character.
struct mapped {
    int32_t code_point;
    int change;
    int combining_class;
};

struct mapped_list {
    struct mapped *items; // [count]
    size_t count;
    size_t capacity;
};

// The rank of the combining class, used for comparisons only; 0: a starter.
static int combining_class(int32_t code_point)
{
    return code_point < FIRST_CHANGED ? 0 : (int)loam_runs_value(&loam_unicode_combining, code_point);
}

static enum loam_status append(struct mapped_list *list, struct mapped item, struct loam_error *error)
{
    if (list->count == list->capacity) {
        struct mapped *grown = loam_grow(list->items, &list->capacity, list->count + 1, sizeof *grown, error);
        if (grown == NULL) return LOAM_ERROR_MEMORY;
        list->items = grown;
    }
    list->items[list->count++] = item;
    return LOAM_OK;
}

static int compare_decomposition(const void *key, const void *decomposition)
{
    int32_t code_point = *(const int32_t *)key;
    int32_t other = ((const struct loam_decomposition *)decomposition)->code_point;
    return (code_point > other) - (code_point < other);
}

static const struct loam_decomposition *find_decomposition(const struct loam_decompositions *table,
                                                           int32_t code_point)
{
    return bsearch(&code_point, table->items, table->count, sizeof *table->items, compare_decomposition);
}

static enum loam_status append_part(struct mapped_list *list, int32_t part, bool first,
                                    struct loam_error *error)
{
    return append(list, (struct mapped){part, first ? 0 : 1, combining_class(part)}, error);
}

static enum loam_status decompose_syllable(struct mapped_list *list, int32_t index, struct loam_error *error)
{
    LOAM_TRY(append_part(list, LEADING + index / (VOWEL_COUNT * TRAILING_COUNT), true, error));
    LOAM_TRY(append_part(list, VOWEL + index / TRAILING_COUNT % VOWEL_COUNT, false, error));
    int32_t trailing = index % TRAILING_COUNT;
    return trailing == 0 ? LOAM_OK : append_part(list, TRAILING + trailing, false, error);
}

static enum loam_status decompose_character(struct mapped_list *list, int32_t code_point, bool compatibility,
                                            struct loam_error *error)
{
    if (code_point < FIRST_CHANGED) return append_part(list, code_point, true, error);
    if (code_point >= SYLLABLE && code_point < SYLLABLE + SYLLABLE_COUNT)
        return decompose_syllable(list, code_point - SYLLABLE, error);
    const struct loam_decomposition *found = NULL;
    if (compatibility) found = find_decomposition(&loam_unicode_compatible, code_point);
    if (found == NULL) found = find_decomposition(&loam_unicode_canonical, code_point);
    if (found == NULL) return append_part(list, code_point, true, error);
    for (size_t i = 0; i < found->count; i++)
        LOAM_TRY(append_part(list, (int32_t)loam_unicode_parts[found->place + i], i == 0, error));
    return LOAM_OK;
}

// Sorts a run of marks by combining class and keeps the order within a class: by insertion if the run is
// short, as in ordinary text, else by counting.
static enum loam_status order_run(struct mapped *run, size_t count, struct loam_error *error)
{
    if (count <= SHORT_RUN) {
        for (size_t i = 1; i < count; i++) {
            struct mapped moved = run[i];
            size_t at = i;
            for (; at > 0 && run[at - 1].combining_class > moved.combining_class; at--)
                run[at] = run[at - 1];
            run[at] = moved;
        }
        return LOAM_OK;
    }
    size_t capacity = 0;
    struct mapped *sorted = loam_grow(NULL, &capacity, count, sizeof *sorted, error);
    if (sorted == NULL) return LOAM_ERROR_MEMORY;
    size_t places[257] = {0};
    for (size_t i = 0; i < count; i++)
        places[run[i].combining_class + 1]++;
    for (size_t i = 1; i < 257; i++)
        places[i] += places[i - 1];
    for (size_t i = 0; i < count; i++)
        sorted[places[run[i].combining_class]++] = run[i];
    for (size_t i = 0; i < count; i++)
        run[i] = sorted[i];
    free(sorted);
    return LOAM_OK;
}

static enum loam_status order_marks(struct mapped_list *list, struct loam_error *error)
{
    for (size_t start = 0; start < list->count;) {
        size_t end = start;
        while (end < list->count && list->items[end].combining_class != 0)
            end++;
        if (end - start > 1) LOAM_TRY(order_run(list->items + start, end - start, error));
        start = end + 1;
    }
    return LOAM_OK;
}

static int compare_composition(const void *key, const void *composition)
{
    const struct loam_composition *a = key;
    const struct loam_composition *b = composition;
    if (a->first != b->first) return a->first < b->first ? -1 : 1;
    return (a->second > b->second) - (a->second < b->second);
}

static bool in_range(int32_t value, int32_t start, int32_t count)
{
    return value >= start && value < start + count;
}

// The primary composite of two characters; -1: none.
static int32_t compose_pair(int32_t first, int32_t second)
{
    if (in_range(first, LEADING, LEADING_COUNT) && in_range(second, VOWEL, VOWEL_COUNT))
        return SYLLABLE + ((first - LEADING) * VOWEL_COUNT + second - VOWEL) * TRAILING_COUNT;
    bool open_syllable =
        in_range(first, SYLLABLE, SYLLABLE_COUNT) && (first - SYLLABLE) % TRAILING_COUNT == 0;
    if (open_syllable && in_range(second, TRAILING + 1, TRAILING_COUNT - 1)) return first + second - TRAILING;
    if (second < FIRST_CHANGED) return -1;
    const struct loam_composition key = {.first = first, .second = second};
    const struct loam_composition *found = bsearch(
        &key, loam_unicode_compositions, loam_unicode_composition_count, sizeof *found, compare_composition);
    return found == NULL ? -1 : found->composite;
}

// Composes in place: each starter combines with the marks after it that are not blocked.
static void compose(struct mapped_list *list)
{
    struct mapped *items = list->items;
    size_t kept = 0;
    size_t starter = SIZE_MAX; // index in items[0, kept); SIZE_MAX: none
    int last_class = -1;       // combining class of the last mark kept since the starter; -1: none
    for (size_t i = 0; i < list->count; i++) {
        struct mapped item = items[i];
        if (starter != SIZE_MAX && last_class < item.combining_class) {
            int32_t composite = compose_pair(items[starter].code_point, item.code_point);
            if (composite >= 0) {
                items[starter].code_point = composite;
                items[starter].change += item.change - 1;
                continue;
            }
        }
        if (item.combining_class == 0) {
            starter = kept;
            last_class = -1;
        } else {
            last_class = item.combining_class;
        }
        items[kept++] = item;
    }
    list->count = kept;
}

// Bytes of the next `count` characters of [at, end).
static size_t characters_size(const char *bytes, size_t at, size_t end, int count)
{
    size_t start = at;
    for (int i = 0; i < count && at < end; i++)
        at += loam_utf8_length(bytes[at]);
    return at - start;
}

// The origin of a character that is added at `at`: that of the byte before it, or an empty span at the start.
static struct loam_origin origin_after(const struct loam_source_text *text, size_t start, size_t at)
{
    if (at > start) return loam_source_origin(text, at - 1);
    uint32_t first = loam_source_origin(text, start).start;
    return (struct loam_origin){first, first};
}

static enum loam_status write_mapped(const struct mapped_list *list, struct loam_pieces *pieces, size_t start,
                                     size_t end, struct loam_error *error)
{
    const struct loam_source_text *text = &pieces->text;
    size_t at = start;
    for (size_t i = 0; i < list->count; i++) {
        struct mapped item = list->items[i];
        struct loam_origin origin;
        if (item.change > 0)
            origin = origin_after(text, start, at);
        else
            origin = loam_source_origin(text, at < end ? at : end - 1);
        if (item.change <= 0) at += characters_size(pieces->text.bytes, at, end, 1 - item.change);
        char bytes[LOAM_UTF8_MAX];
        LOAM_TRY(loam_pieces_put(pieces, bytes, loam_utf8_encode(item.code_point, bytes), origin, error));
    }
    return LOAM_OK;
}

static enum loam_status normalize(const struct loam_step *step, struct loam_pieces *pieces, size_t start,
                                  size_t end, struct mapped_list *list, struct loam_error *error)
{
    for (size_t at = start; at < end;) {
        size_t length;
        int32_t code_point = loam_utf8_decode(pieces->text.bytes + at, &length);
        LOAM_TRY(decompose_character(list, code_point, step->compatibility, error));
        at += length;
    }
    LOAM_TRY(order_marks(list, error));
    if (step->compose) compose(list);
    return write_mapped(list, pieces, start, end, error);
}

enum loam_status loam_rewrite_normal_form(const struct loam_step *step, struct loam_pieces *pieces,
                                          size_t start, size_t end, struct loam_matcher *matcher,
                                          struct loam_error *error)
{
    (void)matcher;
    size_t ascii = start;
    while (ascii < end && (unsigned char)pieces->text.bytes[ascii] < 0x80)
        ascii++;
    if (ascii == end) return loam_pieces_copy(pieces, start, end, error);
    struct mapped_list list = {0};
    enum loam_status status = normalize(step, pieces, start, end, &list, error);
    free(list.items);
    return status;
}
