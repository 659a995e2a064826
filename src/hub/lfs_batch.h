// The LFS batch API (https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md), and the hub's own
// transfer in parts: what has to be sent where.
#ifndef LOAM_HUB_LFS_BATCH_H
#define LOAM_HUB_LFS_BATCH_H

#include "hub/folder.h"

// How one object goes up. All strings belong to the plan; addresses are secrets, for they are signed.
struct loam_lfs_upload {
    const struct loam_folder_file *file;
    char *href;    // PUT the whole there, or POST the tags of the parts; NULL: the hub has the object
    char *verify;  // POST hash and size there at the end; NULL: no need
    int64_t chunk; // bytes of a part; 0: in one piece
    char **parts;  // [part_count] PUT part i there
    size_t part_count;
};

struct loam_lfs_plan {
    struct loam_lfs_upload *uploads;
    size_t count;
};

// The question about `files`, which are different objects.
enum loam_status loam_lfs_batch_format(struct loam_bytes *text, const struct loam_folder_file *const *files,
                                       size_t count, struct loam_error *error);
// The answer. An object that the hub refuses, or does not speak of, is LOAM_ERROR_IO or LOAM_ERROR_FORMAT.
enum loam_status loam_lfs_batch_parse(struct loam_lfs_plan *plan, const struct loam_folder_file *const *files,
                                      size_t count, const char *text, size_t size, struct loam_error *error);
void loam_lfs_plan_deinit(struct loam_lfs_plan *plan);

#endif
