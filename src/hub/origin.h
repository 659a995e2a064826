// Scheme, host and port of a URL: what decides whether a token may go along.
#ifndef LOAM_HUB_ORIGIN_H
#define LOAM_HUB_ORIGIN_H

#include "base/status.h"

struct loam_origin {
    char scheme[8]; // "https" or "http"
    char host[256];
    char port[8];
    bool loopback; // this machine: localhost, 127.0.0.0/8, ::1
};

// A URL that is neither http nor https, or has a user name in it, is LOAM_ERROR_ARGUMENT. The message does
// not hold the URL: signed ones are secrets.
enum loam_status loam_origin_parse(struct loam_origin *origin, const char *url, struct loam_error *error);

bool loam_origin_equal(const struct loam_origin *a, const struct loam_origin *b);

// https, or plain http where both ends are this machine: `endpoint` is the hub's own origin.
bool loam_origin_is_private(const struct loam_origin *origin, const struct loam_origin *endpoint);

#endif
