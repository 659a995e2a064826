// YAML files with one flat mapping from keys to scalars or lists of scalars. Anchors, aliases, tags, deeper
// structures and further documents are refused: aliases could make a small file large in memory.
#ifndef LOAM_OPTIONS_FLAT_YAML_H
#define LOAM_OPTIONS_FLAT_YAML_H

#include "base/status.h"

struct loam_flat_value {
    char *text; // NUL-terminated, without other NULs
    int line;   // from 1 on
    bool plain; // not quoted: YAML gives words such as null and true a type
};

// "key: value", or "key: [value, ...]".
struct loam_flat_entry {
    char *key;
    int line; // of the key, from 1 on
    bool list;
    struct loam_flat_value *values; // [count]; a scalar is one value
    size_t count;
    size_t capacity;
};

// Called for every entry in the order of the file. The entry is released after the call.
typedef enum loam_status loam_flat_visit(void *user, const struct loam_flat_entry *entry,
                                         struct loam_error *error);

// Reads the text and calls `visit` for each entry. A mistake in the text is LOAM_ERROR_FORMAT with a message
// that begins with "NAME:LINE: ".
enum loam_status loam_flat_yaml_read(const char *text, size_t size, const char *name, loam_flat_visit *visit,
                                     void *user, struct loam_error *error);

#endif
