// HTTP through libcurl: requests run in parallel, failed ones are tried again where that can help, and
// redirects are followed only where that is safe. The token is sent to the hub's own origin and nowhere else.
#ifndef LOAM_HUB_HTTP_H
#define LOAM_HUB_HTTP_H

#include "base/log.h"
#include "hub/request.h"
#include "hub/settings.h"

struct loam_http; // a client with its connections

// Called regularly while requests are running. Any status but LOAM_OK ends them.
struct loam_http_pulse {
    enum loam_status (*beat)(void *user, struct loam_error *error);
    void *user;
};

// `settings` and `log` must outlive the client.
enum loam_status loam_http_create(struct loam_http **http, const struct loam_hub_settings *settings,
                                  const struct loam_log *log, struct loam_http_pulse pulse,
                                  struct loam_error *error);
void loam_http_destroy(struct loam_http *http);

enum { LOAM_HTTP_PARALLEL = 6 }; // requests that run at the same time

// Runs the requests. The first one that gets no answer ends them all; the message names it and the reason.
enum loam_status loam_http_run(struct loam_http *http, struct loam_http_request *requests, size_t count,
                               struct loam_error *error);
void loam_http_request_deinit(struct loam_http_request *request);

#endif
