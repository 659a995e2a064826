// One HTTP request and its answer.
#ifndef LOAM_HUB_REQUEST_H
#define LOAM_HUB_REQUEST_H

#include "base/bytes.h"
#include "hub/headers.h"

// What to do with a response that redirects. A redirect within an origin is always followed.
enum loam_redirects {
    LOAM_REDIRECT_REFUSE, // a redirect to another origin is an error
    LOAM_REDIRECT_STOP,   // a redirect to another origin is the answer
    LOAM_REDIRECT_FOLLOW, // a redirect to another origin is followed without the token
};

// Receives a body that is not kept as text.
struct loam_http_sink {
    // An attempt begins. The sink already holds the first `*offset` bytes, and the request asks for the rest.
    enum loam_status (*start)(void *user, int64_t *offset, struct loam_error *error);
    // The body begins at `offset`: the offset that was asked for, or 0 from a server without range requests.
    enum loam_status (*begin)(void *user, int64_t offset, struct loam_error *error);
    enum loam_status (*write)(void *user, const char *data, size_t size, struct loam_error *error);
    // The body has ended. On failure, `*retry` tells whether another attempt may succeed.
    enum loam_status (*finish)(void *user, bool *retry, struct loam_error *error);
    void *user;
};

struct loam_http_request {
    const char *method; // GET, HEAD, POST, PUT
    const char *url;
    const char *what; // the name in messages, such as "org/name: config.json"; a URL may hold a secret
    const char *content_type; // of the body; NULL: none
    const char *accept;       // NULL: anything
    bool to_hub;              // the token is sent, if there is one
    bool not_idempotent;      // the request must not be repeated after the server may have acted on it
    enum loam_redirects redirects;
    const void *body;    // text to send; NULL: the body comes from `body_file`
    int body_file;       // descriptor of an open file
    int64_t body_offset; // where the body begins in the file
    int64_t body_size;   // 0: no body
    // Counts bytes of the body that were sent. `size` is negative when they will be sent again. May be NULL.
    void (*sent)(void *user, int64_t size);
    void *sent_user;
    const struct loam_http_sink *sink; // receives a body of status 200 or 206; NULL: the body goes to `text`

    // The answer, of any status that does not call for another attempt.
    long status;
    struct loam_http_headers headers;
    struct loam_bytes text; // a body that went to no sink; at most LOAM_HTTP_TEXT_LIMIT bytes
};

enum { LOAM_HTTP_TEXT_LIMIT = 64 << 20 };

#endif
