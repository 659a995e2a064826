#include "hub/download.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/heap.h"

// ---- Addresses and names of a file ----

static enum loam_status make_url(struct loam_bytes *url, const struct loam_hub *hub,
                                 const struct loam_repo *repo, const char *commit, const char *file,
                                 struct loam_error *error)
{
    LOAM_TRY(loam_bytes_format(url, error, "%s/%s/resolve/%s/", hub->settings.endpoint, repo->id, commit));
    return loam_url_append(url, file, "/", error);
}

// ---- Heads ----

// Reads hash and size from the answer. The hash names the blob. X-Linked-Etag has it for a file that is
// stored outside of git; ETag has it for the others.
static enum loam_status take_head(const struct loam_hub *hub, const struct loam_http_request *request,
                                  const struct loam_repo *repo, const char *commit,
                                  struct loam_wanted_file *file, struct loam_error *error)
{
    LOAM_TRY(loam_hub_check(hub, request, repo, error));
    const struct loam_http_headers *headers = &request->headers;
    const char *etag = headers->linked_etag[0] != '\0' ? headers->linked_etag : headers->etag;
    bool sha256 = loam_is_hex(etag, 64);
    if (headers->commit[0] == '\0' || strcmp(headers->commit, commit) != 0)
        return loam_fail(
            error, LOAM_ERROR_FORMAT,
            "%s: the answer of %s lacks X-Repo-Commit or names another commit in it: it is not a hub, or a "
            "proxy answers in its place (HF_ENDPOINT)%s%s",
            request->what, hub->settings.endpoint, headers->content_type[0] != '\0' ? "; the answer is " : "",
            headers->content_type);
    if (!sha256 && !loam_is_hex(etag, 40))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: the hub gives no hash (ETag) to verify the file by",
                         request->what);
    int64_t size = headers->linked_size >= 0                               ? headers->linked_size
                   : request->status < 300 && headers->content_length >= 0 ? headers->content_length
                                                                           : file->size;
    if (size < 0)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: the hub does not give its size", request->what);
    file->size = size;
    file->digest = sha256 ? LOAM_DIGEST_SHA256 : LOAM_DIGEST_GIT;
    memcpy(file->etag, etag, strlen(etag) + 1);
    return LOAM_OK;
}

static enum loam_status run_heads(struct loam_hub *hub, const struct loam_repo *repo, const char *commit,
                                  struct loam_wanted_file *files, struct loam_http_request *requests,
                                  size_t count, struct loam_error *error)
{
    for (size_t i = 0; i < count; i++) {
        struct loam_bytes url = {0};
        enum loam_status status = make_url(&url, hub, repo, commit, files[i].name, error);
        requests[i] =
            (struct loam_http_request){.method = "HEAD",
                                       .url = url.data,
                                       .what = loam_format(error, "%s: %s", repo->id, files[i].name),
                                       .to_hub = true,
                                       .redirects = LOAM_REDIRECT_STOP};
        if (status != LOAM_OK || requests[i].what == NULL) return LOAM_ERROR_MEMORY;
    }
    LOAM_TRY(loam_hub_run(hub, requests, count, error));
    for (size_t i = 0; i < count; i++)
        LOAM_TRY(take_head(hub, &requests[i], repo, commit, &files[i], error));
    return LOAM_OK;
}

static void free_requests(struct loam_http_request *requests, size_t count)
{
    for (size_t i = 0; requests != NULL && i < count; i++) {
        loam_http_request_deinit(&requests[i]);
        free((char *)requests[i].url);
        free((char *)requests[i].what);
    }
    free(requests);
}

enum loam_status loam_download_heads(struct loam_hub *hub, const struct loam_repo *repo, const char *commit,
                                     struct loam_wanted_file *files, size_t count, struct loam_error *error)
{
    struct loam_http_request *requests = loam_calloc(count, sizeof *requests, error);
    if (requests == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = run_heads(hub, repo, commit, files, requests, count, error);
    free_requests(requests, count);
    return status;
}

// ---- The download of one blob ----

struct transfer {
    const struct loam_wanted_file *file;
    const struct loam_repo *repo;
    struct loam_meter *meter;
    struct loam_digest digest;
    struct loam_http_sink sink;
    char *blob;
    char *incomplete;
    int descriptor;  // of the incomplete file; -1: not open
    int lock;        // -1: not held
    int64_t have;    // bytes in the incomplete file; the digest covers all of them
    bool mismatched; // a complete download had a wrong hash
    bool finished;   // the blob is in the cache
};

static enum loam_status fail_write(const struct transfer *transfer, struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_IO, "cannot write %s: %s", transfer->incomplete, strerror(errno));
}

