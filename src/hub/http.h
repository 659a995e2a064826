// HTTP through libcurl: requests that are made several at once, tried again where that helps, and redirected
// only where that is safe. The token goes to the hub's own origin and nowhere else.
#ifndef LOAM_HUB_HTTP_H
#define LOAM_HUB_HTTP_H

#include "base/bytes.h"
#include "base/log.h"
#include "hub/headers.h"
#include "hub/settings.h"

struct loam_http; // a client: its connections, and whose it is

// Called again and again while requests are on their way: anything but LOAM_OK ends them.
struct loam_http_pulse {
    enum loam_status (*beat)(void *user, struct loam_error *error);
    void *user;
};
// `settings` and `log` must outlive it.
enum loam_status loam_http_create(struct loam_http **http, const struct loam_hub_settings *settings,
                                  const struct loam_log *log, struct loam_http_pulse pulse,
                                  struct loam_error *error);
void loam_http_destroy(struct loam_http *http);

// What to do with a response that points elsewhere. Within an origin it is followed in any case.
enum loam_redirects {
    LOAM_REDIRECT_REFUSE, // another origin is an error
    LOAM_REDIRECT_STOP,   // a response that points to another origin is the answer
    LOAM_REDIRECT_FOLLOW, // followed, and the token stays behind
};

// Where a body goes when it is not kept as text.
struct loam_http_sink {
    // A try begins: `*offset` bytes are there already and need not come again.
    enum loam_status (*start)(void *user, int64_t *offset, struct loam_error *error);
    // The body that now comes begins at `offset`: the one asked for, or 0 when the server does not do ranges.
    enum loam_status (*begin)(void *user, int64_t offset, struct loam_error *error);
    enum loam_status (*write)(void *user, const char *data, size_t size, struct loam_error *error);
    // The body has ended. `*again`: it was not whole or not right, and another try may help; `error` says
    // why.
    enum loam_status (*finish)(void *user, bool *again, struct loam_error *error);
    void *user;
};

struct loam_http_request {
    const char *method; // GET, HEAD, POST, PUT
    const char *url;
    const char *what; // how messages call it: "org/name: config.json"; never the URL, which may be signed
    const char *content_type; // of the body; NULL: none
    const char *accept;       // NULL: anything
    bool to_hub;              // with the token, where there is one
    bool once;                // not to be repeated when the server may have acted on it
    enum loam_redirects redirects;
    const void *body;    // text to send, or
    int body_file;       // an open file, `body` being NULL
    int64_t body_offset; // where in the file it begins
    int64_t body_size;   // 0: no body
    void (*sent)(void *user,
                 int64_t size); // bytes of the body that went out, below 0 for a new try; NULL: unwanted
    void *sent_user;
    const struct loam_http_sink *sink; // for a body of status 200 or 206; NULL: it is kept in `text`

    // The answer: any status that is no reason to try again.
    long status;
    struct loam_http_headers headers;
    struct loam_bytes text; // of all bodies that went to no sink; at most LOAM_HTTP_TEXT_LIMIT
};
enum { LOAM_HTTP_TEXT_LIMIT = 64 << 20, LOAM_HTTP_PARALLEL = 6 };

// Makes the requests, LOAM_HTTP_PARALLEL at once. The first that gets no answer ends them all; the message
// says which and why.
enum loam_status loam_http_run(struct loam_http *http, struct loam_http_request *requests, size_t count,
                               struct loam_error *error);
void loam_http_request_deinit(struct loam_http_request *request);

#endif
