// From the text of a record to its tree.
#ifndef LOAM_DATA_RECORD_TREE_H
#define LOAM_DATA_RECORD_TREE_H

#include <jansson.h>

#include "base/status.h"

// The place of a record, for messages, which begin with "PATH:LINE: ".
struct loam_record_place {
    const char *path;
    size_t line;
};

// Parses one JSON object. Of a key that occurs twice the last value is used, as in Python's json. A number that a
// double cannot hold becomes its text, and a NUL in a key U+FFFD. The caller releases the tree with json_decref().
enum loam_status loam_record_tree_parse(json_t **tree, const char *text, size_t size,
                                        struct loam_record_place place, struct loam_error *error);

// Reports a string of the record with a defect that base/json_stream.h found.
enum loam_status loam_record_fail_defect(const char *text, size_t size, struct loam_record_place place,
                                         const char *defect, struct loam_error *error);

// Checks that a part of a file is UTF-8 without NUL. `what` is its name in messages: "line".
enum loam_status loam_record_check_text(const char *text, size_t size, struct loam_record_place place,
                                        const char *what, struct loam_error *error);

// Sets `key` of an object, or fails for lack of memory. Consumes `value`, which may be NULL for that lack.
enum loam_status loam_record_set(json_t *object, const char *key, json_t *value, struct loam_error *error);
// Makes an object of the same values. jansson's json_copy leaves out keys where memory is lacking. The caller releases
// it with json_decref().
enum loam_status loam_record_copy(json_t **copy, json_t *object, struct loam_error *error);
enum loam_status loam_record_add(json_t *array, json_t *value, struct loam_error *error);

#endif
