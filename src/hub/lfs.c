#include "hub/lfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/json.h"
#include "hub/lfs_batch.h"

enum { BATCH = 256 }; // objects of one query

static const char media_type[] = "application/vnd.git-lfs+json";

struct upload_job {
    struct loam_hub *hub;
    const struct loam_repo *repo;
    const struct loam_folder_file **files; // one for each object
    size_t count;
    struct loam_lfs_plan plan;
    int *descriptors; // [plan.count] -1: not open
    struct loam_http_request *requests;
    size_t request_count;
    struct loam_meter meter;
};

// ---- The objects to upload ----

static bool is_listed(const struct upload_job *job, const char *oid)
{
    for (size_t i = 0; i < job->count; i++)
        if (strcmp(job->files[i]->local, oid) == 0) return true;
    return false;
}

// Two files with the same bytes are one object.
static enum loam_status list_objects(struct upload_job *job, const struct loam_folder *folder,
                                     struct loam_error *error)
{
    job->files = loam_calloc(folder->count, sizeof *job->files, error);
    if (job->files == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < folder->count; i++) {
        const struct loam_folder_file *file = &folder->files[i];
        if (file->mode == LOAM_UPLOAD_LFS && !file->ignored && !is_listed(job, file->local))
            job->files[job->count++] = file;
    }
    return LOAM_OK;
}

static enum loam_status query_batch(struct upload_job *job, size_t first, size_t count,
                                    struct loam_error *error)
{
    struct loam_bytes query = {0};
    char *url = loam_hub_url(job->hub, error, "%s.git/info/lfs/objects/batch", job->repo->id);
    enum loam_status status =
        url == NULL ? error->status : loam_lfs_batch_format(&query, job->files + first, count, error);
    struct loam_http_request request = {.method = "POST",
                                        .url = url,
                                        .what = job->repo->id,
                                        .content_type = media_type,
                                        .accept = media_type,
                                        .to_hub = true,
                                        .body = query.data,
                                        .body_size = (int64_t)query.size};
    if (status == LOAM_OK) status = loam_hub_run(job->hub, &request, 1, error);
    if (status == LOAM_OK) status = loam_hub_check(job->hub, &request, job->repo, error);
    if (status == LOAM_OK)
        status = loam_lfs_batch_parse(&job->plan, job->files + first, count, request.text.data,
                                      request.text.size, error);
    for (size_t i = 0; i < job->plan.count && status == LOAM_OK; i++) {
        status = loam_hub_redirect_to_mirror(job->hub, &job->plan.uploads[i].href, error);
        if (status == LOAM_OK)
            status = loam_hub_redirect_to_mirror(job->hub, &job->plan.uploads[i].verify, error);
    }
    loam_http_request_deinit(&request);
    loam_bytes_deinit(&query);
    free(url);
    return status;
}

// ---- Sending ----

static void take_sent(void *user, int64_t size)
{
    loam_meter_add(user, size);
}

static void add_put(struct upload_job *job, const struct loam_lfs_upload *upload, int descriptor,
                    const char *url, int64_t offset, int64_t size)
{
    job->requests[job->request_count++] = (struct loam_http_request){.method = "PUT",
                                                                     .url = url,
                                                                     .what = upload->file->name,
                                                                     .body_file = descriptor,
                                                                     .body_offset = offset,
                                                                     .body_size = size,
                                                                     .sent = take_sent,
                                                                     .sent_user = &job->meter};
}

static void add_puts(struct upload_job *job, const struct loam_lfs_upload *upload, int descriptor)
{
    int64_t size = upload->file->size;
    if (upload->chunk == 0) add_put(job, upload, descriptor, upload->href, 0, size);
    for (size_t part = 0; part < upload->part_count; part++) {
        int64_t offset = (int64_t)part * upload->chunk;
        add_put(job, upload, descriptor, upload->parts[part], offset,
                size - offset < upload->chunk ? size - offset : upload->chunk);
    }
}

static enum loam_status open_files(struct upload_job *job, struct loam_error *error)
{
    size_t requests = 0;
    job->descriptors = loam_calloc(job->plan.count, sizeof *job->descriptors, error);
    if (job->descriptors == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < job->plan.count; i++) {
        const struct loam_lfs_upload *upload = &job->plan.uploads[i];
        job->descriptors[i] = -1;
        if (upload->href != NULL) requests += upload->chunk == 0 ? 1 : upload->part_count;
    }
    job->requests = loam_calloc(requests, sizeof *job->requests, error);
    if (job->requests == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < job->plan.count; i++) {
        const struct loam_lfs_upload *upload = &job->plan.uploads[i];
        if (upload->href == NULL) continue;
        job->descriptors[i] = open(upload->file->path, O_RDONLY | O_CLOEXEC);
        if (job->descriptors[i] < 0)
            return loam_fail(error, LOAM_ERROR_IO, "cannot open %s: %s", upload->file->path, strerror(errno));
        add_puts(job, upload, job->descriptors[i]);
    }
    return LOAM_OK;
}

// The store's own message is left out, because it only names keys and buckets.
static enum loam_status check_put(const struct loam_http_request *request, struct loam_error *error)
{
    if (request->status >= 200 && request->status < 300) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_IO,
                     "%s: the hub's store does not take it (status %ld); push again to continue",
                     request->what, request->status);
}

// ---- Completing and verifying ----

