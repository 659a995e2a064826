#include "io/staging.h"

#include <dirent.h>
#include <errno.h>
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

// Moves one file, or with `only_check` finds what would stop it: the system lets a file be renamed beside a
// directory that can be written, but not to the name of a directory.
static enum loam_status move(const struct loam_staging *staging, const char *name, bool only_check,
                             struct loam_error *error)
{
    char *from = loam_path_join(staging->directory, name, error);
    char *to = from == NULL ? NULL : loam_path_join(staging->target, name, error);
    enum loam_status status = to == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
    int reason = 0;
    if (status == LOAM_OK && only_check)
        reason = loam_directory_exists(to) ? EISDIR : access(from, F_OK) != 0 ? errno : 0;
    else if (status == LOAM_OK && rename(from, to) != 0)
        reason = errno;
    if (reason != 0) status = loam_fail(error, LOAM_ERROR_IO, "cannot write %s: %s", to, strerror(reason));
    free(to);
    free(from);
    return status;
}

static bool is_entry(const char *name)
{
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static enum loam_status move_all(const struct loam_staging *staging, const char *last, bool only_check,
                                 struct loam_error *error)
{
    DIR *directory = opendir(staging->directory);
    if (directory == NULL)
        return loam_fail(error, LOAM_ERROR_IO, "cannot read %s: %s", staging->directory, strerror(errno));
    enum loam_status status = LOAM_OK;
    const struct dirent *entry;
    while (status == LOAM_OK && (entry = readdir(directory)) != NULL)
        if (is_entry(entry->d_name) && strcmp(entry->d_name, last) != 0)
            status = move(staging, entry->d_name, only_check, error);
    closedir(directory);
    return status == LOAM_OK ? move(staging, last, only_check, error) : status;
}

enum loam_status loam_staging_commit(const struct loam_staging *staging, const char *last,
                                     struct loam_error *error)
{
    LOAM_TRY(move_all(staging, last, true, error));
    LOAM_TRY(move_all(staging, last, false, error));
    loam_sync_directory(staging->target);
    return LOAM_OK;
}

// The files in the directory, and it.
static void remove_directory(const char *path)
{
    DIR *directory = opendir(path);
    if (directory == NULL) return;
    for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        if (is_entry(entry->d_name)) (void)unlinkat(dirfd(directory), entry->d_name, 0);
    }
    closedir(directory);
    (void)rmdir(path);
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
    if (staging->directory != NULL) remove_directory(staging->directory);
    if (staging->target != NULL) remove_made(staging);
    free(staging->directory);
    free(staging->target);
    *staging = (struct loam_staging){0};
}
