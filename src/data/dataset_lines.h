// Files of records one after the other: JSONL, an array of objects, CSV, plain text. A record is called a line
// here; lines of JSONL and text end with LF, CR LF or CR. Opening checks each line and stores its place
// only. Reading a line reads it again from the file, so that a large file takes little memory.
#ifndef LOAM_DATA_DATASET_LINES_H
#define LOAM_DATA_DATASET_LINES_H

#include <stdbool.h>

#include "data/data_input.h"
#include "data/record_reader.h"

enum loam_lines_kind {
    LOAM_LINES_TEXT,  // each line is the field "text"
    LOAM_LINES_JSON,  // each line is an object
    LOAM_LINES_ARRAY, // each element of the file's array, or of the array under "data", is an object
    LOAM_LINES_CSV,   // the first row has the names of the fields, and each other row is a record
    LOAM_LINES_TSV    // the same with tabs
};

struct loam_lines_options {
    const char *path; // for messages
    enum loam_lines_kind kind;
    // Fields to read, of a template. Every record must have each of them, as a string or a number. With none
    // the shape of the first record decides.
    const char *const *names; // [name_count]
    size_t name_count;
    struct loam_field_map *map;
    bool skip_bad;
};

struct loam_lines;
// Takes the descriptor of `input`; the pages of its map are released as they are read. The path, the names
// and the map must outlive the reader. `*bad` counts the skipped lines.
enum loam_status loam_lines_open(struct loam_lines **out, const struct loam_lines_options *options,
                                 struct loam_data_input *input, size_t *bad, struct loam_error *error);
void loam_lines_destroy(struct loam_lines *lines);
size_t loam_lines_count(const struct loam_lines *lines);
size_t loam_lines_number(const struct loam_lines *lines, size_t index); // 1-based line in the file
size_t loam_lines_longest(const struct loam_lines *lines); // index of the line with the most text
// Most temporary bytes of reading a line, once the longest line has been read.
size_t loam_lines_reading_bytes(const struct loam_lines *lines);

// What is read of each line.
const struct loam_record_reader *loam_lines_reader(const struct loam_lines *lines);
// The fields of line `index`, in the order of the names. The values last until the next call.
enum loam_status loam_lines_read(struct loam_lines *lines, size_t index, const struct loam_field **fields,
                                 struct loam_error *error);
// The tree of line `index` and its shape. The caller releases the tree.
enum loam_status loam_lines_tree(struct loam_lines *lines, size_t index, json_t **tree,
                                 enum loam_record_shape *shape, struct loam_error *error);

#endif