// Discards what was downloaded and begins at the first byte.
static enum loam_status restart(struct transfer *transfer, struct loam_error *error)
{
    loam_meter_add(transfer->meter, -transfer->have);
    transfer->have = 0;
    if (ftruncate(transfer->descriptor, 0) != 0) return fail_write(transfer, error);
    return loam_digest_begin(&transfer->digest, transfer->file->digest, transfer->file->size, error);
}

// Continues after the first `size` bytes of the incomplete file, which are hashed here.
static enum loam_status resume(struct transfer *transfer, int64_t size, struct loam_error *error)
{
    const struct loam_wanted_file *file = transfer->file;
    LOAM_TRY(loam_digest_begin(&transfer->digest, file->digest, file->size, error));
    LOAM_TRY(
        loam_digest_update_file(&transfer->digest, transfer->descriptor, size, transfer->incomplete, error));
    transfer->have = size;
    loam_meter_add(transfer->meter, size);
    return LOAM_OK;
}

static enum loam_status publish(struct transfer *transfer, struct loam_error *error)
{
    bool failed = fsync(transfer->descriptor) != 0;
    failed = close(transfer->descriptor) != 0 || failed;
    transfer->descriptor = -1;
    if (failed || rename(transfer->incomplete, transfer->blob) != 0) return fail_write(transfer, error);
    transfer->finished = true;
    close(transfer->lock);
    transfer->lock = -1;
    return LOAM_OK;
}

// Compares the hash of the complete file. On a mismatch the download restarts; `*retry` allows that once.
static enum loam_status verify(struct transfer *transfer, bool *retry, struct loam_error *error)
{
    char hash[LOAM_DIGEST_SIZE];
    LOAM_TRY(loam_digest_finish(&transfer->digest, hash, error));
    if (strcmp(hash, transfer->file->etag) == 0) return publish(transfer, error);
    LOAM_TRY(restart(transfer, error));
    *retry = !transfer->mismatched;
    transfer->mismatched = true;
    return loam_fail(error, LOAM_ERROR_FORMAT,
                     "the downloaded bytes are not the file: their hash is %.12s..., expected %.12s...", hash,
                     transfer->file->etag);
}

static enum loam_status sink_start(void *user, int64_t *offset, struct loam_error *error)
{
    (void)error;
    *offset = ((struct transfer *)user)->have;
    return LOAM_OK;
}

static enum loam_status sink_begin(void *user, int64_t offset, struct loam_error *error)
{
    struct transfer *transfer = user;
    return offset == transfer->have ? LOAM_OK : restart(transfer, error);
}

static enum loam_status sink_write(void *user, const char *data, size_t size, struct loam_error *error)
{
    struct transfer *transfer = user;
    if ((int64_t)size > transfer->file->size - transfer->have)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "the server sends more than the %lld bytes that the hub announced",
                         (long long)transfer->file->size);
    for (size_t done = 0; done < size;) {
        ssize_t written =
            pwrite(transfer->descriptor, data + done, size - done, transfer->have + (int64_t)done);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return fail_write(transfer, error);
        done += (size_t)written;
    }
    LOAM_TRY(loam_digest_update(&transfer->digest, data, size, error));
    transfer->have += (int64_t)size;
    loam_meter_add(transfer->meter, (int64_t)size);
    return LOAM_OK;
}

static enum loam_status sink_finish(void *user, bool *retry, struct loam_error *error)
{
    struct transfer *transfer = user;
    *retry = transfer->have < transfer->file->size;
    if (*retry)
        return loam_fail(error, LOAM_ERROR_FORMAT, "the answer ends after %lld of %lld bytes",
                         (long long)transfer->have, (long long)transfer->file->size);
    return verify(transfer, retry, error);
}

// ---- Preparing ----

