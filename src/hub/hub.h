// One conversation with the hub: whose settings, which connections, who is told.
#ifndef LOAM_HUB_HUB_H
#define LOAM_HUB_HUB_H

#include "hub/http.h"
#include "hub/meter.h"

struct loam_hub {
    struct loam_hub_settings settings;
    const struct loam_callbacks *callbacks;
    struct loam_meter *meter; // of the transfer that is going on; NULL: none
    struct loam_http *http;   // made when it is first needed: what is in the cache needs none
};

enum loam_status loam_hub_open(struct loam_hub *hub, const struct loam_callbacks *callbacks,
                               struct loam_error *error);
void loam_hub_close(struct loam_hub *hub);

// Makes requests; LOAM_ERROR_IO when the hub is to be left alone (HF_HUB_OFFLINE).
enum loam_status loam_hub_run(struct loam_hub *hub, struct loam_http_request *requests, size_t count,
                              struct loam_error *error);

// LOAM_OK for success, or a redirect that was to be stopped at; else one line that says what is wrong and
// what to do. `repo` is what was asked for.
enum loam_status loam_hub_check(const struct loam_hub *hub, const struct loam_http_request *request,
                                const struct loam_repo *repo, struct loam_error *error);

// "ENDPOINT/..." with the formatted path, in which everything from outside is already encoded.
char *loam_hub_url(const struct loam_hub *hub, struct loam_error *error, const char *format, ...)
    LOAM_PRINTF(3, 4);

// An address that the hub itself gave, as it can be reached: where HF_ENDPOINT names a mirror, the mirror
// stands for https://huggingface.co. `*address` is replaced; NULL stays.
enum loam_status loam_hub_localise(const struct loam_hub *hub, char **address, struct loam_error *error);

#endif
