// Files whose examples lie one after the other: JSONL, an array of objects, plain text. A line ends with LF,
// CR LF or CR. Opening checks each example, called a line here, and remembers where it is; it is read again
// from the file when it is asked for, so that a big file takes no memory.
#ifndef LOAM_DATA_DATASET_LINES_H
#define LOAM_DATA_DATASET_LINES_H

#include <stdbool.h>

#include "base/file.h"
#include "data/template.h"

enum loam_lines_kind {
    LOAM_LINES_TEXT, // a line is the one field "text"
    LOAM_LINES_JSON, // a line is an object
    LOAM_LINES_ARRAY // an object is an element of the array that the file is, or has as "data"
};

struct loam_lines_options {
    const char *path;
    enum loam_lines_kind kind;
    // The fields to read; the strings must outlive the reader. An object must have each, as a string or a
    // number.
    const char *const *names;
    size_t name_count;
    bool skip_bad;
};

struct loam_lines;
// `map` is the contents of the file. Its pages are released behind the reader, and it may be closed after the
// call. Lines left out are counted in `*bad`.
enum loam_status loam_lines_open(struct loam_lines **out, const struct loam_lines_options *options,
                                 const struct loam_map *map, size_t *bad, struct loam_error *error);
void loam_lines_destroy(struct loam_lines *lines);
size_t loam_lines_count(const struct loam_lines *lines);
size_t loam_lines_number(const struct loam_lines *lines, size_t index); // 1-based line in the file
size_t loam_lines_longest(const struct loam_lines *lines); // the line whose fields have the most text
// Bytes that reading any line takes beyond what is held after the longest has been read.
size_t loam_lines_reading_bytes(const struct loam_lines *lines);

// The fields of line `index`, in the order of the names. The values last until the next call.
enum loam_status loam_lines_read(struct loam_lines *lines, size_t index, const struct loam_field **fields,
                                 struct loam_error *error);

#endif