static void transfer_init(struct transfer *transfer, const struct loam_repo *repo,
                          const struct loam_wanted_file *file, struct loam_meter *meter)
{
    *transfer = (struct transfer){
        .file = file,
        .repo = repo,
        .meter = meter,
        .sink = {sink_start, sink_begin, sink_write, sink_finish, transfer},
        .descriptor = -1,
        .lock = -1,
    };
}

static void transfer_deinit(struct transfer *transfer)
{
    if (transfer->descriptor >= 0) close(transfer->descriptor);
    if (transfer->lock >= 0) close(transfer->lock);
    loam_digest_deinit(&transfer->digest);
    free(transfer->blob);
    free(transfer->incomplete);
}

// Opens the incomplete file. Continues one that an earlier run left if it is not longer than the file.
static enum loam_status open_incomplete(struct transfer *transfer, struct loam_error *error)
{
    struct stat about;
    transfer->descriptor = open(transfer->incomplete, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (transfer->descriptor < 0 || fstat(transfer->descriptor, &about) != 0)
        return fail_write(transfer, error);
    bool usable = about.st_size > 0 && about.st_size <= transfer->file->size;
    LOAM_TRY(usable ? resume(transfer, about.st_size, error) : restart(transfer, error));
    if (transfer->have < transfer->file->size) return LOAM_OK;
    // An empty or complete file needs no request. Wrong bytes are discarded and downloaded again.
    bool retry = false;
    enum loam_status status = verify(transfer, &retry, error);
    return retry ? LOAM_OK : status;
}

// Takes the lock and opens the file. The transfer does not become ready while another process downloads the
// blob.
static enum loam_status prepare(struct transfer *transfer, const struct loam_cache *cache,
                                struct loam_error *error)
{
    const char *etag = transfer->file->etag;
    if (transfer->blob == NULL) transfer->blob = loam_cache_blob_path(cache, etag, "", error);
    if (transfer->incomplete == NULL)
        transfer->incomplete = loam_cache_blob_path(cache, etag, ".incomplete", error);
    if (transfer->blob == NULL || transfer->incomplete == NULL) return error->status;
    transfer->finished = loam_file_exists(transfer->blob);
    if (transfer->finished) return LOAM_OK;
    LOAM_TRY(loam_cache_lock(cache, etag, &transfer->lock, error));
    if (transfer->lock < 0) return LOAM_OK;
    transfer->finished = loam_file_exists(transfer->blob); // another process may have just finished it
    return transfer->finished ? LOAM_OK : open_incomplete(transfer, error);
}

static bool is_ready(const struct transfer *transfer)
{
    return !transfer->finished && transfer->descriptor >= 0;
}

// Fails before the download starts if the disk has too little room for it.
static enum loam_status check_space(const struct transfer *transfers, size_t count,
                                    const struct loam_cache *cache, struct loam_error *error)
{
    int64_t needed = 0;
    for (size_t i = 0; i < count; i++)
        if (is_ready(&transfers[i]))
            needed = loam_add_bytes(needed, transfers[i].file->size - transfers[i].have);
    struct statvfs about;
    if (needed == 0 || statvfs(cache->repository, &about) != 0) return LOAM_OK;
    uint64_t free_bytes = (uint64_t)about.f_bavail * about.f_frsize;
    if (free_bytes >= (uint64_t)needed) return LOAM_OK;
    char wanted[LOAM_AMOUNT_SIZE], available[LOAM_AMOUNT_SIZE];
    return loam_fail(error, LOAM_ERROR_IO,
                     "%s has room for %s, but %s are needed; HF_HOME can name another place", cache->root,
                     loam_amount_format((int64_t)free_bytes, available), loam_amount_format(needed, wanted));
}

// ---- All downloads ----

static enum loam_status make_request(struct loam_http_request *request, const struct loam_hub *hub,
                                     struct transfer *transfer, const char *commit, struct loam_error *error)
{
    struct loam_bytes url = {0};
    const char *name = transfer->file->name;
    enum loam_status status = make_url(&url, hub, transfer->repo, commit, name, error);
    *request = (struct loam_http_request){.method = "GET",
                                          .url = url.data,
                                          .what = loam_format(error, "%s: %s", transfer->repo->id, name),
                                          .to_hub = true,
                                          .redirects = LOAM_REDIRECT_FOLLOW,
                                          .sink = &transfer->sink};
    return status == LOAM_OK && request->what == NULL ? LOAM_ERROR_MEMORY : status;
}

// Checks an answer after which the blob is not finished. With status 416 the server has no bytes at the
// offset from which the download continues.
static enum loam_status take_answer(const struct loam_hub *hub, const struct loam_http_request *request,
                                    struct transfer *transfer, struct loam_error *error)
{
    if (transfer->finished) return LOAM_OK;
    if (request->status != 416) {
        LOAM_TRY(loam_hub_check(hub, request, transfer->repo, error));
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: the hub answers with status %ld and no file",
                         request->what, request->status);
    }
    bool retry = false;
    if (transfer->have == transfer->file->size && verify(transfer, &retry, error) == LOAM_OK) return LOAM_OK;
    int64_t have = transfer->have;
    LOAM_TRY(restart(transfer, error));
    return loam_fail(error, LOAM_ERROR_FORMAT,
                     "%s: the hub announces %lld bytes, but sends none after the first %lld", request->what,
                     (long long)transfer->file->size, (long long)have);
}

