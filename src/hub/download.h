// Downloads files of one commit into the cache: several at once, resumed after an interruption, and verified
// against their hash before they get their final name.
#ifndef LOAM_HUB_DOWNLOAD_H
#define LOAM_HUB_DOWNLOAD_H

#include "hub/cache.h"
#include "hub/hub.h"
#include "io/digest.h"

// A file to download. The caller sets `name` and `size`; loam_download_heads sets the rest.
struct loam_wanted_file {
    const char *name;
    int64_t size; // bytes; -1: unknown
    char etag[LOAM_DIGEST_SIZE];
    enum loam_digest_kind digest;
};

// Asks the hub for the hash and size of each file.
enum loam_status loam_download_heads(struct loam_hub *hub, const struct loam_repo *repo, const char *commit,
                                     struct loam_wanted_file *files, size_t count, struct loam_error *error);

// Downloads the blobs that the cache does not hold yet. Makes no links in the snapshot.
enum loam_status loam_download_blobs(struct loam_hub *hub, const struct loam_repo *repo, const char *commit,
                                     const struct loam_cache *cache, const struct loam_wanted_file *files,
                                     size_t count, struct loam_error *error);

#endif
