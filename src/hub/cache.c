#include "hub/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/heap.h"
#include "io/atomic.h"

enum { REF_LIMIT = 256 }; // bytes of a file in refs/

// ---- Paths ----

// "models--ORG--NAME"
static char *folder_name(const struct loam_repo *repo, struct loam_error *error)
{
    const char *slash = strchr(repo->id, '/');
    if (slash == NULL) return loam_format(error, "models--%s", repo->id);
    return loam_format(error, "models--%.*s--%s", (int)(slash - repo->id), repo->id, slash + 1);
}

enum loam_status loam_cache_open(struct loam_cache *cache, const char *root, const struct loam_repo *repo,
                                 struct loam_error *error)
{
    *cache = (struct loam_cache){.root = loam_strdup(root, error)};
    char *folder = folder_name(repo, error);
    if (cache->root != NULL && folder != NULL) {
        cache->repository = loam_path_join(root, folder, error);
        cache->locks = loam_format(error, "%s/.locks/%s", root, folder);
    }
    free(folder);
    if (cache->repository != NULL && cache->locks != NULL) return LOAM_OK;
    loam_cache_close(cache);
    return LOAM_ERROR_MEMORY;
}

void loam_cache_close(struct loam_cache *cache)
{
    free(cache->root);
    free(cache->repository);
    free(cache->locks);
    *cache = (struct loam_cache){0};
}

// Makes the directories above `path`.
static enum loam_status make_parents(const char *path, struct loam_error *error)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path) return LOAM_OK;
    char *directory = loam_strndup(path, (size_t)(slash - path), error);
    if (directory == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_directory_make(directory, NULL, error);
    free(directory);
    return status;
}

// Writes a small file and makes the directories above it.
static enum loam_status write_file(const char *path, const char *text, struct loam_error *error)
{
    LOAM_TRY(make_parents(path, error));
    return loam_atomic_write_file(path, text, strlen(text), error);
}

// ---- Revisions ----

static char *ref_path(const struct loam_cache *cache, const char *revision, struct loam_error *error)
{
    return loam_format(error, "%s/refs/%s", cache->repository, revision);
}

enum loam_status loam_cache_find_commit(const struct loam_cache *cache, const char *revision,
                                        char commit[LOAM_COMMIT_SIZE], struct loam_error *error)
{
    commit[0] = '\0';
    if (loam_is_commit(revision)) {
        memcpy(commit, revision, LOAM_COMMIT_SIZE);
        return LOAM_OK;
    }
    struct loam_bytes text = {0};
    char *path = ref_path(cache, revision, error);
    enum loam_status status =
        path == NULL ? LOAM_ERROR_MEMORY : loam_file_read(path, REF_LIMIT, &text, error);
    if (status == LOAM_OK && text.data != NULL) {
        text.data[strcspn(text.data, " \t\r\n")] = '\0';
        if (loam_is_commit(text.data)) memcpy(commit, text.data, LOAM_COMMIT_SIZE);
    }
    loam_bytes_deinit(&text);
    free(path);
    return status == LOAM_ERROR_MEMORY ? status : LOAM_OK; // an unreadable record counts as missing
}