// Runs the requests of all transfers that are ready.
static enum loam_status run_ready(struct loam_hub *hub, struct transfer *transfers, size_t count,
                                  const char *commit, struct loam_error *error)
{
    struct loam_http_request *requests = loam_calloc(count, sizeof *requests, error);
    struct transfer **of_request = loam_calloc(count, sizeof *of_request, error);
    enum loam_status status = requests != NULL && of_request != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
    size_t ready = 0;
    for (size_t i = 0; i < count && status == LOAM_OK; i++) {
        if (!is_ready(&transfers[i])) continue;
        of_request[ready] = &transfers[i];
        status = make_request(&requests[ready++], hub, &transfers[i], commit, error);
    }
    if (status == LOAM_OK && ready > 0) status = loam_hub_run(hub, requests, ready, error);
    for (size_t i = 0; i < ready && status == LOAM_OK; i++)
        status = take_answer(hub, &requests[i], of_request[i], error);
    free_requests(requests, count);
    free(of_request);
    return status;
}

static enum loam_status wait_for_others(struct loam_hub *hub, struct transfer *transfer, const char *commit,
                                        const struct loam_cache *cache, struct loam_error *error)
{
    const struct timespec pause = {.tv_nsec = 200 * 1000 * 1000};
    if (!transfer->finished)
        loam_log_write(&hub->callbacks->log, LOAM_LOG_INFO, "%s: another process is downloading %s; waiting",
                       transfer->repo->id, transfer->file->name);
    while (!transfer->finished && !is_ready(transfer)) {
        LOAM_TRY(loam_hub_report(hub, error));
        (void)nanosleep(&pause, NULL);
        LOAM_TRY(prepare(transfer, cache, error));
    }
    return run_ready(hub, transfer, 1, commit, error);
}

static enum loam_status download(struct loam_hub *hub, struct transfer *transfers, size_t count,
                                 const char *commit, const struct loam_cache *cache, struct loam_error *error)
{
    for (size_t i = 0; i < count; i++)
        LOAM_TRY(prepare(&transfers[i], cache, error));
    LOAM_TRY(check_space(transfers, count, cache, error));
    LOAM_TRY(run_ready(hub, transfers, count, commit, error));
    for (size_t i = 0; i < count; i++)
        LOAM_TRY(wait_for_others(hub, &transfers[i], commit, cache, error));
    return LOAM_OK;
}

enum loam_status loam_download_blobs(struct loam_hub *hub, const struct loam_repo *repo, const char *commit,
                                     const struct loam_cache *cache, const struct loam_wanted_file *files,
                                     size_t count, struct loam_error *error)
{
    struct transfer *transfers = loam_calloc(count, sizeof *transfers, error);
    if (transfers == NULL) return LOAM_ERROR_MEMORY;
    struct loam_meter meter;
    int64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        transfer_init(&transfers[i], repo, &files[i], &meter);
        total = loam_add_bytes(total, files[i].size);
    }
    loam_hub_begin_transfer(hub, &meter, LOAM_ACTIVITY_DOWNLOAD, total);
    enum loam_status status =
        loam_hub_end_transfer(hub, download(hub, transfers, count, commit, cache, error));
    for (size_t i = 0; i < count; i++)
        transfer_deinit(&transfers[i]);
    free(transfers);
    return status;
}
