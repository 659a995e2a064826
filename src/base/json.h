// Small JSON documents (config.json, adapter_config.json, the safetensors header) as jansson's values, with
// errors that name the file and the key. Big documents (tokenizers, data sets) are streamed through yajl in
// text/.
#ifndef LOAM_BASE_JSON_H
#define LOAM_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

// Parses a file or a buffer whose root must be an object. `name` is how messages call the document. What
// is taken is said in base/json_read.h. Released with json_decref().
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

// Adds to an object or array that is made bit by bit. Without the memory for it, or for `value`, which is
// then NULL, the whole becomes NULL and stays it. `value` is taken over.
void loam_json_put(json_t **object, const char *key, json_t *value);
void loam_json_push(json_t **array, json_t *value);

// Appends the text of a value, as jansson's `flags` want it. NULL, a value that there was no memory for, is
// an error; so is any piece of text that there is none for, which jansson's own functions leave out of a key.
enum loam_status loam_json_append(struct loam_bytes *text, const json_t *value, size_t flags,
                                  struct loam_error *error);

#endif
