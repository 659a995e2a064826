// An output directory whose files appear together. They are written in a work directory inside the target and
// moved into place once all are complete. Until then the target's files do not change.
#ifndef LOAM_IO_STAGING_H
#define LOAM_IO_STAGING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/log.h"

struct loam_staging {
    char *target;
    char *directory; // where the files are written; on the target's file system, so that a move is a rename
    size_t kept;     // length of the part of `target` that existed before
    int lock;        // of the target; -1: not held
};

// Checks and makes `target` as loam_output_directory_prepare does, keeps other commands out of it until the
// staging is closed, removes the work directories of commands that were killed there, and makes one.
enum loam_status loam_staging_open(struct loam_staging *staging, const char *target, bool overwrite,
                                   const struct loam_log *log, struct loam_error *error);
// Makes the work directory again where it is gone, also after a commit. The caller makes its files again.
enum loam_status loam_staging_restore(struct loam_staging *staging, struct loam_error *error);
// Moves every file into the target, in the place of one that is there, or none of them where a directory
// stands in the way; files of a directory into the target's directory of that name. `last` is moved after all
// others: it is the file by which readers know what the directory is.
enum loam_status loam_staging_commit(struct loam_staging *staging, const char *last,
                                     struct loam_error *error);
// Finds what would make the commit fail, without moving anything.
enum loam_status loam_staging_check(const struct loam_staging *staging, const char *last,
                                    struct loam_error *error);
// Removes what was not moved, releases the lock, and removes the target and the directories above it where
// this run made them and they are empty.
void loam_staging_close(struct loam_staging *staging);

#endif
