#include "data/csv.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/utf8.h"

void loam_csv_deinit(struct loam_csv *csv)
{
    free(csv->columns);
    loam_bytes_deinit(&csv->names);
    loam_bytes_deinit(&csv->values);
    *csv = (struct loam_csv){.delimiter = csv->delimiter};
}

// ---- Places ----

// Finds the byte after the quote that closes the one at `at`. False: none does, and `*end` is the size.
static bool find_close(const char *data, size_t size, size_t at, size_t *end)
{
    *end = size;
    while (++at < size) {
        const char *quote = memchr(data + at, '"', size - at);
        if (quote == NULL) return false;
        at = (size_t)(quote - data) + 1;
        if (at < size && data[at] == '"') continue;
        *end = at;
        return true;
    }
    return false;
}

// Counts the line breaks in a value between quotes.
static size_t count_breaks(const char *data, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++)
        count += data[i] == '\n' || (data[i] == '\r' && (i + 1 == size || data[i + 1] != '\n'));
    return count;
}

struct loam_csv_row loam_csv_find_row(const char *data, size_t size, size_t start, char delimiter)
{
    struct loam_csv_row row = {.start = start};
    size_t at = start;
    bool begins = true; // a value begins here
    while (at < size && data[at] != '\n' && data[at] != '\r') {
        if (begins && data[at] == '"') {
            size_t end;
            (void)find_close(data, size, at, &end); // reading the row reports a quote that is not closed
            row.breaks += count_breaks(data + at, end - at);
            at = end;
            begins = false;
            continue;
        }
        begins = data[at] == delimiter;
        at++;
    }
    row.size = at - start;
    row.next = at;
    if (at == size) return row;
    row.breaks++;
    row.next = data[at] == '\r' && at + 1 < size && data[at + 1] == '\n' ? at + 2 : at + 1;
    return row;
}

// ---- Values ----

// A row that is being read.
struct scan {
    const char *text;
    size_t size;
    size_t at;
    struct loam_record_place place;
    char delimiter;
};

static enum loam_status read_quoted(struct scan *scan, size_t column, struct loam_bytes *value,
                                    struct loam_error *error)
{
    const size_t open = scan->at;
    size_t end;
    if (!find_close(scan->text, scan->size, open, &end))
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s:%zu: column %zu: the quote that begins the value is not closed",
                         scan->place.path, scan->place.line, column + 1);
    if (end < scan->size && scan->text[end] != scan->delimiter)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s:%zu: column %zu: text after the closing quote; a quote within a quoted value is "
                         "written twice",
                         scan->place.path, scan->place.line, column + 1);
    scan->at = end;
    for (size_t at = open + 1; at < end - 1;) {
        const char *quote = memchr(scan->text + at, '"', end - 1 - at);
        const size_t until = quote != NULL ? (size_t)(quote - scan->text) + 1 : end - 1;
        LOAM_TRY(loam_bytes_append(value, scan->text + at, until - at, error));
        at = quote != NULL ? until + 1 : until; // the second of two quotes is left out
    }
    return LOAM_OK;
}

static enum loam_status read_plain(struct scan *scan, struct loam_bytes *value, struct loam_error *error)
{
    const char *start = scan->text + scan->at;
    const char *found = memchr(start, scan->delimiter, scan->size - scan->at);
    const size_t size = found != NULL ? (size_t)(found - start) : scan->size - scan->at;
    scan->at += size;
    return loam_bytes_append(value, start, size, error);
}

// Reads the next value and moves past the delimiter after it. `*last`: there is none.
static enum loam_status read_value(struct scan *scan, size_t column, struct loam_bytes *value, bool *last,
                                   struct loam_error *error)
{
    const bool quoted = scan->at < scan->size && scan->text[scan->at] == '"';
    LOAM_TRY(quoted ? read_quoted(scan, column, value, error) : read_plain(scan, value, error));
    *last = scan->at == scan->size;
    scan->at += !*last;
    return LOAM_OK;
}

