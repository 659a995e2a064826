#include "run/checkpoint_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/heap.h"
#include "io/atomic.h"
#include "io/digest.h"
#include "io/directory.h"

static const char prefix[] = "checkpoint-";

// ---- names ----

char *loam_checkpoint_path(const char *out, int64_t step, struct loam_error *error)
{
    return loam_format(error, "%s/%s%lld", out, prefix, (long long)step);
}

// Returns the step in "checkpoint-STEP"; -1 for any other name, leading zeros included.
static int64_t step_of(const char *name)
{
    size_t size = sizeof prefix - 1;
    if (strncmp(name, prefix, size) != 0) return -1;
    const char *digits = name + size;
    if (digits[0] < '1' || digits[0] > '9' || strlen(digits) > 18) return -1;
    if (digits[strspn(digits, "0123456789")] != '\0') return -1;
    return strtoll(digits, NULL, 10);
}

// ---- recognising checkpoints ----

// Finds whether the directory has a file of that name. If the system cannot tell, that is an error: an
// unreadable checkpoint must not look like a missing one.
static enum loam_status find_file(const char *directory, const char *name, bool *there,
                                  struct loam_error *error)
{
    struct stat about;
    char *path = loam_path_join(directory, name, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = LOAM_OK;
    *there = stat(path, &about) == 0;
    if (*there)
        *there = S_ISREG(about.st_mode);
    else if (errno != ENOENT && errno != ENOTDIR)
        status = loam_fail(error, LOAM_ERROR_IO, "cannot read %s: %s", path, strerror(errno));
    free(path);
    return status;
}

static enum loam_status read_sums(const char *directory, struct loam_bytes *text, struct loam_error *error)
{
    enum { LIMIT = 1 << 16 };
    char *path = loam_path_join(directory, LOAM_CHECKPOINT_SUMS, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_file_read(path, LIMIT, text, error);
    free(path);
    return status;
}

// Finds whether loam wrote the directory: it has a state file, or checksums that name one. Checksums alone do
// not tell, because other programs write them too.
static enum loam_status is_ours(const char *directory, bool *ours, struct loam_error *error)
{
    bool sums = false;
    LOAM_TRY(find_file(directory, LOAM_CHECKPOINT_STATE, ours, error));
    if (!*ours) LOAM_TRY(find_file(directory, LOAM_CHECKPOINT_SUMS, &sums, error));
    if (!sums) return LOAM_OK;
    struct loam_bytes text = {0};
    enum loam_status status = read_sums(directory, &text, error);
    if (status == LOAM_ERROR_FORMAT)
        status = LOAM_OK; // too large for a list that loam writes
    else
        *ours = status == LOAM_OK && text.data != NULL && strstr(text.data, LOAM_CHECKPOINT_STATE) != NULL;
    loam_bytes_deinit(&text);
    return status;
}

enum loam_status loam_checkpoint_advise(enum loam_status status, const char *directory,
                                        struct loam_error *error)
{
    if (status != LOAM_ERROR_IO || error == NULL) return status;
    return loam_fail(error, status, "%s; make it readable, or move %s away", error->message, directory);
}

static int descending(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left < right) - (left > right);
}

static enum loam_status add_step(struct loam_bytes *list, const char *out, const char *name,
                                 struct loam_error *error)
{
    bool ours = false;
    int64_t step = step_of(name);
    if (step < 0) return LOAM_OK;
    char *path = loam_checkpoint_path(out, step, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_checkpoint_advise(is_ours(path, &ours, error), path, error);
    free(path);
    if (status != LOAM_OK || !ours) return status;
    return loam_bytes_append(list, &step, sizeof step, error);
}

enum loam_status loam_checkpoint_list(const char *out, int64_t **steps, size_t *count,
                                      struct loam_error *error)
{
    struct loam_bytes list = {0};
    *steps = NULL;
    *count = 0;
    DIR *directory = opendir(out);
    if (directory == NULL && errno == ENOENT) return LOAM_OK;
    if (directory == NULL)
        return loam_fail(error, LOAM_ERROR_IO, "cannot read the directory %s: %s", out, strerror(errno));
    enum loam_status status = LOAM_OK;
    const struct dirent *entry;
    while (status == LOAM_OK && (errno = 0, entry = readdir(directory)) != NULL)
        status = add_step(&list, out, entry->d_name, error);
    if (status == LOAM_OK && errno != 0)
        status = loam_fail(error, LOAM_ERROR_IO, "cannot read the directory %s: %s", out, strerror(errno));
    closedir(directory);
    if (status != LOAM_OK) {
        loam_bytes_deinit(&list);
        return status;
    }
    *steps = (int64_t *)(void *)list.data; // aligned: heap memory
    *count = list.size / sizeof **steps;
    if (*count > 0) qsort(*steps, *count, sizeof **steps, descending);
    return LOAM_OK;
}

enum loam_status loam_checkpoint_newest(const char *out, int64_t *step, struct loam_error *error)
{
    int64_t *steps;
    size_t count;
    LOAM_TRY(loam_checkpoint_list(out, &steps, &count, error));
    *step = count > 0 ? steps[0] : -1;
    free(steps);
    return LOAM_OK;
}

// ---- checksums ----

static enum loam_status sum_file(const char *directory, const char *name, char sum[LOAM_DIGEST_SIZE],
                                 struct loam_error *error)
{
    char *path = loam_path_join(directory, name, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    struct stat about;
    enum loam_status status = LOAM_OK;
    if (stat(path, &about) != 0)
        status = loam_fail(error, errno == ENOENT || errno == ENOTDIR ? LOAM_ERROR_FORMAT : LOAM_ERROR_IO,
                           "cannot read %s: %s", path, strerror(errno));
    else if (!S_ISREG(about.st_mode))
        status = loam_fail(error, LOAM_ERROR_FORMAT, "%s is not a file", path);
    if (status == LOAM_OK) status = loam_digest_file(path, LOAM_DIGEST_SHA256, about.st_size, sum, error);
    free(path);
    return status;
}

static enum loam_status format_sums(struct loam_bytes *text, DIR *entries, const char *directory,
                                    struct loam_error *error)
{
    char sum[LOAM_DIGEST_SIZE];
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        LOAM_TRY(sum_file(directory, entry->d_name, sum, error));
        LOAM_TRY(loam_bytes_format(text, error, "%s  %s\n", sum, entry->d_name));
    }
    return LOAM_OK;
}

enum loam_status loam_checkpoint_seal(const char *directory, struct loam_error *error)
{
    DIR *entries = opendir(directory);
    if (entries == NULL)
        return loam_fail(error, LOAM_ERROR_IO, "cannot read %s: %s", directory, strerror(errno));
    struct loam_bytes text = {0};
    enum loam_status status = format_sums(&text, entries, directory, error);
    closedir(entries);
    char *path = status == LOAM_OK ? loam_path_join(directory, LOAM_CHECKPOINT_SUMS, error) : NULL;
    if (path != NULL)
        status = loam_atomic_write_file(path, text.data, text.size, error);
    else if (status == LOAM_OK)
        status = LOAM_ERROR_MEMORY;
    free(path);
    loam_bytes_deinit(&text);
    return status;
}

// Files that a checkpoint must have.
static const char *const required[] = {LOAM_CHECKPOINT_STATE, LOAM_CHECKPOINT_TENSORS,
                                       LOAM_CHECKPOINT_METRICS};
enum { REQUIRED = sizeof required / sizeof required[0] };

// Checks one line, "HASH  NAME", without its line break. `seen`: bits of the required files.
static enum loam_status verify_line(const char *directory, const char *line, unsigned *seen,
                                    struct loam_error *error)
{
    enum { DIGITS = LOAM_DIGEST_SIZE - 1 };
    char sum[LOAM_DIGEST_SIZE];
    bool whole = strlen(line) > DIGITS + 2 && strncmp(line + DIGITS, "  ", 2) == 0;
    const char *name = whole ? line + DIGITS + 2 : "";
    if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s/%s is damaged", directory, LOAM_CHECKPOINT_SUMS);
    LOAM_TRY(sum_file(directory, name, sum, error));
    if (strncmp(line, sum, DIGITS) != 0)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s/%s is not what was written (its SHA-256 differs)",
                         directory, name);
    for (unsigned i = 0; i < REQUIRED; i++)
        if (strcmp(name, required[i]) == 0) *seen |= 1u << i;
    return LOAM_OK;
}

static enum loam_status verify_lines(const char *directory, struct loam_bytes *text, struct loam_error *error)
{
    unsigned seen = 0;
    for (char *line = text->data, *end; line < text->data + text->size; line = end + 1) {
        end = strchr(line, '\n');
        if (end == NULL)
            return loam_fail(error, LOAM_ERROR_FORMAT, "%s/%s is cut off", directory, LOAM_CHECKPOINT_SUMS);
        *end = '\0';
        LOAM_TRY(verify_line(directory, line, &seen, error));
    }
    if (seen == (1u << REQUIRED) - 1) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s/%s is cut off", directory, LOAM_CHECKPOINT_SUMS);
}

enum loam_status loam_checkpoint_verify(const char *directory, struct loam_error *error)
{
    struct loam_bytes text = {0};
    bool there;
    LOAM_TRY(find_file(directory, LOAM_CHECKPOINT_SUMS, &there, error));
    if (!there) // a directory without it is damaged; no directory is no checkpoint at all
        return loam_fail(error, loam_directory_exists(directory) ? LOAM_ERROR_FORMAT : LOAM_ERROR_IO,
                         "%s/%s is not there: %s is no whole checkpoint", directory, LOAM_CHECKPOINT_SUMS,
                         directory);
    enum loam_status status = read_sums(directory, &text, error);
    if (status == LOAM_OK && (text.data == NULL || strlen(text.data) != text.size))
        status = loam_fail(error, LOAM_ERROR_FORMAT, "%s/%s is damaged", directory, LOAM_CHECKPOINT_SUMS);
    if (status == LOAM_OK) status = verify_lines(directory, &text, error);
    loam_bytes_deinit(&text);
    return status;
}

// ---- removing ----

enum loam_status loam_checkpoint_remove(const char *out, int64_t step, struct loam_error *error)
{
    char *path = loam_checkpoint_path(out, step, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_directory_take_away(out, path, error);
    free(path);
    return status;
}
