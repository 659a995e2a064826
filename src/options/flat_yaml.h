// YAML files that are one flat mapping: each key with a scalar or a list of scalars. Anchors, aliases, tags,
// deeper structures and further documents are refused, so that a small file stays small once it is read.
#ifndef LOAM_OPTIONS_FLAT_YAML_H
#define LOAM_OPTIONS_FLAT_YAML_H

#include "base/status.h"

struct loam_flat_value {
    char *text; // NUL-terminated, without a NUL inside
    int line;
    bool plain; // not quoted, so that words such as null and true may mean something
};

// "key: value", or "key: [value, ...]".
struct loam_flat_entry {
    char *key;
    int line; // of the key, from 1 on
    bool list;
    struct loam_flat_value *values; // [count]; one where it is no list
    size_t count;
    size_t capacity;
};

// Called for every entry in the order of the file, which then is released.
typedef enum loam_status loam_flat_visit(void *user, const struct loam_flat_entry *entry,
                                         struct loam_error *error);

// `name` is how messages call the text: what is wrong with it is LOAM_ERROR_FORMAT, and begins with
// "NAME:LINE: ".
enum loam_status loam_flat_yaml_read(const char *text, size_t size, const char *name, loam_flat_visit *visit,
                                     void *user, struct loam_error *error);

#endif