// ---- Rows ----

static enum loam_status add_column(struct loam_csv *csv, size_t start, struct loam_error *error)
{
    struct loam_field *columns =
        loam_grow(csv->columns, &csv->capacity, csv->count + 1, sizeof *columns, error);
    if (columns == NULL) return LOAM_ERROR_MEMORY;
    csv->columns = columns;
    columns[csv->count++] = (struct loam_field){.name = csv->names.data + start};
    return loam_bytes_append(&csv->names, "", 1, error);
}

size_t loam_csv_find(const struct loam_csv *csv, const char *name)
{
    size_t i = 0;
    while (i < csv->count && strcmp(csv->columns[i].name, name) != 0)
        i++;
    return i;
}

static enum loam_status check_header(const struct loam_csv *csv, struct loam_record_place place,
                                     struct loam_error *error)
{
    for (size_t i = 0; i < csv->count; i++) {
        const char *name = csv->columns[i].name;
        const size_t first = loam_csv_find(csv, name);
        if (name[0] != '\0' && first < i)
            return loam_fail(error, LOAM_ERROR_FORMAT,
                             "%s:%zu: columns %zu and %zu of the header are both named \"%s\"", place.path,
                             place.line, first + 1, i + 1, name);
    }
    return LOAM_OK;
}

enum loam_status loam_csv_read_header(struct loam_csv *csv, const char *text, size_t size,
                                      struct loam_record_place place, struct loam_error *error)
{
    enum { MOST_COLUMNS = 4096 }; // names are compared with all others
    struct scan scan = {.text = text, .size = size, .place = place, .delimiter = csv->delimiter};
    LOAM_TRY(loam_record_check_text(text, size, place, "row", error));
    // Names with their NULs are never longer than the row and its end, so the storage does not move.
    LOAM_TRY(loam_bytes_reserve(&csv->names, size + 1, error));
    for (bool last = false; !last;) {
        const size_t start = csv->names.size;
        LOAM_TRY(read_value(&scan, csv->count, &csv->names, &last, error));
        LOAM_TRY(add_column(csv, start, error));
        if (csv->count > MOST_COLUMNS)
            return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%zu: the header has more than %d columns",
                             place.path, place.line, MOST_COLUMNS);
    }
    return check_header(csv, place, error);
}

enum loam_status loam_csv_read_row(struct loam_csv *csv, const char *text, size_t size,
                                   struct loam_record_place place, struct loam_error *error)
{
    struct scan scan = {.text = text, .size = size, .place = place, .delimiter = csv->delimiter};
    LOAM_TRY(loam_record_check_text(text, size, place, "row", error));
    loam_bytes_clear(&csv->values);
    // Values are never longer than the row, so the storage does not move.
    LOAM_TRY(loam_bytes_reserve(&csv->values, size, error));
    size_t count = 0;
    for (bool last = false; !last; count++) {
        const size_t start = csv->values.size;
        LOAM_TRY(read_value(&scan, count, &csv->values, &last, error));
        if (count >= csv->count) continue;
        csv->columns[count].value = csv->values.data + start;
        csv->columns[count].size = csv->values.size - start;
    }
    if (count == csv->count) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%zu: the row has %zu values; the header has %zu columns",
                     place.path, place.line, count, csv->count);
}

enum loam_status loam_csv_list(const struct loam_csv *csv, struct loam_bytes *text, struct loam_error *error)
{
    enum { LONGEST = 256 }; // bytes
    for (size_t i = 0; i < csv->count && text->size < LONGEST; i++) {
        const char *name = csv->columns[i].name;
        LOAM_TRY(loam_bytes_format(text, error, "%s%.*s", i > 0 ? ", " : "",
                                   (int)loam_utf8_fit(name, strlen(name), 64), name));
    }
    return LOAM_OK;
}
