// Pulls the files of a repository on the hub into a directory on this machine.
#ifndef LOAM_HUB_PULL_H
#define LOAM_HUB_PULL_H

#include "hub/hub.h"

// The use of the directory, which decides the files that it needs.
enum loam_pull_kind {
    LOAM_PULL_MODEL,     // config, tokenizer and safetensors; where there are none, pytorch_model.bin
    LOAM_PULL_ADAPTER,   // adapter_config.json and adapter_model.safetensors; else adapter_model.bin
    LOAM_PULL_EITHER,    // a model or an adapter, whichever the repository holds
    LOAM_PULL_OUTLINE,   // a model without its weights: config and tokenizer
    LOAM_PULL_TOKENIZER, // the files of LOAM_PULL_OUTLINE, of which only the tokenizer is required
};

struct loam_pull {
    enum loam_pull_kind kind;
    const char *const *include; // patterns that replace the files of `kind`; `*` matches slashes too
    size_t include_count;
    bool update; // ask the hub for the revision's commit even if the cache has a record of it
    // Called before a download of `bytes`. A failure prevents it. May be NULL.
    enum loam_status (*allow)(void *user, int64_t bytes, struct loam_error *error);
    void *user;
};

// Brings the repository's files at its revision into the cache. Sends no request if the cache holds them all.
// The caller frees `*directory`.
enum loam_status loam_hub_pull(struct loam_hub *hub, const struct loam_repo *repo,
                               const struct loam_pull *pull, char **directory, struct loam_error *error);

#endif
