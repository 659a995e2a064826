#include "options/option_values.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/grow.h"
#include "base/heap.h"
#include "options/nearest.h"
#include "options/size.h"

bool loam_option_takes(const struct loam_option_info *info, const char *word)
{
    size_t size = strlen(word);
    for (const char *at = info->argument; at != NULL; at = strchr(at, '|')) {
        at += *at == '|';
        if (strncmp(at, word, size) == 0 && strchr("|[", at[size]) != NULL) return true; // or at the end
    }
    return false;
}

static enum loam_status fail_value(const struct loam_option_row *row, const char *value, const char *expected,
                                   struct loam_error *error)
{
    if (row->info.positional)
        return loam_fail(error, LOAM_ERROR_USAGE, "\"%s\": expected %s", value, expected);
    return loam_fail(error, LOAM_ERROR_USAGE, "--%s %s: expected %s", row->info.name, value, expected);
}

// Whether a number is in an interval of the table, such as "[0,1)". Intervals of the table are well-formed.
static bool is_within(const char *range, double number)
{
    char *end;
    double low = strtod(range + 1, &end);
    double high = strtod(end + 1, &end);
    bool above = range[0] == '[' ? number >= low : number > low;
    bool below = *end == ']' ? number <= high : number < high;
    return above && below;
}

static enum loam_status check_range(const struct loam_option_row *row, const char *text, double number,
                                    struct loam_error *error)
{
    if (row->range == NULL) return LOAM_OK;
    if (!is_within(row->range, number))
        return loam_fail(error, LOAM_ERROR_USAGE, "--%s %s: expected a value in the interval %s",
                         row->info.name, text, row->range);
    if (!row->single || is_within(row->range, (double)(float)number)) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_USAGE,
                     "--%s %s: it is rounded to %g; expected a value in the interval %s in single precision",
                     row->info.name, text, (double)(float)number, row->range);
}

static enum loam_status set_whole(const struct loam_option_row *row, void *field, const char *text,
                                  struct loam_error *error)
{
    char *end;
    errno = 0;
    int64_t number = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0) return fail_value(row, text, "a whole number", error);
    LOAM_TRY(check_range(row, text, (double)number, error));
    if (row->type == LOAM_OPTION_INT64) {
        *(int64_t *)field = number;
        return LOAM_OK;
    }
    if (number < INT32_MIN || number > INT32_MAX) return fail_value(row, text, "a 32-bit number", error);
    *(int *)field = (int)number;
    return LOAM_OK;
}

// "6G", "6gb", "6GiB" and the like, with units that are powers of 1024. "none" gives INT64_MAX.
static enum loam_status set_bytes(const struct loam_option_row *row, int64_t *field, const char *text,
                                  struct loam_error *error)
{
    static const char expected[] = "a size such as 512M, 6G or 1.5GiB, or none";
    static const char units[] = "KMGT";
    const char *end = text;
    double bytes;
    *field = INT64_MAX;
    if (strcmp(text, "none") == 0) return LOAM_OK;
    if (!loam_size_read_number(&bytes, &end)) return fail_value(row, text, expected, error);
    const char *unit = *end != '\0' ? strchr(units, toupper((unsigned char)*end)) : NULL;
    if (unit != NULL) {
        bytes = ldexp(bytes, 10 * (int)(unit - units + 1));
        end++;
    }
    const bool binary = strcasecmp(end, "i") == 0 || strcasecmp(end, "iB") == 0;
    if (*end != '\0' && strcasecmp(end, "B") != 0 && (unit == NULL || !binary))
        return fail_value(row, text, expected, error);
    if (!(bytes >= 1 && bytes < ldexp(1, 62))) return fail_value(row, text, expected, error);
    *field = (int64_t)bytes;
    return LOAM_OK;
}

// "layers=8"; "none" gives 0, "auto" gives -1.
static enum loam_status set_layers(const struct loam_option_row *row, int64_t *field, const char *text,
                                   struct loam_error *error)
{
    char *end = NULL;
    const bool counted = strncmp(text, "layers=", 7) == 0 && text[7] >= '0' && text[7] <= '9';
    errno = 0;
    *field = counted ? strtoll(text + 7, &end, 10) : strcmp(text, "auto") == 0 ? -1 : 0;
    const bool whole = counted && *end == '\0' && errno == 0;
    return whole || *field < 0 || strcmp(text, "none") == 0
               ? LOAM_OK
               : fail_value(row, text, row->info.argument, error);
}

static enum loam_status set_seed(const struct loam_option_row *row, uint64_t *field, const char *text,
                                 struct loam_error *error)
{
    char *end;
    errno = 0;
    *field = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || strchr(text, '-') != NULL)
        return fail_value(row, text, "a whole number from 0 to 18446744073709551615", error);
    return LOAM_OK;
}

static enum loam_status set_double(const struct loam_option_row *row, double *field, const char *text,
                                   struct loam_error *error)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(number)) return fail_value(row, text, "a number", error);
    *field = number;
    return check_range(row, text, number, error);
}

static enum loam_status fail_choice(const struct loam_option_row *row, const char *text,
                                    struct loam_error *error)
{
    struct loam_nearest nearest;
    loam_nearest_init(&nearest, text);
    for (const struct loam_choice *choice = row->choices; choice->name != NULL; choice++)
        loam_nearest_offer(&nearest, choice->name);
    if (nearest.best == NULL) return fail_value(row, text, row->info.argument, error);
    char expected[160];
    snprintf(expected, sizeof expected, "%s; did you mean %s?", row->info.argument, nearest.best);
    return fail_value(row, text, expected, error);
}

