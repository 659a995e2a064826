#include "io/staging.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/heap.h"
#include "io/atomic.h"

enum { ATTEMPTS = 1000 };

// A directory of a name that is free.
static enum loam_status make_directory(struct loam_staging *staging, struct loam_error *error)
{
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        char *path = loam_format(error, "%s/.loam-%ld-%d", staging->target, (long)getpid(), attempt);
        if (path == NULL) return LOAM_ERROR_MEMORY;
        if (mkdir(path, 0777) == 0) {
            staging->directory = path;
            return LOAM_OK;
        }
        int reason = errno;
        free(path);
        if (reason == EEXIST) continue;
        return loam_fail(error, LOAM_ERROR_IO, "cannot write into the output directory %s: %s",
                         staging->target, strerror(reason));
    }
    return loam_fail(error, LOAM_ERROR_IO, "cannot write into the output directory %s: clean it of .loam-*",
                     staging->target);
}

enum loam_status loam_staging_open(struct loam_staging *staging, const char *target, bool overwrite,
                                   struct loam_error *error)
{
    *staging = (struct loam_staging){.target = loam_strdup(target, error)};
    if (staging->target == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_output_directory_prepare(target, overwrite, &staging->kept, error);
    if (status == LOAM_OK) status = make_directory(staging, error);
    if (status != LOAM_OK) loam_staging_close(staging);
    return status;
}

enum loam_status loam_staging_restore(const struct loam_staging *staging, struct loam_error *error)
{
    if (mkdir(staging->directory, 0777) == 0 || errno == EEXIST) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_IO, "cannot write into the output directory %s: %s", staging->target,
                     strerror(errno));
}

static bool is_entry(const char *name)
{
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

// Moves one file between the two open directories, or with `only_check` finds what would stop it: the system
// lets a file be renamed where a directory can be written, but not to the name of a directory. Takes no
// memory, which could be missing when half of the files are moved.
static enum loam_status move(const struct loam_staging *staging, int from, int to, const char *name,
                             bool only_check, struct loam_error *error)
{
    struct stat about;
    int reason = 0;
    if (only_check && fstatat(from, name, &about, AT_SYMLINK_NOFOLLOW) != 0)
        reason = errno;
    else if (only_check)
        reason = fstatat(to, name, &about, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(about.st_mode) ? EISDIR : 0;
    else if (renameat(from, name, to, name) != 0)
        reason = errno;
    if (reason == 0) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_IO, "cannot write %s/%s: %s", staging->target, name, strerror(reason));
}

static enum loam_status move_all(const struct loam_staging *staging, DIR *from, int to, const char *last,
                                 bool only_check, struct loam_error *error)
{
    rewinddir(from);
    const struct dirent *entry;
    while ((entry = readdir(from)) != NULL)
        if (is_entry(entry->d_name) && strcmp(entry->d_name, last) != 0)
            LOAM_TRY(move(staging, dirfd(from), to, entry->d_name, only_check, error));
    return move(staging, dirfd(from), to, last, only_check, error);
}

// Without `move_too` it is only looked whether all files can be moved.
static enum loam_status commit(const struct loam_staging *staging, const char *last, bool move_too,
                               struct loam_error *error)
{
    DIR *from = opendir(staging->directory);
    int to = from == NULL ? -1 : open(staging->target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum loam_status status = LOAM_OK;
    if (to < 0)
        status = loam_fail(error, LOAM_ERROR_IO, "cannot read %s: %s",
                           from == NULL ? staging->directory : staging->target, strerror(errno));
    if (status == LOAM_OK) status = move_all(staging, from, to, last, true, error);
    if (status == LOAM_OK && move_too) status = move_all(staging, from, to, last, false, error);
    if (status == LOAM_OK && move_too)
        (void)fsync(to); // some file systems cannot; the renames stand all the same
    if (to >= 0) close(to);
    if (from != NULL) closedir(from);
    return status;
}

enum loam_status loam_staging_commit(const struct loam_staging *staging, const char *last,
                                     struct loam_error *error)
{
    return commit(staging, last, true, error);
}

enum loam_status loam_staging_check(const struct loam_staging *staging, const char *last,
                                    struct loam_error *error)
{
    return commit(staging, last, false, error);
}

void loam_directory_remove(const char *path)
{
    DIR *directory = opendir(path);
    if (directory == NULL) return;
    for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        if (is_entry(entry->d_name)) (void)unlinkat(dirfd(directory), entry->d_name, 0);
    }
    closedir(directory);
    (void)rmdir(path);
}

// Some file systems cannot sync a directory: it is no reason to fail.
static void sync_directory(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return;
    (void)fsync(descriptor);
    close(descriptor);
}

enum loam_status loam_directory_publish(const char *parent, const char *from, const char *to,
                                        struct loam_error *error)
{
    sync_directory(from);
    if (rename(from, to) != 0)
        return loam_fail(error, LOAM_ERROR_IO, "cannot write %s: %s", to, strerror(errno));
    sync_directory(parent);
    return LOAM_OK;
}

// Removes the directories that were made, from the innermost on. The system refuses it when something is in
// one.
static void remove_made(struct loam_staging *staging)
{
    size_t size = strlen(staging->target);
    while (size > staging->kept) {
        staging->target[size] = '\0';
        (void)rmdir(staging->target);
        while (size > staging->kept && staging->target[size - 1] == '/')
            size--;
        while (size > staging->kept && staging->target[size - 1] != '/')
            size--;
        while (size > staging->kept && staging->target[size - 1] == '/')
            size--;
    }
}

void loam_staging_close(struct loam_staging *staging)
{
    if (staging->directory != NULL) loam_directory_remove(staging->directory);
    if (staging->target != NULL) remove_made(staging);
    free(staging->directory);
    free(staging->target);
    *staging = (struct loam_staging){0};
}
