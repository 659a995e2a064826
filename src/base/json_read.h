// The text of a JSON document as jansson's values. jansson's own parser cannot be used where memory may be
// refused: it leaves out what its buffer had no room for, without a word, and reads and writes beyond the
// buffer when that was a closing quote.
#ifndef LOAM_BASE_JSON_READ_H
#define LOAM_BASE_JSON_READ_H

#include <jansson.h>

#include "base/status.h"

// RFC 8259, and stricter: no key twice, no NUL in a string, no number beyond a double, at most 2048 values
// deep and 2097152 in all. An integer beyond 64 bits is read as a real. NULL and a filled error, which says
// where in `name` and what, or that there is no memory. Released with json_decref().
json_t *loam_json_read(const char *text, size_t size, const char *name, struct loam_error *error);

#endif