enum loam_status loam_cache_set_commit(const struct loam_cache *cache, const char *revision,
                                       const char *commit, struct loam_error *error)
{
    char known[LOAM_COMMIT_SIZE];
    LOAM_TRY(loam_cache_find_commit(cache, revision, known, error));
    if (strcmp(known, commit) == 0) return LOAM_OK;
    char *path = ref_path(cache, revision, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = write_file(path, commit, error);
    free(path);
    return status;
}

// ---- Snapshots ----

char *loam_cache_snapshot_path(const struct loam_cache *cache, const char *commit, struct loam_error *error)
{
    return loam_format(error, "%s/snapshots/%s", cache->repository, commit);
}

static char *file_path(const struct loam_cache *cache, const char *kind, const char *commit, const char *file,
                       struct loam_error *error)
{
    return loam_format(error, "%s/%s/%s/%s", cache->repository, kind, commit, file);
}

static bool has_file(const struct loam_cache *cache, const char *kind, const char *commit, const char *file)
{
    // On the stack: an allocation failure must not look like a missing file. The system opens no longer path.
    char path[PATH_MAX];
    int size = snprintf(path, sizeof path, "%s/%s/%s/%s", cache->repository, kind, commit, file);
    return size > 0 && (size_t)size < sizeof path && loam_file_exists(path);
}

bool loam_cache_has_file(const struct loam_cache *cache, const char *commit, const char *file)
{
    return has_file(cache, "snapshots", commit, file);
}

bool loam_cache_has_absence(const struct loam_cache *cache, const char *commit, const char *file)
{
    return has_file(cache, ".no_exist", commit, file);
}

enum loam_status loam_cache_record_absence(const struct loam_cache *cache, const char *commit,
                                           const char *file, struct loam_error *error)
{
    if (loam_cache_has_absence(cache, commit, file)) return LOAM_OK;
    char *path = file_path(cache, ".no_exist", commit, file, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = write_file(path, "", error);
    free(path);
    return status;
}

// ---- Blobs ----

char *loam_cache_blob_path(const struct loam_cache *cache, const char *etag, const char *suffix,
                           struct loam_error *error)
{
    char *path = loam_format(error, "%s/blobs/%s%s", cache->repository, etag, suffix);
    if (path != NULL && make_parents(path, error) != LOAM_OK) {
        free(path);
        return NULL;
    }
    return path;
}

// Writes the path from a snapshot's file to its blob: "../../blobs/ETAG", with one more "../" for each
// directory in the file's name.
static enum loam_status make_target(struct loam_bytes *target, const char *file, const char *etag,
                                    struct loam_error *error)
{
    for (const char *slash = strchr(file, '/'); slash != NULL; slash = strchr(slash + 1, '/'))
        LOAM_TRY(loam_bytes_append_text(target, "../", error));
    return loam_bytes_format(target, error, "../../blobs/%s", etag);
}

// Makes the link under a temporary name and renames it, so that an existing link is replaced in one step.
static enum loam_status replace_link(const char *target, const char *path, struct loam_error *error)
{
    char *temporary = loam_format(error, "%s.tmp-%ld", path, (long)getpid());
    if (temporary == NULL) return LOAM_ERROR_MEMORY;
    (void)unlink(temporary);
    enum loam_status status = LOAM_OK;
    if (symlink(target, temporary) != 0 || rename(temporary, path) != 0) {
        status = loam_fail(error, LOAM_ERROR_IO, "cannot make the link %s: %s", path, strerror(errno));
        (void)unlink(temporary);
    }
    free(temporary);
    return status;
}

enum loam_status loam_cache_link(const struct loam_cache *cache, const char *commit, const char *file,
                                 const char *etag, struct loam_error *error)
{
    struct loam_bytes target = {0};
    char *path = file_path(cache, "snapshots", commit, file, error);
    enum loam_status status = path == NULL ? LOAM_ERROR_MEMORY : make_parents(path, error);
    if (status == LOAM_OK) status = make_target(&target, file, etag, error);
    if (status == LOAM_OK) status = replace_link(target.data, path, error);
    loam_bytes_deinit(&target);
    free(path);
    return status;
}

// ---- Locks ----

static bool is_without_locks(int reason)
{
    return reason == ENOSYS || reason == EOPNOTSUPP || reason == ENOLCK;
}

enum loam_status loam_cache_lock(const struct loam_cache *cache, const char *etag, int *descriptor,
                                 struct loam_error *error)
{
    *descriptor = -1;
    char *path = loam_format(error, "%s/%s.lock", cache->locks, etag);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = make_parents(path, error);
    int fd = status == LOAM_OK ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0664) : -1;
    if (status == LOAM_OK && fd < 0)
        status = loam_fail(error, LOAM_ERROR_IO, "cannot open the lock %s: %s", path,
                           errno == ELOOP ? "it is a link; remove it" : strerror(errno));
    if (fd >= 0 && (flock(fd, LOCK_EX | LOCK_NB) == 0 || is_without_locks(errno))) {
        *descriptor = fd;
    } else if (fd >= 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            status = loam_fail(error, LOAM_ERROR_IO, "cannot lock %s: %s", path, strerror(errno));
        close(fd);
    }
    free(path);
    return status;
}

void loam_cache_write_tag(const struct loam_cache *cache)
{
    // The signature is that of https://bford.info/cachedir/.
    static const char text[] = "Signature: 8a477f597d28d172789f06886806bc55\n"
                               "# This directory holds what was downloaded and can be downloaded again.\n";
    struct loam_error ignored;
    char *path = loam_path_join(cache->root, "CACHEDIR.TAG", &ignored);
    if (path != NULL && !loam_file_exists(path))
        (void)loam_atomic_write_file(path, text, strlen(text), &ignored);
    free(path);
}
