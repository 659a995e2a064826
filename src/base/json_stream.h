// Streaming JSON of any size through yajl, as events that know their line. yajl lets some broken text pass
// (overlong UTF-8, halves of surrogate pairs); here such a string is marked, so that a reader can refuse the
// record it is in.
#ifndef LOAM_BASE_JSON_STREAM_H
#define LOAM_BASE_JSON_STREAM_H

#include <stddef.h>

#include "base/status.h"

enum { LOAM_JSON_MAX_DEPTH = 128 }; // objects and arrays within each other

enum loam_json_kind {
    LOAM_JSON_OBJECT, // one begins; LOAM_JSON_END ends it
    LOAM_JSON_ARRAY,  // likewise
    LOAM_JSON_END,
    LOAM_JSON_KEY,
    LOAM_JSON_STRING,
    LOAM_JSON_NUMBER,
    LOAM_JSON_TRUE,
    LOAM_JSON_FALSE,
    LOAM_JSON_NULL,
};

struct loam_json_event {
    enum loam_json_kind kind;
    const char
        *text; // key and string: unescaped; number: as written. Not NUL-terminated, gone after the call.
    size_t size;
    size_t at;          // end of it in the document, in bytes
    size_t line;        // 1-based
    const char *defect; // NULL, or what is wrong with a key or string: "invalid UTF-8"
};

// What is called for each event; a status other than LOAM_OK ends the parse and is what the parse returns.
typedef enum loam_status loam_json_handler(void *user, const struct loam_json_event *event,
                                           struct loam_error *error);

// Parses one JSON value. `name` and `first_line` (the line number of the first byte) are for messages, which
// begin with "name:line: ". Deeper nesting than LOAM_JSON_MAX_DEPTH is refused.
enum loam_status loam_json_stream_parse(const char *data, size_t size, const char *name, size_t first_line,
                                        loam_json_handler *handler, void *user, struct loam_error *error);

#endif
