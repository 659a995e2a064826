// An output directory whose files appear together: they are made in a directory inside the target and moved
// into place once all of them are whole. Until then what was there before stays as it was.
#ifndef LOAM_IO_STAGING_H
#define LOAM_IO_STAGING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct loam_staging {
    char *target;
    char *directory; // where the files are made; on the target's file system, so that a move is a rename
    size_t kept;     // so many bytes of `target` name what was there before
};

// Checks and makes `target` as loam_output_directory_prepare does, and the directory in it.
enum loam_status loam_staging_open(struct loam_staging *staging, const char *target, bool overwrite,
                                   struct loam_error *error);
// Makes the directory anew where it is not there any more. What was in it is to be made again.
enum loam_status loam_staging_restore(const struct loam_staging *staging, struct loam_error *error);
// Moves every file into the target, in the place of one that is there, or none of them where a directory
// stands in the way; `last` after all others, for the file by which readers know that the directory is what
// it is.
enum loam_status loam_staging_commit(const struct loam_staging *staging, const char *last,
                                     struct loam_error *error);
// What would stop that, found without moving anything.
enum loam_status loam_staging_check(const struct loam_staging *staging, const char *last,
                                    struct loam_error *error);
// What was not moved goes, and so do those of the target and the directories above it that this run has made,
// as far as nothing is in them.
void loam_staging_close(struct loam_staging *staging);

// Gives a directory whose files are all on the disk its name, `to`, at which there is nothing; both are in
// `parent`. The directory and its name are on the disk before the call returns.
enum loam_status loam_directory_publish(const char *parent, const char *from, const char *to,
                                        struct loam_error *error);
// The files in a directory, and it, as far as the system lets them go.
void loam_directory_remove(const char *path);

#endif
