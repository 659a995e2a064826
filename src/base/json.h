// Small JSON documents (config.json, adapter_config.json, the safetensors header) as jansson values. Errors
// name the file and the key. Large documents (tokenizers, data sets) are streamed (base/json_stream.h).
#ifndef LOAM_BASE_JSON_H
#define LOAM_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

// Parses a file or a buffer whose root must be an object. `name` is the document's name in messages. The
// accepted syntax is described in base/json_read.h. The caller releases the root with json_decref().
enum loam_status loam_json_load(json_t **root, const char *path, struct loam_error *error);
enum loam_status loam_json_parse(json_t **root, const char *text, size_t size, const char *name,
                                 struct loam_error *error);

// Typed look-ups in `object`. `*value` keeps its value if the key is absent or null. A value of another
// type is an error that names `name` and the key. An integer may be a JSON number with a zero fraction.
enum loam_status loam_json_get_int(const json_t *object, const char *name, const char *key, int64_t *value,
                                   struct loam_error *error);
enum loam_status loam_json_get_double(const json_t *object, const char *name, const char *key, double *value,
                                      struct loam_error *error);
enum loam_status loam_json_get_bool(const json_t *object, const char *name, const char *key, bool *value,
                                    struct loam_error *error);
// The string belongs to `object`.
enum loam_status loam_json_get_string(const json_t *object, const char *name, const char *key,
                                      const char **value, struct loam_error *error);

// Adds to an object or array and consumes `value`. If `value` is NULL or memory is lacking, the object or
// array is released and becomes NULL, which later calls keep: a builder checks for NULL once, at its end.
void loam_json_put(json_t **object, const char *key, json_t *value);
void loam_json_push(json_t **array, json_t *value);

// Appends the text of a value with jansson's `flags`. A `value` of NULL and any lack of memory is an error.
// jansson's own functions leave out a part of a key when memory is lacking.
enum loam_status loam_json_append(struct loam_bytes *text, const json_t *value, size_t flags,
                                  struct loam_error *error);

#endif
