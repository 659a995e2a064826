// One try of one request: a libcurl handle, and what came of it.
#ifndef LOAM_HUB_ATTEMPT_H
#define LOAM_HUB_ATTEMPT_H

#include <curl/curl.h>

#include "hub/http.h"

struct loam_attempt;

struct loam_attempt_options {
    struct loam_http_request *request;
    const char *url;
    const char *token; // NULL: none goes along
    const struct loam_origin *endpoint;
    const char *certificates; // a file of them; NULL: the system's
    long stall_seconds;
    void *user; // CURLINFO_PRIVATE of the handle
};

struct loam_attempt_result {
    struct loam_error error; // LOAM_OK: the request's status and headers are an answer
    bool again;              // what went wrong may go right another time
    bool answered;           // headers have come
    int64_t reached;         // where in the file the answer's body came to
    int64_t sent;            // bytes of the request's
    const char *location;    // where a redirect points to, absolute; NULL: nowhere. Held by the attempt.
};

enum loam_status loam_attempt_create(struct loam_attempt **attempt,
                                     const struct loam_attempt_options *options, struct loam_error *error);
CURL *loam_attempt_handle(const struct loam_attempt *attempt);
// `code`: how libcurl ended.
void loam_attempt_finish(struct loam_attempt *attempt, CURLcode code, struct loam_attempt_result *result);
// Fails with libcurl's own words, and with LOAM_ERROR_MEMORY where it ran out of it.
enum loam_status loam_attempt_fail(CURLcode code, const char *what, struct loam_error *error);
void loam_attempt_destroy(struct loam_attempt *attempt);

#endif
