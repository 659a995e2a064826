// Small JSON documents (config.json, adapter_config.json, the safetensors header) through jansson, with
// errors that name the file and the key. Big documents (tokenizers, data sets) are streamed through yajl in
// text/.
#ifndef LOAM_BASE_JSON_H
#define LOAM_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

// Parses a file or a buffer whose root must be an object. `name` is how messages call the document. Depth is
// bounded by jansson (2048), duplicate keys are refused. Released with json_decref().
enum loam_status loam_json_load(json_t **root, const char *path, struct loam_error *error);
enum loam_status loam_json_parse(json_t **root, const char *text, size_t size, const char *name,
                                 struct loam_error *error);

// Typed look-ups in `object`. `*value` is left alone when the key is absent or null; a value of another type
// is an error naming `name` and the key. Integers accept a JSON number without a fraction.
enum loam_status loam_json_get_int(const json_t *object, const char *name, const char *key, int64_t *value,
                                   struct loam_error *error);
enum loam_status loam_json_get_double(const json_t *object, const char *name, const char *key, double *value,
                                      struct loam_error *error);
enum loam_status loam_json_get_bool(const json_t *object, const char *name, const char *key, bool *value,
                                    struct loam_error *error);
// The string belongs to `object`.
enum loam_status loam_json_get_string(const json_t *object, const char *name, const char *key,
                                      const char **value, struct loam_error *error);

// Appends the compact text of a value.
enum loam_status loam_json_append(struct loam_bytes *text, const json_t *value, struct loam_error *error);

#endif
