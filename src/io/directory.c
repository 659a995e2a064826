#include "io/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/heap.h"

enum { ATTEMPTS = 1000, DEEPEST = 16 };

// Files that prove that loam has made a directory. The last two are in every checkpoint.
static const char *const marks[] = {LOAM_WORK_MARK, "checksums.sha256", "loam_state.json"};
enum { MARKS = sizeof marks / sizeof marks[0] };

static bool is_mark(const char *name)
{
    for (size_t i = 0; i < MARKS; i++)
        if (strcmp(name, marks[i]) == 0) return true;
    return false;
}

static bool is_entry(const char *name)
{
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

// ---- work directories ----

static const char prefix[] = ".loam-";

bool loam_work_directory_is_name(const char *name)
{
    static const char digits[] = "0123456789";
    if (strncmp(name, prefix, sizeof prefix - 1) != 0) return false;
    const char *process = name + sizeof prefix - 1;
    size_t size = strspn(process, digits);
    if (size == 0 || process[size] != '-') return false;
    const char *number = process + size + 1;
    return number[0] != '\0' && number[strspn(number, digits)] == '\0';
}

static enum loam_status fail_write(const char *parent, int reason, struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_IO, "cannot write into the output directory %s: %s", parent,
                     strerror(reason));
}

// Sets `*path` to the next free name, or to NULL on failure.
static enum loam_status find_free_name(const char *parent, int *attempt, char **path,
                                       struct loam_error *error)
{
    struct stat about;
    for (*path = NULL; *attempt < ATTEMPTS; free(*path)) {
        *path = loam_format(error, "%s/%s%ld-%d", parent, prefix, (long)getpid(), (*attempt)++);
        if (*path == NULL) return LOAM_ERROR_MEMORY;
        if (lstat(*path, &about) != 0) return LOAM_OK;
    }
    *path = NULL;
    return loam_fail(error, LOAM_ERROR_IO, "cannot write into the output directory %s: remove %s* from it",
                     parent, prefix);
}

// Marks a directory that was just made. A directory without a mark is never removed.
static int mark(const char *path)
{
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (directory < 0) return errno;
    int file = openat(directory, LOAM_WORK_MARK, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    int reason = file < 0 ? errno : 0;
    if (file >= 0) close(file);
    close(directory);
    return reason;
}

// 0, or the reason of the failure, after which there is no directory.
static int make_marked(const char *path)
{
    if (mkdir(path, 0777) != 0) return errno;
    int reason = mark(path);
    if (reason != 0) (void)rmdir(path);
    return reason;
}

enum loam_status loam_work_directory_make(const char *parent, char **path, struct loam_error *error)
{
    int attempt = 0;
    for (;;) {
        LOAM_TRY(find_free_name(parent, &attempt, path, error));
        int reason = make_marked(*path);
        if (reason == 0) return LOAM_OK;
        free(*path);
        *path = NULL;
        if (reason != EEXIST) return fail_write(parent, reason, error);
    }
}

enum loam_status loam_work_directory_restore(const char *path, struct loam_error *error)
{
    int reason = make_marked(path);
    if (reason == EEXIST) reason = mark(path); // refuses a link that came in its place
    if (reason == 0) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_IO, "cannot write %s: %s", path, strerror(reason));
}

void loam_work_directories_clear(const char *parent)
{
    DIR *directory = opendir(parent);
    if (directory == NULL) return;
    struct stat about;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (!loam_work_directory_is_name(entry->d_name) ||
            fstatat(dirfd(directory), entry->d_name, &about, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISDIR(about.st_mode))
            continue;
        char *path = loam_path_join(parent, entry->d_name, NULL);
        if (path != NULL) loam_directory_remove(path);
        free(path);
    }
    closedir(directory);
}

// ---- removing ----

