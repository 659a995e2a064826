#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/heap.h"

enum { POINTER_LIMIT = 1024 }; // bytes of a Git LFS pointer

// Describes what is not a regular file, for messages.
static const char *describe_kind(mode_t mode)
{
    if (S_ISDIR(mode)) return "a directory: name a file in it";
    if (S_ISFIFO(mode)) return "a pipe: write it to a file first, for it is read more than once";
    return S_ISSOCK(mode) ? "a socket" : "a device";
}

// Refuses a Git LFS pointer. A repository that was cloned without Git LFS has a few lines of text in place of
// each large file.
static enum loam_status refuse_pointer(int fd, const char *path, size_t size, struct loam_error *error)
{
    static const char sign[] = "version https://git-lfs.github.com/spec/v1";
    char start[sizeof sign - 1];
    if (size > POINTER_LIMIT || pread(fd, start, sizeof start, 0) != (ssize_t)sizeof start ||
        memcmp(start, sign, sizeof start) != 0)
        return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT,
                     "%s is only a Git LFS pointer to the file: get the file itself with \"git lfs pull\"",
                     path);
}

enum loam_status loam_file_open(const char *path, int *descriptor, size_t *size, struct loam_error *error)
{
    // O_NONBLOCK prevents a wait for the writer of a pipe. It does not affect regular files.
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return loam_fail(error, LOAM_ERROR_IO, "cannot open %s: %s", path, strerror(errno));
    struct stat about;
    enum loam_status status = LOAM_OK;
    if (fstat(fd, &about) != 0)
        status = loam_fail(error, LOAM_ERROR_IO, "cannot read %s: %s", path, strerror(errno));
    else if (!S_ISREG(about.st_mode))
        status = loam_fail(error, LOAM_ERROR_IO, "cannot read %s: it is not a regular file but %s", path,
                           describe_kind(about.st_mode));
    else
        status = refuse_pointer(fd, path, (size_t)about.st_size, error);
    if (status != LOAM_OK) {
        close(fd);
        return status;
    }
    *descriptor = fd;
    *size = (size_t)about.st_size;
    return LOAM_OK;
}

enum loam_status loam_map_descriptor(struct loam_map *map, int descriptor, size_t size, const char *path,
                                     bool populate, struct loam_error *error)
{
    *map = (struct loam_map){0};
    if (size == 0) return LOAM_OK;
    void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE | (populate ? MAP_POPULATE : 0), descriptor, 0);
    if (data == MAP_FAILED)
        return loam_fail(error, LOAM_ERROR_IO, "cannot map %s: %s", path, strerror(errno));
    *map = (struct loam_map){.data = data, .size = size};
    return LOAM_OK;
}

enum loam_status loam_map_open(struct loam_map *map, const char *path, bool populate,
                               struct loam_error *error)
{
    *map = (struct loam_map){0};
    int fd = -1;
    size_t size = 0;
    LOAM_TRY(loam_file_open(path, &fd, &size, error));
    enum loam_status status = loam_map_descriptor(map, fd, size, path, populate, error);
    close(fd); // the mapping stays
    return status;
}

void loam_map_close(struct loam_map *map)
{
    if (map->data != NULL) munmap((void *)(uintptr_t)map->data, map->size);
    *map = (struct loam_map){0};
}

void loam_map_populate(const void *data, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = (uintptr_t)data / page * page;
    uintptr_t end = (uintptr_t)data + size;
#ifdef MADV_POPULATE_READ
    // Linux before 5.14 does not know this advice; pages are then read when they are first accessed.
    (void)madvise((void *)begin, end - begin, MADV_POPULATE_READ);
#else
    (void)madvise((void *)begin, end - begin, MADV_WILLNEED);
#endif
}

void loam_map_release(const void *data, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    // Whole pages only: the first and the last may also hold data of neighbours.
    uintptr_t begin = ((uintptr_t)data + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)data + size) / page * page;
    if (begin < end) (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
}

void loam_map_reader_advance(struct loam_map_reader *reader, size_t at)
{
    enum { WINDOW = 4 << 20 }; // bytes; a multiple of the page size
    if (reader->data == NULL || at - reader->released < WINDOW) return;
    size_t until = at / WINDOW * WINDOW;
    loam_map_release(reader->data + reader->released, until - reader->released);
    reader->released = until;
}