// The choice of that name; NULL: none.
static const struct loam_choice *find_choice(const struct loam_option_row *row, const char *text)
{
    for (const struct loam_choice *choice = row->choices; choice->name != NULL; choice++)
        if (strcmp(text, choice->name) == 0) return choice;
    return NULL;
}

static enum loam_status set_choice(const struct loam_option_row *row, void *field, const char *text,
                                   struct loam_error *error)
{
    const struct loam_choice *choice = find_choice(row, text);
    if (choice == NULL) return fail_choice(row, text, error);
    if (row->type == LOAM_OPTION_BOOL)
        *(bool *)field = choice->value != 0;
    else
        *(unsigned *)field = (unsigned)choice->value;
    return LOAM_OK;
}

static enum loam_status check_text(const struct loam_option_row *row, const char *text,
                                   struct loam_error *error)
{
    if (row->check == NULL || row->check(text, error) == LOAM_OK) return LOAM_OK;
    if (error->status != LOAM_ERROR_MEMORY) error->status = LOAM_ERROR_USAGE; // the command line is wrong
    return error->status;
}

// ---- Lists ----

static enum loam_status add_field(struct loam_field_list *list, const struct loam_option_row *row,
                                  const char *text, struct loam_error *error)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) return fail_value(row, text, row->info.argument, error);
    size_t name_size = (size_t)(equals - text);
    for (size_t i = 0; i < list->count; i++) {
        const char *other = list->items[i].name;
        if (strlen(other) == name_size && memcmp(other, text, name_size) == 0)
            return loam_fail(error, LOAM_ERROR_USAGE, "--%s %s is given twice", row->info.name, other);
    }
    struct loam_field *items = loam_grow(list->items, &list->capacity, list->count + 1, sizeof *items, error);
    if (items == NULL) return LOAM_ERROR_MEMORY;
    list->items = items;
    char *name = loam_strndup(text, name_size, error);
    char *value = name == NULL ? NULL : loam_strdup(equals + 1, error);
    if (value == NULL) {
        free(name);
        return LOAM_ERROR_MEMORY;
    }
    items[list->count++] = (struct loam_field){name, value, strlen(value)};
    return LOAM_OK;
}

bool loam_option_is_list(const struct loam_option_row *row)
{
    return row->type == LOAM_OPTION_LIST || row->type == LOAM_OPTION_FIELDS;
}

void loam_option_release(void *settings, const struct loam_option_row *row)
{
    void *field = (char *)settings + row->offset;
    if (row->type == LOAM_OPTION_LIST) {
        loam_text_list_deinit(field);
    } else if (row->type == LOAM_OPTION_FIELDS) {
        struct loam_field_list *list = field;
        for (size_t i = 0; i < list->count; i++) {
            free((char *)list->items[i].name);
            free((char *)list->items[i].value);
        }
        free(list->items);
        *list = (struct loam_field_list){0};
    }
}

size_t loam_option_item_count(const void *settings, const struct loam_option_row *row)
{
    const void *field = (const char *)settings + row->offset;
    if (row->type == LOAM_OPTION_LIST) return ((const struct loam_text_list *)field)->count;
    return row->type == LOAM_OPTION_FIELDS ? ((const struct loam_field_list *)field)->count : 0;
}

enum loam_status loam_option_append_item(const void *settings, const struct loam_option_row *row,
                                         size_t index, struct loam_bytes *out, struct loam_error *error)
{
    const void *field = (const char *)settings + row->offset;
    if (row->type == LOAM_OPTION_LIST)
        return loam_bytes_append_text(out, ((const struct loam_text_list *)field)->items[index], error);
    const struct loam_field *item = &((const struct loam_field_list *)field)->items[index];
    return loam_bytes_format(out, error, "%s=%s", item->name, item->value);
}

// ---- All types ----

enum loam_status loam_option_store(void *settings, const struct loam_option_row *row, const char *text,
                                   struct loam_error *error)
{
    void *field = (char *)settings + row->offset;
    if (row->bytes) return set_bytes(row, field, text, error);
    if (row->layers) return set_layers(row, field, text, error);
    if (row->choices != NULL) return set_choice(row, field, text, error);
    switch (row->type) {
    case LOAM_OPTION_BOOL:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return fail_value(row, text, "true or false", error);
        *(bool *)field = text[0] == 't';
        return LOAM_OK;
    case LOAM_OPTION_INT:
    case LOAM_OPTION_INT64:
        return set_whole(row, field, text, error);
    case LOAM_OPTION_UINT64:
        return set_seed(row, field, text, error);
    case LOAM_OPTION_DOUBLE:
        return set_double(row, field, text, error);
    case LOAM_OPTION_STRING:
        LOAM_TRY(check_text(row, text, error));
        *(const char **)field = text;
        return LOAM_OK;
    case LOAM_OPTION_LIST:
        LOAM_TRY(check_text(row, text, error));
        return loam_text_list_add(field, text, error);
    case LOAM_OPTION_FIELDS:
        return add_field(field, row, text, error);
    case LOAM_OPTION_ENUM:
        break;
    }
    return loam_fail(error, LOAM_ERROR_INTERNAL, "--%s has no choices", row->info.name);
}

bool loam_option_values_equal(const struct loam_option_row *row, const char *left, const char *right)
{
    if (row->choices != NULL) {
        const struct loam_choice *a = find_choice(row, left), *b = find_choice(row, right);
        return a != NULL && b != NULL && a->value == b->value;
    }
    if (strcmp(left, right) == 0) return true;
    bool is_number =
        row->type == LOAM_OPTION_INT || row->type == LOAM_OPTION_INT64 || row->type == LOAM_OPTION_DOUBLE;
    char *left_end, *right_end;
    return is_number && !row->bytes && strtod(left, &left_end) == strtod(right, &right_end) &&
           *left_end == '\0' && *right_end == '\0';
}
