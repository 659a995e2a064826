// One attempt to make a request: a libcurl handle and its result.
#ifndef LOAM_HUB_ATTEMPT_H
#define LOAM_HUB_ATTEMPT_H

#include <curl/curl.h>

#include "hub/origin.h"
#include "hub/request.h"

struct loam_attempt;

struct loam_attempt_options {
    struct loam_http_request *request;
    const char *url;
    const char *token; // NULL: none is sent
    const struct loam_origin *endpoint;
    const char *certificates; // a file of trusted certificates; NULL: the system's
    long stall_seconds;
    void *user; // CURLINFO_PRIVATE of the handle
};

struct loam_attempt_result {
    struct loam_error error; // LOAM_OK: the request holds an answer
    bool may_retry;          // another attempt may succeed
    bool answered;           // headers have arrived
    int64_t reached;         // position in the file after the last byte of the answer's body
    int64_t sent;            // bytes of the request's body
    const char *location;    // absolute target of a redirect, owned by the attempt; NULL: no redirect
};

enum loam_status loam_attempt_create(struct loam_attempt **attempt,
                                     const struct loam_attempt_options *options, struct loam_error *error);
CURL *loam_attempt_handle(const struct loam_attempt *attempt);
// `code` is the result of libcurl's transfer.
void loam_attempt_finish(struct loam_attempt *attempt, CURLcode code, struct loam_attempt_result *result);
// Fails with libcurl's message, or with LOAM_ERROR_MEMORY if libcurl ran out of memory.
enum loam_status loam_attempt_fail(CURLcode code, const char *what, struct loam_error *error);
void loam_attempt_destroy(struct loam_attempt *attempt);

#endif
