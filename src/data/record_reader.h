// Reads the records of one file from their texts: as the fields that a template names, or as trees.
#ifndef LOAM_DATA_RECORD_READER_H
#define LOAM_DATA_RECORD_READER_H

#include "data/csv.h"
#include "data/jsonl.h"
#include "data/record_shape.h"

enum loam_record_format {
    LOAM_RECORD_LINE,   // a line of plain text: the field "text"
    LOAM_RECORD_OBJECT, // a JSON object
    LOAM_RECORD_ROW,    // a row of CSV; its values are strings
};

struct loam_record_reader {
    enum loam_record_format format;
    const char *path; // of the file, for messages
    struct loam_field_map *map;

    // What is read of each record, chosen by the template, or by the shape of the first good record.
    bool is_chosen;
    enum loam_record_shape shape; // of the first record; without effect with a template
    bool as_tree;                 // each record is checked as a tree; it has no fields
    struct loam_field_names names;
    const struct loam_field *fields; // [names.count] of the last record; valid until the next one
    size_t text_bytes;               // size of what the last record gives

    struct loam_jsonl jsonl;
    struct loam_csv csv;
    struct loam_field *values; // [names.count] of a line or a row
    struct loam_record_notes notes;
};

// `names` [count] are those of a template; with 0 the first record decides. The path, the names and the map
// must outlive the reader.
enum loam_status loam_record_reader_init(struct loam_record_reader *reader, const char *const *names,
                                         size_t count, struct loam_error *error);
void loam_record_reader_deinit(struct loam_record_reader *reader);
// Releases the memory of the last record.
void loam_record_reader_release(struct loam_record_reader *reader);

// Reads the header of a file of rows.
enum loam_status loam_record_reader_header(struct loam_record_reader *reader, const char *text, size_t size,
                                           size_t line, struct loam_error *error);
// Checks a record and gives its fields.
enum loam_status loam_record_reader_read(struct loam_record_reader *reader, const char *text, size_t size,
                                         size_t line, struct loam_error *error);
// Gives a record as a tree, with its shape, checked. The caller releases the tree.
enum loam_status loam_record_reader_tree(struct loam_record_reader *reader, const char *text, size_t size,
                                         size_t line, json_t **tree, enum loam_record_shape *shape,
                                         struct loam_error *error);

#endif
