#include "run/base_digest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/heap.h"
#include "io/container.h"

static int64_t to_nanoseconds(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

// ---- the files ----

static enum loam_status identify(struct loam_base_digest *base, struct loam_base_file *file,
                                 struct loam_error *error)
{
    struct stat about;
    if (fstat(file->descriptor, &about) != 0 || !S_ISREG(about.st_mode))
        return loam_fail(error, LOAM_ERROR_IO, "cannot read %s: it is not a file", file->path);
    file->size = about.st_size;
    file->modified = to_nanoseconds(about.st_mtim);
    if (file->size > INT64_MAX - base->size)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s has more bytes than can be counted", file->path);
    base->size += file->size;
    return loam_bytes_format(&base->identity, error, "%s %lld %llu %lld %lld\n", name_of(file->path),
                             (long long)file->size, (unsigned long long)about.st_ino,
                             (long long)file->modified, (long long)to_nanoseconds(about.st_ctim));
}

static enum loam_status add_file(struct loam_base_digest *base, const char *path, struct loam_error *error)
{
    struct loam_base_file *file = &base->files[base->count];
    file->path = loam_strdup(path, error);
    if (file->path == NULL) return LOAM_ERROR_MEMORY;
    file->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // O_NONBLOCK: do not wait on a pipe
    base->count++;
    if (file->descriptor < 0)
        return loam_fail(error, LOAM_ERROR_IO, "cannot open %s: %s", path, strerror(errno));
    return identify(base, file, error);
}

static enum loam_status add_texts(struct loam_base_digest *base, const char *directory,
                                  const char *const *names, size_t count, struct loam_error *error)
{
    for (size_t i = 0; i < count; i++) {
        char *path = loam_path_join(directory, names[i], error);
        if (path == NULL) return LOAM_ERROR_MEMORY;
        enum loam_status status = loam_file_exists(path) ? add_file(base, path, error) : LOAM_OK;
        free(path);
        if (status != LOAM_OK) return status;
    }
    return LOAM_OK;
}

// Returns whether the tensor is the first of its file. The tensors of a file are neighbours.
static bool begins_file(const struct loam_container *file, size_t index)
{
    return index == 0 ||
           strcmp(loam_container_at(file, index)->file, loam_container_at(file, index - 1)->file) != 0;
}

static enum loam_status add_files(struct loam_base_digest *base, const char *directory,
                                  const struct loam_container *weights, struct loam_error *error)
{
    static const char *const texts[] = {"config.json", "generation_config.json", "tokenizer.json",
                                        "tokenizer_config.json", "special_tokens_map.json"};
    enum { TEXTS = sizeof texts / sizeof texts[0] };
    size_t most = TEXTS, tensors = weights != NULL ? loam_container_count(weights) : 0;
    for (size_t i = 0; i < tensors; i++)
        most += begins_file(weights, i);
    base->files = loam_calloc(most, sizeof *base->files, error);
    base->block = base->files == NULL ? NULL : loam_calloc(LOAM_DIGEST_BLOCK, 1, error);
    if (base->block == NULL) return LOAM_ERROR_MEMORY;
    LOAM_TRY(add_texts(base, directory, texts, TEXTS, error));
    for (size_t i = 0; i < tensors; i++)
        if (begins_file(weights, i)) LOAM_TRY(add_file(base, loam_container_at(weights, i)->file, error));
    return loam_digest_begin(&base->digest, LOAM_DIGEST_SHA256, 0, error);
}

enum loam_status loam_base_digest_open(struct loam_base_digest *base, const char *directory, bool weights,
                                       struct loam_error *error)
{
    struct loam_container *file = NULL;
    enum loam_status status = weights ? loam_container_open_directory(&file, directory, error) : LOAM_OK;
    if (status == LOAM_OK) status = add_files(base, directory, file, error);
    loam_container_destroy(file);
    if (status != LOAM_OK) loam_base_digest_close(base);
    return status;
}

static void join(struct loam_base_digest *base)
{
    if (base->running) (void)pthread_join(base->thread, NULL);
    base->running = false;
}

static void close_files(struct loam_base_digest *base)
{
    for (size_t i = 0; i < base->count; i++) {
        if (base->files[i].descriptor >= 0) close(base->files[i].descriptor);
        free(base->files[i].path);
    }
    free(base->files);
    free(base->block);
    loam_digest_deinit(&base->digest);
    base->files = NULL;
    base->block = NULL;
    base->count = 0;
}

void loam_base_digest_close(struct loam_base_digest *base)
{
    atomic_store(&base->cancelled, true);
    join(base);
    close_files(base);
    loam_bytes_deinit(&base->identity);
    memset(base, 0, sizeof *base);
}

// ---- the sum ----

static enum loam_status add_contents(struct loam_base_digest *base, const struct loam_base_file *file,
                                     struct loam_error *error)
{
    const char *name = name_of(file->path);
    LOAM_TRY(loam_digest_update(&base->digest, name, strlen(name) + 1, error));
    LOAM_TRY(loam_digest_update(&base->digest, &file->size, sizeof file->size, error));
    for (int64_t done = 0; done < file->size; done += LOAM_DIGEST_BLOCK) {
        if (atomic_load(&base->cancelled)) return loam_fail(error, LOAM_ERROR_STOPPED, "stopped");
        size_t wanted =
            file->size - done < LOAM_DIGEST_BLOCK ? (size_t)(file->size - done) : LOAM_DIGEST_BLOCK;
        LOAM_TRY(loam_digest_update_block(&base->digest, file->descriptor, done, wanted, base->block,
                                          file->path, error));
    }
    return LOAM_OK;
}

// Computes the sum. It allocates nothing, because it runs beside the steps.
static enum loam_status compute_sum(struct loam_base_digest *base, struct loam_error *error)
{
    for (size_t i = 0; i < base->count; i++)
        LOAM_TRY(add_contents(base, &base->files[i], error));
    return loam_digest_finish(&base->digest, base->sum, error);
}

static void *run_thread(void *user)
{
    struct loam_base_digest *base = user;
    base->status = compute_sum(base, &base->error);
    return NULL;
}

// Fails if a file changed while the run used it: the sum would not describe the weights that were loaded.
static enum loam_status check_unchanged(const struct loam_base_digest *base, struct loam_error *error)
{
    struct stat about;
    for (size_t i = 0; i < base->count; i++) {
        const struct loam_base_file *file = &base->files[i];
        if (fstat(file->descriptor, &about) == 0 && about.st_size == file->size &&
            to_nanoseconds(about.st_mtim) == file->modified)
            continue;
        return loam_fail(error, LOAM_ERROR_IO, "%s was changed during the run", file->path);
    }
    return LOAM_OK;
}

void loam_base_digest_adopt(struct loam_base_digest *base, const char *sum)
{
    snprintf(base->sum, sizeof base->sum, "%s", sum);
    close_files(base);
}

void loam_base_digest_begin(struct loam_base_digest *base)
{
    if (base->files == NULL || base->running) return;
    base->running = pthread_create(&base->thread, NULL, run_thread, base) == 0;
}

enum loam_status loam_base_digest_finish(struct loam_base_digest *base, struct loam_error *error)
{
    if (base->files == NULL) return LOAM_OK; // the sum was adopted or is computed
    bool begun = base->running;
    join(base);
    enum loam_status status = begun ? base->status : compute_sum(base, error);
    if (begun && status != LOAM_OK) (void)loam_fail(error, status, "%s", base->error.message);
    if (status != LOAM_OK)
        base->sum[0] = '\0';
    else if ((status = check_unchanged(base, error)) != LOAM_OK)
        snprintf(base->sum, sizeof base->sum, "changed during the run"); // equals no digest
    close_files(base);
    return status;
}
