// Rows of CSV (RFC 4180) and TSV. A value between quotes may have the delimiter, line breaks, and quotes,
// which are doubled. A quote within a value that does not begin with one is an ordinary character.
#ifndef LOAM_DATA_CSV_H
#define LOAM_DATA_CSV_H

#include "data/record_tree.h"
#include "data/template.h"

// The place of a row in the file.
struct loam_csv_row {
    size_t start;  // bytes
    size_t size;   // bytes, without the line break at its end
    size_t next;   // byte where the next row begins
    size_t breaks; // line breaks up to `next`
};
// Finds the row that begins at `start`. A quote that is not closed takes the rest of the data.
struct loam_csv_row loam_csv_find_row(const char *data, size_t size, size_t start, char delimiter);

// A zeroed struct with its delimiter is valid.
struct loam_csv {
    char delimiter;
    struct loam_field *columns; // [count] of the header, with the values of the last row; "": without a name
    size_t count;
    size_t capacity;
    struct loam_bytes names;  // storage of the columns' names
    struct loam_bytes values; // storage of the last row
};
void loam_csv_deinit(struct loam_csv *csv);

// Reads the names of the columns. Names must differ; a column without a name is read by nothing.
enum loam_status loam_csv_read_header(struct loam_csv *csv, const char *text, size_t size,
                                      struct loam_record_place place, struct loam_error *error);
// Reads a row, which must have as many values as the header. They last until the next row.
enum loam_status loam_csv_read_row(struct loam_csv *csv, const char *text, size_t size,
                                   struct loam_record_place place, struct loam_error *error);
// Index of the column with that name; `count`: none.
size_t loam_csv_find(const struct loam_csv *csv, const char *name);
// Appends the names of the columns, as many as fit in a message.
enum loam_status loam_csv_list(const struct loam_csv *csv, struct loam_bytes *text, struct loam_error *error);

#endif
