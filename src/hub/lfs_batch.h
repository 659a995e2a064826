// The LFS batch API (https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md) with the hub's extension
// for uploads in parts. It tells the address for each object.
#ifndef LOAM_HUB_LFS_BATCH_H
#define LOAM_HUB_LFS_BATCH_H

#include "hub/folder.h"

// How to upload one object. The plan owns all strings. Addresses are signed and so must not be shown.
struct loam_lfs_upload {
    const struct loam_folder_file *file;
    char *href;   // address to PUT the whole object, or to POST the tags of its parts; NULL: the hub holds it
    char *verify; // address to POST hash and size after the upload; NULL: not required
    int64_t chunk; // bytes of a part; 0: one piece
    char **parts;  // [part_count] address to PUT part i
    size_t part_count;
};

struct loam_lfs_plan {
    struct loam_lfs_upload *uploads;
    size_t count;
};

// Writes the query about `files`, which must be different objects.
enum loam_status loam_lfs_batch_format(struct loam_bytes *text, const struct loam_folder_file *const *files,
                                       size_t count, struct loam_error *error);
// Reads the answer. LOAM_ERROR_IO for an object that the hub refuses, LOAM_ERROR_FORMAT for one that the
// answer does not mention.
enum loam_status loam_lfs_batch_parse(struct loam_lfs_plan *plan, const struct loam_folder_file *const *files,
                                      size_t count, const char *text, size_t size, struct loam_error *error);
void loam_lfs_plan_deinit(struct loam_lfs_plan *plan);

#endif
