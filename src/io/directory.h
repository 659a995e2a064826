// Directories that loam works in. What is in them may come from anywhere, from an archive say: no link in
// them is followed here, and only what loam has made is removed.
#ifndef LOAM_IO_DIRECTORY_H
#define LOAM_IO_DIRECTORY_H

#include <stdbool.h>

#include "base/log.h"

// An empty file in each work directory. A directory without it, or without the files that are in every
// checkpoint, is never removed.
#define LOAM_WORK_MARK ".loam-work"

// A directory for files that are being made: "PARENT/.loam-PROCESS-NUMBER", `*path`, released with free().
enum loam_status loam_work_directory_make(const char *parent, char **path, struct loam_error *error);
// Makes it anew where it is not there any more.
enum loam_status loam_work_directory_restore(const char *path, struct loam_error *error);
// Whether a directory of this name is one of these.
bool loam_work_directory_is_name(const char *name);
// Removes the work directories in `parent`. The caller holds the lock of `parent`, so that no command works
// in them.
void loam_work_directories_clear(const char *parent);

// Removes a directory that loam has marked, or that is empty, and all that is in it, as far as the system
// lets it. Links in it are removed themselves; other file systems that are mounted in it are left alone.
// Where `path` is a link, the link goes. What loam has not marked stays.
void loam_directory_remove(const char *path);
// The same, and never leaves half of it under its name: it goes by a new name first. `path` is in `parent`.
// LOAM_ERROR_IO where it cannot be taken away or is not marked; nothing at `path` is no failure.
enum loam_status loam_directory_take_away(const char *parent, const char *path, struct loam_error *error);

// Gives a work directory whose files are all on the disk its name, `to`, at which there is nothing; both are
// in `parent`. The directory and its name are on the disk before the call returns.
enum loam_status loam_directory_publish(const char *parent, const char *from, const char *to,
                                        struct loam_error *error);

// Keeps other commands out of a directory: `*lock` is a descriptor, which goes with the process. Where the
// file system has no locks, `*held` is false and a warning tells it. LOAM_ERROR_EXISTS: another has it.
enum loam_status loam_directory_lock(const char *path, int *lock, bool *held, const struct loam_log *log,
                                     struct loam_error *error);
// Whether `path` still names the directory that is open as `descriptor`.
bool loam_directory_is_open_as(const char *path, int descriptor);

#endif
