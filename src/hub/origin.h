// Scheme, host and port of a URL. They decide whether the token may be sent.
#ifndef LOAM_HUB_ORIGIN_H
#define LOAM_HUB_ORIGIN_H

#include "base/status.h"

struct loam_origin {
    char scheme[8]; // "https" or "http"
    char host[256];
    char port[8];
    bool loopback; // this machine: localhost, 127.0.0.0/8, ::1
};

// LOAM_ERROR_ARGUMENT for a URL that is neither http nor https, or that has a user name in it. The message
// leaves the URL out, because a signed URL is a secret.
enum loam_status loam_origin_parse(struct loam_origin *origin, const char *url, struct loam_error *error);

bool loam_origin_equal(const struct loam_origin *a, const struct loam_origin *b);

// Whether the connection is https, or plain http within this machine. `endpoint` is the hub's own origin.
bool loam_origin_is_private(const struct loam_origin *origin, const struct loam_origin *endpoint);

#endif
