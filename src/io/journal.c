#include "io/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/heap.h"

// Do not follow a link or wait for the reader of a pipe.
enum { OPEN_FLAGS = O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK };

static enum loam_status fail_system(const struct loam_journal *journal, const char *what,
                                    struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_IO, "%s cannot %s: %s", journal->path, what, strerror(errno));
}

enum loam_status loam_journal_open(struct loam_journal *journal, const char *path, struct loam_error *error)
{
    *journal = (struct loam_journal){.path = loam_strdup(path, error), .descriptor = -1};
    if (journal->path != NULL) journal->bytes = loam_calloc(LOAM_JOURNAL_BYTES, 1, error);
    if (journal->bytes != NULL) return LOAM_OK;
    loam_journal_close(journal);
    return LOAM_ERROR_MEMORY;
}

enum loam_status loam_journal_reopen(struct loam_journal *journal, const char *path, int64_t bytes,
                                     struct loam_error *error)
{
    LOAM_TRY(loam_journal_open(journal, path, error));
    enum loam_status status = LOAM_OK;
    journal->descriptor = open(path, OPEN_FLAGS);
    if (journal->descriptor < 0)
        status = fail_system(journal, "be opened", error);
    else if (ftruncate(journal->descriptor, bytes) != 0)
        status = fail_system(journal, "be shortened", error);
    journal->base = bytes;
    if (status != LOAM_OK) loam_journal_close(journal);
    return status;
}

void loam_journal_close(struct loam_journal *journal)
{
    if (journal->path != NULL && journal->descriptor >= 0) close(journal->descriptor);
    free(journal->path);
    free(journal->bytes);
    *journal = (struct loam_journal){.descriptor = -1};
}

int64_t loam_journal_size(const struct loam_journal *journal)
{
    return journal->base + (int64_t)journal->size;
}

// Whether the path still names the open file, and the file has all bytes that were written.
static bool is_complete(const struct loam_journal *journal)
{
    struct stat own, named;
    return fstat(journal->descriptor, &own) == 0 && stat(journal->path, &named) == 0 &&
           own.st_dev == named.st_dev && own.st_ino == named.st_ino &&
           (!S_ISREG(own.st_mode) || own.st_size >= journal->base + (int64_t)journal->written);
}

// Forgets a file that was removed or moved away. The next write creates it again.
static void forget_file(struct loam_journal *journal)
{
    close(journal->descriptor);
    journal->descriptor = -1;
    journal->written = 0;
    journal->lost += journal->base > 0;
    journal->base = 0;
}

static void make_directory(struct loam_journal *journal)
{
    char *slash = strrchr(journal->path, '/');
    if (slash == NULL) return;
    *slash = '\0';
    (void)mkdir(journal->path, 0777);
    *slash = '/';
}

// Whether it is a link or a file with other names. Writing to it would change a file elsewhere.
static bool is_shared(int descriptor)
{
    struct stat about;
    if (descriptor < 0) return errno == ELOOP;
    return fstat(descriptor, &about) == 0 && S_ISREG(about.st_mode) && about.st_nlink > 1;
}

// Creates the file or empties the one that exists.
static enum loam_status create_file(struct loam_journal *journal, struct loam_error *error)
{
    if (journal->owns_directory) make_directory(journal);
    int descriptor = open(journal->path, OPEN_FLAGS | O_CREAT, 0666);
    if (is_shared(descriptor)) {
        if (descriptor >= 0) close(descriptor);
        (void)unlink(journal->path);
        descriptor = open(journal->path, OPEN_FLAGS | O_CREAT | O_EXCL, 0666);
    }
    if (descriptor < 0) return fail_system(journal, "be made", error);
    if (ftruncate(descriptor, 0) != 0 && errno != EINVAL) { // EINVAL: a device has no size
        enum loam_status status = fail_system(journal, "be made", error);
        close(descriptor);
        return status;
    }
    journal->descriptor = descriptor;
    return LOAM_OK;
}

// Removes an incomplete record from the end of the file, and a file that has no record.
static void cut_incomplete(struct loam_journal *journal)
{
    off_t end = (off_t)(journal->base + (int64_t)journal->written);
    if (ftruncate(journal->descriptor, end) != 0 || end > 0) return; // a device cannot be cut
    (void)unlink(journal->path);
    close(journal->descriptor);
    journal->descriptor = -1;
}

enum loam_status loam_journal_flush(struct loam_journal *journal, struct loam_error *error)
{
    if (journal->descriptor >= 0 && !is_complete(journal)) forget_file(journal);
    if (journal->written == journal->size) return LOAM_OK;
    if (journal->descriptor < 0) LOAM_TRY(create_file(journal, error));
    for (size_t done = journal->written; done < journal->size;) {
        ssize_t put = pwrite(journal->descriptor, journal->bytes + done, journal->size - done,
                             (off_t)(journal->base + (int64_t)done));
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) {
            enum loam_status status = fail_system(journal, "be written", error);
            cut_incomplete(journal);
            return status;
        }
        done += (size_t)put;
    }
    journal->written = journal->size;
    return LOAM_OK;
}

// Makes room in memory.
static void drop_written(struct loam_journal *journal)
{
    journal->size -= journal->written;
    memmove(journal->bytes, journal->bytes + journal->written, journal->size);
    journal->base += (int64_t)journal->written;
    journal->written = 0;
}

enum loam_status loam_journal_append(struct loam_journal *journal, const void *record, size_t size,
                                     struct loam_error *error)
{
    if (size > LOAM_JOURNAL_BYTES - journal->size) drop_written(journal);
    if (size > LOAM_JOURNAL_BYTES - journal->size) {
        journal->lost++;
    } else if (size > 0) {
        memcpy(journal->bytes + journal->size, record, size);
        journal->size += size;
    }
    return loam_journal_flush(journal, error);
}
