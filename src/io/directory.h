// Directories that loam works in. Their contents are untrusted (an unpacked archive, for example): no link in
// them is followed, and only what loam has made is removed.
#ifndef LOAM_IO_DIRECTORY_H
#define LOAM_IO_DIRECTORY_H

#include <stdbool.h>

#include "base/log.h"

// An empty file in each work directory. A directory without it, or without the files that are in every
// checkpoint, is never removed.
#define LOAM_WORK_MARK ".loam-work"

// Makes a directory for unfinished files, "PARENT/.loam-PROCESS-NUMBER". `*path` is released with free().
enum loam_status loam_work_directory_make(const char *parent, char **path, struct loam_error *error);
// Makes the work directory again where it is gone.
enum loam_status loam_work_directory_restore(const char *path, struct loam_error *error);
// Whether the name is that of a work directory.
bool loam_work_directory_is_name(const char *name);
// Removes the work directories in `parent`. The caller holds the lock of `parent`, so that no command works
// in them.
void loam_work_directories_clear(const char *parent);

// Removes a directory that loam has marked, or that is empty, and all that is in it, as far as the system
// lets it. Links in it are removed themselves; other file systems that are mounted in it are left alone.
// Where `path` is a link, the link goes. What loam has not marked stays.
void loam_directory_remove(const char *path);
// Removes a marked directory, `path` in `parent`, and never leaves half of it under its name: it is renamed
// first. LOAM_ERROR_IO where it cannot be removed or is not marked. A missing `path` is no failure.
enum loam_status loam_directory_take_away(const char *parent, const char *path, struct loam_error *error);

// Renames a work directory, whose files are all synced, to `to`, which must not exist. Both are in `parent`.
// The directory and its name are synced before the call returns.
enum loam_status loam_directory_publish(const char *parent, const char *from, const char *to,
                                        struct loam_error *error);

// Locks a directory against other commands. `*lock` is a descriptor; the lock ends with the process. On a
// file system without locks `*held` is false and a warning is logged. LOAM_ERROR_EXISTS: another command has
// the lock.
enum loam_status loam_directory_lock(const char *path, int *lock, bool *held, const struct loam_log *log,
                                     struct loam_error *error);
// Whether `path` still names the directory that is open as `descriptor`.
bool loam_directory_is_open_as(const char *path, int descriptor);

#endif
