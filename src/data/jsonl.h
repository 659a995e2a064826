// Parses one line of JSONL, an object, and gives its named fields.
#ifndef LOAM_DATA_JSONL_H
#define LOAM_DATA_JSONL_H

#include "data/template.h"

struct loam_jsonl {
    const char *const *names;
    size_t name_count;
    struct loam_field *fields; // [name_count] of the last line; values are valid until the next line
    struct loam_bytes values;
};
// The names must outlive the reader.
enum loam_status loam_jsonl_init(struct loam_jsonl *jsonl, const char *const *names, size_t name_count,
                                 struct loam_error *error);
void loam_jsonl_deinit(struct loam_jsonl *jsonl);

// Parses `line`. Each named field must exist as a string or a number, whose text is taken unchanged. Other
// fields may be anything. Messages begin with "path:number: ".
enum loam_status loam_jsonl_parse(struct loam_jsonl *jsonl, const char *line, size_t size, const char *path,
                                  size_t number, struct loam_error *error);

#endif
