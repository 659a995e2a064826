// The address of the hub, its cache and the token, from the environment variables of huggingface_hub. Paths
// in them are expanded (base/expand.h).
#ifndef LOAM_HUB_SETTINGS_H
#define LOAM_HUB_SETTINGS_H

#include "hub/origin.h"

struct loam_hub_settings {
    char *endpoint;            // HF_ENDPOINT, without a slash at its end
    struct loam_origin origin; // of the endpoint: the only one that the token is sent to
    char *cache;               // HF_HUB_CACHE, else $HF_HOME/hub, else ~/.cache/huggingface/hub
    char *token;               // HF_TOKEN, else the file HF_TOKEN_PATH or $HF_HOME/token; NULL: none
    char *token_source;        // what messages call it: the variable or the file that holds it
    char *missing_token;       // the file that HF_TOKEN_PATH names, where there is none; else NULL
    char *certificates;        // SSL_CERT_FILE: of those who are trusted to sign; NULL: the system's
    bool offline;              // HF_HUB_OFFLINE
    double delay_scale;        // of the waits before another try: 1, and less in tests (LOAM_HUB_DELAY_SCALE)
    long stall_seconds;        // with next to nothing coming before a connection is given up
                               // (LOAM_HUB_STALL_SECONDS, for tests)
};

// Plain http is refused, except to this machine itself.
enum loam_status loam_hub_settings_load(struct loam_hub_settings *settings, struct loam_error *error);
void loam_hub_settings_deinit(struct loam_hub_settings *settings);

// Puts "***" where the token stands in a text that a server may have had a hand in.
void loam_hub_settings_redact(const struct loam_hub_settings *settings, char *text);

#endif
