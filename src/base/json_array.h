// Splits an array of objects in a JSON document without holding it in memory.
#ifndef LOAM_BASE_JSON_ARRAY_H
#define LOAM_BASE_JSON_ARRAY_H

#include "base/json_stream.h"

// The place of an element in the document.
struct loam_json_element {
    size_t start; // bytes
    size_t size;
    size_t line; // of its first byte, from 1
};
typedef enum loam_status loam_json_element_handler(void *user, const struct loam_json_element *element,
                                                   struct loam_error *error);

// Calls `handler` for each element of an array that is the document, or the value of "data" in its outermost
// object. A document may begin with a byte order mark. A document without such an array has no elements.
enum loam_status loam_json_array_parse(const char *data, size_t size, const char *name,
                                       loam_json_element_handler *handler, void *user,
                                       struct loam_error *error);

#endif
