// Parses JSON text into jansson values. jansson's own parser is not used because of its behaviour when an
// allocation fails: it silently drops characters, and it reads and writes past its buffer when the dropped
// character is a closing quote.
#ifndef LOAM_BASE_JSON_READ_H
#define LOAM_BASE_JSON_READ_H

#include <jansson.h>

#include "base/status.h"

// Accepts RFC 8259 with further limits: no duplicate keys, no NUL in a string, no number beyond a double,
// at most 2048 levels and 2097152 values. An integer beyond 64 bits is read as a real. The caller
// releases the result with json_decref(). NULL and a filled error on failure; the error gives line and
// column in `name`.
json_t *loam_json_read(const char *text, size_t size, const char *name, struct loam_error *error);

#endif
