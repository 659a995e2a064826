// Files of one commit into the cache: several at once, resumed where they were left, and checked against
// their hash before they get their name.
#ifndef LOAM_HUB_DOWNLOAD_H
#define LOAM_HUB_DOWNLOAD_H

#include "hub/cache.h"
#include "hub/hub.h"
#include "io/digest.h"

// A file to be had. The caller fills the first two; the head of the file tells the others.
struct loam_wanted_file {
    const char *name;
    int64_t size; // bytes; -1: not known yet
    char etag[LOAM_DIGEST_SIZE];
    enum loam_digest_kind digest;
};

// Asks the hub for hash and size of each file.
enum loam_status loam_download_heads(struct loam_hub *hub, const struct loam_repo *repo, const char *commit,
                                     struct loam_wanted_file *files, size_t count, struct loam_error *error);

// Brings the blobs of the files into the cache. What is there is not brought again; nothing is linked yet.
enum loam_status loam_download_blobs(struct loam_hub *hub, const struct loam_repo *repo, const char *commit,
                                     const struct loam_cache *cache, const struct loam_wanted_file *files,
                                     size_t count, struct loam_error *error);

#endif