// Reads until the end, because the file may have changed since its size was queried.
static enum loam_status read_all(int fd, const char *path, size_t limit, struct loam_bytes *bytes,
                                 struct loam_error *error)
{
    size_t total = 0;
    for (;;) {
        char block[1 << 16];
        ssize_t got = read(fd, block, sizeof block);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return loam_fail(error, LOAM_ERROR_IO, "cannot read %s: %s", path, strerror(errno));
        if (got == 0) return LOAM_OK;
        if ((size_t)got > limit - total)
            return loam_fail(error, LOAM_ERROR_FORMAT, "%s is larger than the %zu bytes allowed for it", path,
                             limit);
        LOAM_TRY(loam_bytes_append(bytes, block, (size_t)got, error));
        total += (size_t)got;
    }
}

enum loam_status loam_file_read(const char *path, size_t limit, struct loam_bytes *bytes,
                                struct loam_error *error)
{
    int fd = -1;
    size_t size = 0;
    LOAM_TRY(loam_file_open(path, &fd, &size, error));
    enum loam_status status = refuse_pointer(fd, path, size, error);
    if (status == LOAM_OK && size > limit)
        status = loam_fail(error, LOAM_ERROR_FORMAT, "%s has %zu bytes; at most %zu are allowed for it", path,
                           size, limit);
    if (status == LOAM_OK) status = loam_bytes_reserve(bytes, bytes->size + size, error);
    if (status == LOAM_OK) status = read_all(fd, path, limit, bytes, error);
    close(fd);
    return status;
}

bool loam_file_exists(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISREG(about.st_mode);
}

bool loam_directory_exists(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

bool loam_path_is_link(const char *path)
{
    struct stat about;
    return lstat(path, &about) == 0 && S_ISLNK(about.st_mode);
}

// ---- Files inside their directory ----

// Whether `path` is in the directory that is the first `size` bytes of `directory`.
static bool is_below(const char *path, const char *directory, size_t size)
{
    while (size > 0 && directory[size - 1] == '/')
        size--;
    return strncmp(path, directory, size) == 0 && path[size] == '/';
}

// Whether `directory` is at or below ".../models--NAME/snapshots/COMMIT" and `path` is in
// ".../models--NAME/blobs".
static bool is_blob(const char *path, const char *directory)
{
    static const char snapshots[] = "/snapshots/", blobs[] = "/blobs/", models[] = "models--";
    const char *end = NULL;
    for (const char *found = directory; (found = strstr(found, snapshots)) != NULL; found++)
        end = found;
    if (end == NULL) return false;
    size_t size = (size_t)(end - directory);
    const char *repository = end;
    while (repository > directory && repository[-1] != '/')
        repository--;
    return strncmp(repository, models, sizeof models - 1) == 0 && strncmp(path, directory, size) == 0 &&
           strncmp(path + size, blobs, sizeof blobs - 1) == 0;
}

enum loam_status loam_file_check_inside(const char *directory, const char *name, struct loam_error *error)
{
    char real[PATH_MAX], real_directory[PATH_MAX];
    char *path = loam_path_join(directory, name, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = LOAM_OK;
    if (realpath(path, real) == NULL || realpath(directory, real_directory) == NULL) {
        if (errno == ENOMEM)
            status = loam_fail(error, LOAM_ERROR_MEMORY, "out of memory while resolving %s", path);
    } else if (!is_below(real, real_directory, strlen(real_directory)) && !is_blob(real, real_directory)) {
        status = loam_fail(error, LOAM_ERROR_ARGUMENT,
                           "%s is a link to %s, outside of %s: put the file itself there, or remove the link",
                           path, real, directory);
    }
    free(path);
    return status;
}

bool loam_directory_same(const char *a, const char *b)
{
    struct stat about_a;
    struct stat about_b;
    return stat(a, &about_a) == 0 && stat(b, &about_b) == 0 && about_a.st_dev == about_b.st_dev &&
           about_a.st_ino == about_b.st_ino;
}

char *loam_path_join(const char *directory, const char *name, struct loam_error *error)
{
    size_t length = strlen(directory);
    bool slash = length == 0 || directory[length - 1] == '/';
    return loam_format(error, "%s%s%s", directory, slash ? "" : "/", name);
}
