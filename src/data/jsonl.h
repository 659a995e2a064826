// Parses one line of JSONL, an object, and gives its named fields.
#ifndef LOAM_DATA_JSONL_H
#define LOAM_DATA_JSONL_H

#include "data/field_map.h"

struct loam_jsonl {
    const struct loam_field_names *names;
    struct loam_field_map *map;
    struct loam_field *fields; // [names->count] of the last line; values are valid until the next line
    bool *is_first_choice;     // [names->count] whether the value is that of the field's first key
    struct loam_bytes values;
};
// The names and the map must outlive the reader.
enum loam_status loam_jsonl_init(struct loam_jsonl *jsonl, const struct loam_field_names *names,
                                 struct loam_field_map *map, struct loam_error *error);
void loam_jsonl_deinit(struct loam_jsonl *jsonl);

// Parses `line`. Each required field must exist as a string or a number, whose text is taken unchanged; one
// that is not required is empty where it does not exist or is null. Other fields may be anything. Messages begin with "path:number: ".
enum loam_status loam_jsonl_parse(struct loam_jsonl *jsonl, const char *line, size_t size, const char *path,
                                  size_t number, struct loam_error *error);

#endif
