// Address, cache and token of the hub, from the environment variables of huggingface_hub. Paths in them are
// expanded (base/expand.h).
#ifndef LOAM_HUB_SETTINGS_H
#define LOAM_HUB_SETTINGS_H

#include "hub/origin.h"

struct loam_hub_settings {
    char *endpoint;            // HF_ENDPOINT, without a slash at its end
    struct loam_origin origin; // of the endpoint: the only one that the token is sent to
    char *cache;               // HF_HUB_CACHE, else $HF_HOME/hub, else ~/.cache/huggingface/hub
    char *token;               // HF_TOKEN, else the file HF_TOKEN_PATH or $HF_HOME/token; NULL: none
    char *token_source;        // the variable or file that holds the token; its name in messages
    char *missing_token;       // the file of HF_TOKEN_PATH if it does not exist; else NULL
    char *certificates;        // SSL_CERT_FILE: trusted certificates; NULL: the system's
    bool offline;              // HF_HUB_OFFLINE
    double delay_scale;        // factor of the delay before a retry: 1, less in tests (LOAM_HUB_DELAY_SCALE)
    long stall_seconds;        // a slower connection is closed after this time (LOAM_HUB_STALL_SECONDS)
};

// Plain http is refused, except to this machine.
enum loam_status loam_hub_settings_load(struct loam_hub_settings *settings, struct loam_error *error);
void loam_hub_settings_deinit(struct loam_hub_settings *settings);

// Replaces the token by "***" in a text that may come from a server.
void loam_hub_settings_redact(const struct loam_hub_settings *settings, char *text);

#endif
