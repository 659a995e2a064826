// The files of a repository at a revision, as the hub lists them.
#ifndef LOAM_HUB_LISTING_H
#define LOAM_HUB_LISTING_H

#include <stdint.h>

#include "hub/repo.h"

struct loam_listed_file {
    char *name;   // a safe relative path
    int64_t size; // bytes; -1: not in the answer
};

struct loam_listing {
    char commit[LOAM_COMMIT_SIZE];
    struct loam_listed_file *files;
    size_t count;
};

// Reads the answer to /api/models/ID/revision/REVISION. `name` is the repository's name in messages.
// LOAM_ERROR_FORMAT if a file's name is not a safe relative path: then no file of the repository is used.
enum loam_status loam_listing_parse(struct loam_listing *listing, const char *text, size_t size,
                                    const char *name, struct loam_error *error);
void loam_listing_deinit(struct loam_listing *listing);

const struct loam_listed_file *loam_listing_find(const struct loam_listing *listing, const char *name);

#endif
