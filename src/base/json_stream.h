// Streams JSON of any size through yajl, as events with their line numbers. A string with overlong UTF-8
// or half of a surrogate pair, which yajl accepts, is marked so that a reader can refuse its record.
#ifndef LOAM_BASE_JSON_STREAM_H
#define LOAM_BASE_JSON_STREAM_H

#include <stddef.h>

#include "base/status.h"

enum { LOAM_JSON_MAX_DEPTH = 128 }; // nested objects and arrays

enum loam_json_kind {
    LOAM_JSON_OBJECT, // an object begins
    LOAM_JSON_ARRAY,  // an array begins
    LOAM_JSON_END,    // an object or array ends
    LOAM_JSON_KEY,
    LOAM_JSON_STRING,
    LOAM_JSON_NUMBER,
    LOAM_JSON_TRUE,
    LOAM_JSON_FALSE,
    LOAM_JSON_NULL,
};

struct loam_json_event {
    enum loam_json_kind kind;
    const char *text;   // a key or string without escapes, or a number as written; valid only during the call
    size_t size;        // bytes of `text`, which is not NUL-terminated
    size_t at;          // offset of its end in the document, in bytes
    size_t line;        // 1-based
    const char *defect; // of a key or string, such as "invalid UTF-8"; NULL: none
};

// Called for each event. A status other than LOAM_OK ends the parse, which returns it.
typedef enum loam_status loam_json_handler(void *user, const struct loam_json_event *event,
                                           struct loam_error *error);

// Parses one JSON value, nested at most LOAM_JSON_MAX_DEPTH deep. Messages begin with "NAME:LINE: ";
// `first_line` is the line number of the first byte.
enum loam_status loam_json_stream_parse(const char *data, size_t size, const char *name, size_t first_line,
                                        loam_json_handler *handler, void *user, struct loam_error *error);

#endif
