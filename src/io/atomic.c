#include "io/atomic.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/heap.h"

enum { TEMPORARY_ATTEMPTS = 1000 };

// Opens the first free name in the target's directory. mkstemp does not serve: only the owner may read its
// files.
static enum loam_status open_temporary(struct loam_atomic_file *file, int *descriptor,
                                       struct loam_error *error)
{
    for (int attempt = 0; attempt < TEMPORARY_ATTEMPTS; attempt++) {
        free(file->temporary);
        file->temporary = loam_format(error, "%s.tmp-%ld-%d", file->path, (long)getpid(), attempt);
        if (file->temporary == NULL) return LOAM_ERROR_MEMORY;
        *descriptor = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (*descriptor >= 0) {
            (void)flock(*descriptor, LOCK_EX | LOCK_NB); // see loam_atomic_clear
            return LOAM_OK;
        }
        if (errno != EEXIST) break;
    }
    int reason = errno;
    free(file->temporary); // another process has this file: abort must not remove it
    file->temporary = NULL;
    return loam_fail(error, LOAM_ERROR_IO, "cannot write %s: %s", file->path, strerror(reason));
}

enum loam_status loam_atomic_open(struct loam_atomic_file *file, const char *path, struct loam_error *error)
{
    *file = (struct loam_atomic_file){.path = loam_strdup(path, error)};
    if (file->path == NULL) return LOAM_ERROR_MEMORY;
    int descriptor = -1;
    enum loam_status status = open_temporary(file, &descriptor, error);
    if (status == LOAM_OK) {
        file->stream = fdopen(descriptor, "wb");
        if (file->stream == NULL) {
            status = loam_fail(error, LOAM_ERROR_IO, "cannot write %s: %s", path, strerror(errno));
            close(descriptor);
        }
    }
    if (status != LOAM_OK) loam_atomic_abort(file);
    return status;
}

enum loam_status loam_atomic_write(struct loam_atomic_file *file, const void *data, size_t size,
                                   struct loam_error *error)
{
    if (size > 0 && fwrite(data, 1, size, file->stream) != size)
        return loam_fail(error, LOAM_ERROR_IO, "cannot write %s: %s", file->path, strerror(errno));
    return LOAM_OK;
}

// The directory that `path` is in; NULL without memory. Released with free().
static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? strdup(".") : slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

// The rename must reach the disk. Some file systems cannot sync a directory; the rename is still valid there.
static void sync_directory_of(const char *path)
{
    char *directory = directory_of(path);
    if (directory == NULL) return;
    int descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor >= 0) {
        (void)fsync(descriptor);
        close(descriptor);
    }
    free(directory);
}

// A failure here leaves the temporary to loam_atomic_abort.
static int flush_and_rename(struct loam_atomic_file *file)
{
    if (fflush(file->stream) != 0 || fsync(fileno(file->stream)) != 0) return -1;
    int closed = fclose(file->stream);
    file->stream = NULL;
    return closed == 0 ? rename(file->temporary, file->path) : -1;
}

enum loam_status loam_atomic_commit(struct loam_atomic_file *file, struct loam_error *error)
{
    enum loam_status status = LOAM_OK;
    if (flush_and_rename(file) != 0) {
        status = loam_fail(error, LOAM_ERROR_IO, "cannot write %s: %s", file->path, strerror(errno));
    } else {
        sync_directory_of(file->path);
        free(file->temporary);
        file->temporary = NULL;
    }
    loam_atomic_abort(file);
    return status;
}

void loam_atomic_abort(struct loam_atomic_file *file)
{
    if (file->stream != NULL) fclose(file->stream);
    if (file->temporary != NULL) unlink(file->temporary);
    free(file->temporary);
    free(file->path);
    *file = (struct loam_atomic_file){0};
}

// The process in "NAME.tmp-PROCESS-NUMBER"; -1: another name.
static long process_of(const char *entry, const char *name)
{
    static const char infix[] = ".tmp-";
    size_t size = strlen(name);
    if (strncmp(entry, name, size) != 0 || strncmp(entry + size, infix, sizeof infix - 1) != 0) return -1;
    const char *digits = entry + size + sizeof infix - 1;
    char *end;
    if (digits[0] < '1' || digits[0] > '9') return -1;
    long process = strtol(digits, &end, 10);
    if (*end != '-' || end[1] == '\0' || end[1 + strspn(end + 1, "0123456789")] != '\0') return -1;
    return process;
}

