#include "data/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"

enum loam_status loam_scratch_open(struct loam_scratch *scratch, const char *path, const char *contents,
                                   const char *purpose, struct loam_error *error)
{
    const char *given = getenv("TMPDIR");
    *scratch = (struct loam_scratch){.path = path,
                                     .contents = contents,
                                     .directory = given != NULL && given[0] != '\0' ? given : "/tmp",
                                     .descriptor = -1,
                                     .limit = UINT64_MAX};
    char *name = loam_path_join(scratch->directory, "loam-XXXXXX", error);
    if (name == NULL) return LOAM_ERROR_MEMORY;
    scratch->descriptor = mkostemp(name, O_CLOEXEC);
    const int cause = errno;
    if (scratch->descriptor >= 0) unlink(name);
    free(name);
    if (scratch->descriptor < 0)
        return loam_fail(error, LOAM_ERROR_IO,
                         "%s: cannot make a temporary file in %s %s: %s; set TMPDIR to a directory with room",
                         path, scratch->directory, purpose, strerror(cause));
    struct statvfs about;
    if (fstatvfs(scratch->descriptor, &about) == 0)
        scratch->limit = (uint64_t)about.f_bavail * about.f_frsize / 10 * 9;
    return LOAM_OK;
}

void loam_scratch_close(struct loam_scratch *scratch)
{
    if (scratch->descriptor >= 0) close(scratch->descriptor);
    scratch->descriptor = -1;
}

static enum loam_status fail_room(const struct loam_scratch *scratch, const char *cause,
                                  struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_IO,
                     "%s: no room for %s in %s after %llu bytes: %s; set TMPDIR to a directory with more",
                     scratch->path, scratch->contents, scratch->directory, (unsigned long long)scratch->size,
                     cause);
}

enum loam_status loam_scratch_append(struct loam_scratch *scratch, const void *data, size_t size,
                                     struct loam_error *error)
{
    if (size > scratch->limit - scratch->size)
        return fail_room(scratch, "nine tenths of the free space are used", error);
    for (size_t done = 0; done < size;) {
        const ssize_t put = write(scratch->descriptor, (const char *)data + done, size - done);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return fail_room(scratch, strerror(errno), error);
        done += (size_t)put;
    }
    scratch->size += size;
    return LOAM_OK;
}

enum loam_status loam_scratch_read(const struct loam_scratch *scratch, uint64_t at, void *data, size_t size,
                                   struct loam_error *error)
{
    for (size_t done = 0; done < size;) {
        const ssize_t got = pread(scratch->descriptor, (char *)data + done, size - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0)
            return loam_fail(error, LOAM_ERROR_IO, "%s: the temporary file of %s in %s cannot be read: %s",
                             scratch->path, scratch->contents, scratch->directory,
                             got < 0 ? strerror(errno) : "it is cut short");
        done += (size_t)got;
    }
    return LOAM_OK;
}
