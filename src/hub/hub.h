// A session with the hub: its settings, its connections, and the caller's callbacks.
#ifndef LOAM_HUB_HUB_H
#define LOAM_HUB_HUB_H

#include "hub/http.h"
#include "hub/meter.h"

struct loam_hub {
    struct loam_hub_settings settings;
    const struct loam_callbacks *callbacks;
    struct loam_meter *meter; // of the running transfer; NULL: none
    struct loam_http *http;   // created at the first request, so that reading the cache needs no network
};

enum loam_status loam_hub_open(struct loam_hub *hub, const struct loam_callbacks *callbacks,
                               struct loam_error *error);
void loam_hub_close(struct loam_hub *hub);

// Runs requests. LOAM_ERROR_IO if HF_HUB_OFFLINE forbids them.
enum loam_status loam_hub_run(struct loam_hub *hub, struct loam_http_request *requests, size_t count,
                              struct loam_error *error);

// Starts `meter` and reports by it while requests run, until loam_hub_end_transfer.
void loam_hub_begin_transfer(struct loam_hub *hub, struct loam_meter *meter, enum loam_activity activity,
                             int64_t total);
// Ends the transfer and returns `status`, its result.
enum loam_status loam_hub_end_transfer(struct loam_hub *hub, enum loam_status status);
// Reports progress outside of requests. LOAM_ERROR_STOPPED: the caller wants to stop.
enum loam_status loam_hub_report(struct loam_hub *hub, struct loam_error *error);

// Checks the status of an answer. A redirect counts as success where the request stops at redirects. The
// message of a failure says what is wrong and what to do. `repo` is the repository that was asked for.
enum loam_status loam_hub_check(const struct loam_hub *hub, const struct loam_http_request *request,
                                const struct loam_repo *repo, struct loam_error *error);

// "ENDPOINT/..." with the formatted path. Outside data in the path must be percent-encoded already.
char *loam_hub_url(const struct loam_hub *hub, struct loam_error *error, const char *format, ...)
    LOAM_PRINTF(3, 4);

// Replaces https://huggingface.co by the mirror of HF_ENDPOINT in an address that the hub gave.
// `*address` may be NULL.
enum loam_status loam_hub_redirect_to_mirror(const struct loam_hub *hub, char **address,
                                             struct loam_error *error);

#endif