// Whether no process writes the file: the process in its name has ended or is this one, and the lock is free.
// Both are checked: a process number is valid on one machine and in one container only, and some file systems
// have no locks.
static bool is_abandoned(int directory, const char *entry, long process)
{
    if (process != getpid() && (kill((pid_t)process, 0) == 0 || errno != ESRCH)) return false;
    struct stat about;
    int descriptor = openat(directory, entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool abandoned = descriptor >= 0 && fstat(descriptor, &about) == 0 && S_ISREG(about.st_mode) &&
                     flock(descriptor, LOCK_EX | LOCK_NB) == 0;
    if (descriptor >= 0) close(descriptor);
    return abandoned;
}

static void clear_in(const char *path, const char *name)
{
    DIR *directory = opendir(path);
    if (directory == NULL) return;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        long process = process_of(entry->d_name, name);
        if (process > 0 && is_abandoned(dirfd(directory), entry->d_name, process))
            (void)unlinkat(dirfd(directory), entry->d_name, 0);
    }
    closedir(directory);
}

void loam_atomic_clear(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory = directory_of(path);
    if (directory != NULL) clear_in(directory, slash == NULL ? path : slash + 1);
    free(directory);
}

enum loam_status loam_atomic_write_file(const char *path, const void *data, size_t size,
                                        struct loam_error *error)
{
    struct loam_atomic_file file;
    LOAM_TRY(loam_atomic_open(&file, path, error));
    enum loam_status status = loam_atomic_write(&file, data, size, error);
    if (status == LOAM_OK) return loam_atomic_commit(&file, error);
    loam_atomic_abort(&file);
    return status;
}

enum loam_status loam_atomic_copy_file(const char *from, const char *to, struct loam_error *error)
{
    struct loam_map map;
    LOAM_TRY(loam_map_open(&map, from, false, error));
    enum loam_status status = loam_atomic_write_file(to, map.data, map.size, error);
    loam_map_close(&map);
    return status;
}

enum loam_status loam_directory_make(const char *path, size_t *kept, struct loam_error *error)
{
    char *partial = loam_strdup(path, error);
    if (partial == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = LOAM_OK;
    size_t there = 0;
    bool made = false;
    for (char *end = partial + (partial[0] != '\0'); status == LOAM_OK; end++) {
        bool last = *end == '\0';
        if (!last && *end != '/') continue;
        *end = '\0';
        if (mkdir(partial, 0777) == 0)
            made = true;
        else if (errno != EEXIST || !loam_directory_exists(partial))
            status =
                loam_fail(error, LOAM_ERROR_IO, "cannot make the directory %s: %s", partial, strerror(errno));
        if (!made) there = (size_t)(end - partial);
        if (last) break;
        *end = '/';
    }
    free(partial);
    if (kept != NULL) *kept = there;
    return status;
}

enum loam_status loam_output_directory_require_empty(const char *path, struct loam_error *error)
{
    DIR *directory = opendir(path);
    if (directory == NULL)
        return loam_fail(error, LOAM_ERROR_IO, "cannot read the output directory %s: %s", path,
                         strerror(errno));
    bool empty = true;
    for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) empty = false;
    closedir(directory);
    if (empty) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_EXISTS,
                     "the output directory %s is not empty; choose another or pass --overwrite", path);
}

enum loam_status loam_output_directory_prepare(const char *path, bool overwrite, size_t *kept,
                                               struct loam_error *error)
{
    if (kept != NULL) *kept = strlen(path);
    if (path[0] == '\0')
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "the output directory has an empty name");
    struct stat about;
    if (stat(path, &about) != 0) return loam_directory_make(path, kept, error);
    if (!S_ISDIR(about.st_mode))
        return loam_fail(error, LOAM_ERROR_EXISTS,
                         "the output %s is there and is not a directory; choose another", path);
    if (!overwrite) LOAM_TRY(loam_output_directory_require_empty(path, error));
    if (access(path, W_OK | X_OK) != 0)
        return loam_fail(error, LOAM_ERROR_IO, "cannot write into the output directory %s: %s", path,
                         strerror(errno));
    return LOAM_OK;
}

enum loam_status loam_output_file_check(const char *path, bool overwrite, struct loam_error *error)
{
    if (path[0] == '\0') return loam_fail(error, LOAM_ERROR_ARGUMENT, "the file to write has an empty name");
    if (loam_directory_exists(path))
        return loam_fail(error, LOAM_ERROR_EXISTS, "%s is a directory; a file is to be written", path);
    if (overwrite || access(path, F_OK) != 0) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_EXISTS, "%s is already there; choose another or pass --overwrite",
                     path);
}
