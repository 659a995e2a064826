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
        free(path);
        if (errno != EEXIST) break;
    }
    return loam_fail(error, LOAM_ERROR_IO, "cannot make a directory in %s: %s", staging->target,
                     strerror(errno));
}

enum loam_status loam_staging_open(struct loam_staging *staging, const char *target, bool overwrite,
                                   struct loam_error *error)
{
    *staging = (struct loam_staging){.target = loam_strdup(target, error)};
    if (staging->target == NULL) return LOAM_ERROR_MEMORY;
    bool made = !loam_directory_exists(target);
    enum loam_status status = loam_output_directory_prepare(target, overwrite, error);
    if (status == LOAM_OK) {
        staging->made = made;
        status = make_directory(staging, error);
    }
    if (status != LOAM_OK) loam_staging_close(staging);
    return status;
}

static enum loam_status move(const struct loam_staging *staging, const char *name, struct loam_error *error)
{
    char *from = loam_path_join(staging->directory, name, error);
    char *to = from == NULL ? NULL : loam_path_join(staging->target, name, error);
    enum loam_status status = to == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
    if (status == LOAM_OK && rename(from, to) != 0)
        status = loam_fail(error, LOAM_ERROR_IO, "cannot write %s: %s", to, strerror(errno));
    free(to);
    free(from);
    return status;
}

static bool is_entry(const char *name)
{
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

enum loam_status loam_staging_commit(const struct loam_staging *staging, const char *last,
                                     struct loam_error *error)
{
    DIR *directory = opendir(staging->directory);
    if (directory == NULL)
        return loam_fail(error, LOAM_ERROR_IO, "cannot read %s: %s", staging->directory, strerror(errno));
    enum loam_status status = LOAM_OK;
    const struct dirent *entry;
    while (status == LOAM_OK && (entry = readdir(directory)) != NULL)
        if (is_entry(entry->d_name) && strcmp(entry->d_name, last) != 0)
            status = move(staging, entry->d_name, error);
    closedir(directory);
    if (status == LOAM_OK) status = move(staging, last, error);
    if (status == LOAM_OK) loam_sync_directory(staging->target);
    return status;
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

void loam_staging_close(struct loam_staging *staging)
{
    if (staging->directory != NULL) remove_directory(staging->directory);
    // Refused by the system when something is in it.
    if (staging->made) (void)rmdir(staging->target);
    free(staging->directory);
    free(staging->target);
    *staging = (struct loam_staging){0};
}