static enum loam_status post(struct upload_job *job, const char *what, const char *url, const char *type,
                             bool to_hub, json_t *content, struct loam_error *error)
{
    struct loam_bytes body = {0};
    enum loam_status status = content == NULL ? loam_fail(error, LOAM_ERROR_MEMORY, "no memory for a request")
                                              : loam_json_append(&body, content, JSON_COMPACT, error);
    json_decref(content);
    struct loam_http_request request = {.method = "POST",
                                        .url = url,
                                        .what = what,
                                        .content_type = type,
                                        .accept = type,
                                        .to_hub = to_hub,
                                        .body = body.data,
                                        .body_size = (int64_t)body.size};
    if (status == LOAM_OK) status = loam_hub_run(job->hub, &request, 1, error);
    if (status == LOAM_OK) status = loam_hub_check(job->hub, &request, job->repo, error);
    loam_http_request_deinit(&request);
    loam_bytes_deinit(&body);
    return status;
}

// Sends the ETags of the uploaded parts, which `answers` hold, so that the store joins the parts.
static enum loam_status complete_parts(struct upload_job *job, const struct loam_lfs_upload *upload,
                                       const struct loam_http_request *answers, struct loam_error *error)
{
    json_t *parts = json_array();
    for (size_t i = 0; i < upload->part_count; i++) {
        if (answers[i].headers.part_etag[0] == '\0') {
            json_decref(parts);
            return loam_fail(error, LOAM_ERROR_FORMAT, "%s: the hub's store gives no ETag for part %zu",
                             upload->file->name, i + 1);
        }
        loam_json_push(&parts, json_pack("{s:I, s:s}", "partNumber", (json_int_t)i + 1, "etag",
                                         answers[i].headers.part_etag));
    }
    json_t *content = json_pack("{s:s, s:o}", "oid", upload->file->local, "parts", parts);
    // The address is signed, so no token is sent.
    return post(job, upload->file->name, upload->href, media_type, false, content, error);
}

static enum loam_status verify_object(struct upload_job *job, const struct loam_lfs_upload *upload,
                                      struct loam_error *error)
{
    if (upload->verify == NULL) return LOAM_OK;
    json_t *content =
        json_pack("{s:s, s:I}", "oid", upload->file->local, "size", (json_int_t)upload->file->size);
    return post(job, upload->file->name, upload->verify, "application/json", true, content, error);
}

static enum loam_status finish_objects(struct upload_job *job, struct loam_error *error)
{
    const struct loam_http_request *answer = job->requests;
    for (size_t i = 0; i < job->plan.count; i++) {
        const struct loam_lfs_upload *upload = &job->plan.uploads[i];
        if (upload->href == NULL) continue;
        if (upload->chunk > 0) LOAM_TRY(complete_parts(job, upload, answer, error));
        LOAM_TRY(verify_object(job, upload, error));
        answer += upload->chunk == 0 ? 1 : upload->part_count;
    }
    return LOAM_OK;
}

// ---- All batches ----

static void close_batch(struct upload_job *job)
{
    for (size_t i = 0; i < job->request_count; i++)
        loam_http_request_deinit(&job->requests[i]);
    for (size_t i = 0; job->descriptors != NULL && i < job->plan.count; i++)
        if (job->descriptors[i] >= 0) close(job->descriptors[i]);
    free(job->requests);
    free(job->descriptors);
    loam_lfs_plan_deinit(&job->plan);
    job->requests = NULL;
    job->descriptors = NULL;
    job->request_count = 0;
}

// Signed addresses expire, so each batch is queried just before its upload.
static enum loam_status upload_batch(struct upload_job *job, size_t first, size_t count,
                                     struct loam_error *error)
{
    LOAM_TRY(query_batch(job, first, count, error));
    for (size_t i = 0; i < job->plan.count; i++)
        if (job->plan.uploads[i].href == NULL) loam_meter_add(&job->meter, job->plan.uploads[i].file->size);
    LOAM_TRY(open_files(job, error));
    if (job->request_count > 0) LOAM_TRY(loam_hub_run(job->hub, job->requests, job->request_count, error));
    for (size_t i = 0; i < job->request_count; i++)
        LOAM_TRY(check_put(&job->requests[i], error));
    return finish_objects(job, error);
}

static enum loam_status upload(struct upload_job *job, const struct loam_folder *folder,
                               struct loam_error *error)
{
    LOAM_TRY(list_objects(job, folder, error));
    int64_t total = 0;
    for (size_t i = 0; i < job->count; i++)
        total = loam_add_bytes(total, job->files[i]->size);
    loam_hub_begin_transfer(job->hub, &job->meter, LOAM_ACTIVITY_UPLOAD, total);
    enum loam_status status = LOAM_OK;
    for (size_t first = 0; first < job->count && status == LOAM_OK; first += BATCH) {
        status = upload_batch(job, first, job->count - first < BATCH ? job->count - first : BATCH, error);
        close_batch(job);
    }
    return loam_hub_end_transfer(job->hub, status);
}

enum loam_status loam_lfs_upload(struct loam_hub *hub, const struct loam_repo *repo,
                                 const struct loam_folder *folder, struct loam_error *error)
{
    struct upload_job job = {.hub = hub, .repo = repo};
    enum loam_status status = upload(&job, folder, error);
    free(job.files);
    return status;
}