static bool holds_mark(int directory)
{
    struct stat about;
    for (size_t i = 0; i < MARKS; i++)
        if (fstatat(directory, marks[i], &about, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(about.st_mode))
            return true;
    return false;
}

// Opens a directory to read and follows no link. NULL and errno on failure.
static DIR *open_itself(int parent, const char *name)
{
    int descriptor = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (descriptor < 0) return NULL;
    DIR *directory = fdopendir(descriptor);
    if (directory == NULL) close(descriptor);
    return directory;
}

static void empty(DIR *directory, dev_t device, int depth);

// A file, a link or a directory with all that is in it.
static void remove_entry(int parent, const char *name, dev_t device, int depth)
{
    struct stat about;
    if (fstatat(parent, name, &about, AT_SYMLINK_NOFOLLOW) != 0) return;
    if (!S_ISDIR(about.st_mode)) {
        (void)unlinkat(parent, name, 0);
        return;
    }
    DIR *directory = about.st_dev == device && depth < DEEPEST ? open_itself(parent, name) : NULL;
    if (directory != NULL) {
        empty(directory, device, depth + 1);
        closedir(directory);
    }
    (void)unlinkat(parent, name, AT_REMOVEDIR);
}

// Removes the marks at the top last, so that an interrupted removal can be resumed.
static void empty(DIR *directory, dev_t device, int depth)
{
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (is_entry(entry->d_name) && (depth > 0 || !is_mark(entry->d_name)))
            remove_entry(dirfd(directory), entry->d_name, device, depth);
    for (size_t i = 0; depth == 0 && i < MARKS; i++)
        (void)unlinkat(dirfd(directory), marks[i], 0);
}

void loam_directory_remove(const char *path)
{
    struct stat about;
    if (lstat(path, &about) != 0) return;
    if (S_ISLNK(about.st_mode)) (void)unlink(path);
    DIR *directory = S_ISDIR(about.st_mode) ? open_itself(AT_FDCWD, path) : NULL;
    if (directory == NULL) return;
    if (fstat(dirfd(directory), &about) == 0 && holds_mark(dirfd(directory)))
        empty(directory, about.st_dev, 0);
    closedir(directory);
    (void)rmdir(path);
}

static bool is_marked(const char *path)
{
    DIR *directory = open_itself(AT_FDCWD, path);
    bool marked = directory != NULL && holds_mark(dirfd(directory));
    if (directory != NULL) closedir(directory);
    return marked;
}

enum loam_status loam_directory_take_away(const char *parent, const char *path, struct loam_error *error)
{
    struct stat about;
    int attempt = 0;
    char *doomed;
    bool there = lstat(path, &about) == 0;
    if (!there && errno == ENOENT) return LOAM_OK;
    if (there && S_ISLNK(about.st_mode)) {
        loam_directory_remove(path);
        return LOAM_OK;
    }
    if (!is_marked(path))
        return loam_fail(error, LOAM_ERROR_IO, "cannot remove %s: loam has not made it", path);
    LOAM_TRY(find_free_name(parent, &attempt, &doomed, error));
    enum loam_status status = LOAM_OK;
    if (rename(path, doomed) == 0)
        loam_directory_remove(doomed);
    else if (errno != ENOENT)
        status = loam_fail(error, LOAM_ERROR_IO, "cannot remove %s: %s", path, strerror(errno));
    free(doomed);
    return status;
}

// ---- publishing ----

// Some file systems cannot sync a directory. That is not an error.
static void sync_directory(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return;
    (void)fsync(descriptor);
    close(descriptor);
}

static void unmark(const char *path)
{
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (directory < 0) return;
    (void)unlinkat(directory, LOAM_WORK_MARK, 0);
    close(directory);
}

enum loam_status loam_directory_publish(const char *parent, const char *from, const char *to,
                                        struct loam_error *error)
{
    unmark(from); // its own files mark it now
    sync_directory(from);
    if (rename(from, to) != 0)
        return loam_fail(error, LOAM_ERROR_IO, "cannot write %s: %s", to, strerror(errno));
    sync_directory(parent);
    return LOAM_OK;
}

// ---- the lock ----

enum loam_status loam_directory_lock(const char *path, int *lock, bool *held, const struct loam_log *log,
                                     struct loam_error *error)
{
    *held = false;
    *lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*lock < 0)
        return loam_fail(error, LOAM_ERROR_IO, "cannot read the output directory %s: %s", path,
                         strerror(errno));
    *held = flock(*lock, LOCK_EX | LOCK_NB) == 0;
    if (*held) return LOAM_OK;
    if (errno == EWOULDBLOCK) {
        close(*lock);
        *lock = -1;
        return loam_fail(error, LOAM_ERROR_EXISTS,
                         "the output directory %s is being written by another run; choose another", path);
    }
    loam_log_write(log, LOAM_LOG_WARNING,
                   "the output directory %s cannot be locked (%s): let no other run write it", path,
                   strerror(errno));
    return LOAM_OK;
}

bool loam_directory_is_open_as(const char *path, int descriptor)
{
    struct stat own, named;
    return fstat(descriptor, &own) == 0 && stat(path, &named) == 0 && own.st_dev == named.st_dev &&
           own.st_ino == named.st_ino;
}
