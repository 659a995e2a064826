// Rows of CSV and TSV: their places cover the data, a header and rows are read or refused, and what a writer
// makes of the values is read as the same values.
#include <string.h>

#include "data/csv.h"
#include "fuzz.h"

static const struct loam_record_place place = {"data.csv", 1};

// Writes a value so that any reader takes it as it is.
static enum loam_status append_quoted(struct loam_bytes *text, const char *value, size_t size,
                                      struct loam_error *error)
{
    LOAM_TRY(loam_bytes_append(text, "\"", 1, error));
    for (size_t i = 0; i < size; i++)
        LOAM_TRY(
            loam_bytes_append(text, value[i] == '"' ? "\"\"" : value + i, value[i] == '"' ? 2 : 1, error));
    return loam_bytes_append(text, "\"", 1, error);
}

// Reads the last row again from a text that has all values between quotes.
static void check_again(const struct loam_csv *csv)
{
    struct loam_error error;
    struct loam_bytes header = {0}, row = {0};
    struct loam_csv again = {.delimiter = csv->delimiter};
    for (size_t i = 0; i < csv->count; i++) {
        const struct loam_field *column = &csv->columns[i];
        if (i > 0) fuzz_require(loam_bytes_append(&header, &csv->delimiter, 1, &error) == LOAM_OK);
        if (i > 0) fuzz_require(loam_bytes_append(&row, &csv->delimiter, 1, &error) == LOAM_OK);
        fuzz_require(append_quoted(&header, column->name, strlen(column->name), &error) == LOAM_OK);
        fuzz_require(append_quoted(&row, column->value, column->size, &error) == LOAM_OK);
    }
    const struct loam_csv_row found = loam_csv_find_row(row.data, row.size, 0, csv->delimiter);
    fuzz_require(found.size == row.size && found.next == row.size);
    fuzz_require(loam_csv_read_header(&again, header.data, header.size, place, &error) == LOAM_OK);
    fuzz_require(loam_csv_read_row(&again, row.data, row.size, place, &error) == LOAM_OK);
    fuzz_require(again.count == csv->count);
    for (size_t i = 0; i < csv->count; i++)
        fuzz_require(again.columns[i].size == csv->columns[i].size &&
                     memcmp(again.columns[i].value, csv->columns[i].value, csv->columns[i].size) == 0);
    loam_csv_deinit(&again);
    loam_bytes_deinit(&header);
    loam_bytes_deinit(&row);
}

static void read_rows(const char *data, size_t size, char delimiter)
{
    struct loam_error error;
    struct loam_csv csv = {.delimiter = delimiter};
    bool has_header = false;
    struct loam_csv_row row;
    for (size_t at = 0; at < size; at = row.next) {
        row = loam_csv_find_row(data, size, at, delimiter);
        fuzz_require(row.start == at && row.next > at && row.next <= size && row.size <= row.next - at);
        enum loam_status status = has_header ? loam_csv_read_row(&csv, data + at, row.size, place, &error)
                                             : loam_csv_read_header(&csv, data + at, row.size, place, &error);
        fuzz_require_message(status, &error);
        if (status != LOAM_OK && !has_header) break;
        if (has_header && status == LOAM_OK) check_again(&csv);
        has_header = true;
    }
    loam_csv_deinit(&csv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_rows((const char *)data, size, ',');
    read_rows((const char *)data, size, '\t');
    return 0;
}
