// What is in a repository of the hub, as a directory on this machine.
#ifndef LOAM_HUB_PULL_H
#define LOAM_HUB_PULL_H

#include "hub/hub.h"

// What a directory is wanted for decides which files it needs.
enum loam_pull_kind {
    LOAM_PULL_MODEL,     // config, tokenizer and safetensors
    LOAM_PULL_ADAPTER,   // adapter_config.json and adapter_model.safetensors
    LOAM_PULL_EITHER,    // whichever of the two the repository holds
    LOAM_PULL_OUTLINE,   // a model without its weights: config and tokenizer
    LOAM_PULL_TOKENIZER, // the same files, of which the tokenizer alone must be there
};

struct loam_pull {
    enum loam_pull_kind kind;
    const char *const *include; // patterns, instead of what `kind` needs; `*` goes over slashes
    size_t include_count;
    bool update; // ask the hub what the revision names now, though the cache knows what it once named
    // Before anything is downloaded: may so many bytes be? NULL: they may.
    enum loam_status (*allow)(void *user, int64_t bytes, struct loam_error *error);
    void *user;
};

// The repository's files at its revision, brought into the cache where they are not there yet. `*directory`
// is released with free(). What the cache has is taken without a word to the hub.
enum loam_status loam_hub_pull(struct loam_hub *hub, const struct loam_repo *repo,
                               const struct loam_pull *pull, char **directory, struct loam_error *error);

#endif
