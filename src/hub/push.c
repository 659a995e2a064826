#include "hub/push.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"
#include "hub/commit.h"
#include "hub/lfs.h"
#include "hub/preupload.h"

enum { CARD_LIMIT = 4 << 20, PREUPLOAD_BATCH = 256, SECRET_LIMIT = 1 << 16 };

struct push_job {
    struct loam_hub *hub;
    const struct loam_repo *repo;
    const struct loam_push *push;
    struct loam_folder folder;
};

// POSTs JSON to an address of the hub. The caller checks the answer. Consumes `content`.
static enum loam_status post(struct push_job *job, const char *path, json_t *content,
                             struct loam_http_request *request, struct loam_error *error)
{
    struct loam_bytes body = {0};
    char *url = loam_hub_url(job->hub, error, "%s", path);
    enum loam_status status = url == NULL ? error->status
                              : content == NULL
                                  ? loam_fail(error, LOAM_ERROR_MEMORY, "no memory for a request")
                                  : loam_json_append(&body, content, JSON_COMPACT, error);
    *request = (struct loam_http_request){.method = "POST",
                                          .url = url,
                                          .what = job->repo->id,
                                          .content_type = "application/json",
                                          .accept = "application/json",
                                          .to_hub = true,
                                          .body = body.data,
                                          .body_size = (int64_t)body.size};
    if (status == LOAM_OK) status = loam_hub_run(job->hub, request, 1, error);
    request->url = request->body = NULL; // freed here; the caller keeps the request for its answer
    json_decref(content);
    loam_bytes_deinit(&body);
    free(url);
    return status;
}

// ---- The model card ----

static enum loam_status fail_card(const struct loam_http_request *request, const char *path,
                                  struct loam_error *error)
{
    json_t *root = NULL;
    enum loam_status status = loam_json_parse(&root, request->text.data == NULL ? "" : request->text.data,
                                              request->text.size, "the hub's answer on the card", error);
    if (status == LOAM_ERROR_MEMORY) return status;
    const char *message =
        json_string_value(json_object_get(json_array_get(json_object_get(root, "errors"), 0), "message"));
    status = loam_fail(error, LOAM_ERROR_FORMAT,
                       "%s: the hub does not take the lines between the --- at its top: %.300s", path,
                       message == NULL ? "it gives no reason" : message);
    json_decref(root);
    return status;
}

// Has the hub check the front matter of README.md before any large file is uploaded.
static enum loam_status check_card(struct push_job *job, struct loam_error *error)
{
    const struct loam_folder_file *card = loam_folder_find(&job->folder, "README.md");
    if (card == NULL) return LOAM_OK;
    struct loam_bytes text = {0};
    struct loam_http_request request = {0};
    enum loam_status status = loam_file_read(card->path, CARD_LIMIT, &text, error);
    const char *data = text.data == NULL ? "" : text.data;
    if (status == LOAM_OK && loam_utf8_check(data, text.size) != text.size)
        status = loam_fail(error, LOAM_ERROR_FORMAT, "%s is not UTF-8", card->path);
    if (status == LOAM_OK)
        status =
            post(job, "api/validate-yaml",
                 json_pack("{s:s%, s:s}", "content", data, text.size, "repoType", "model"), &request, error);
    if (status == LOAM_OK)
        status = request.status == 400 ? fail_card(&request, card->path, error)
                                       : loam_hub_check(job->hub, &request, job->repo, error);
    loam_http_request_deinit(&request);
    loam_bytes_deinit(&text);
    return status;
}

// ---- The repository ----

static enum loam_status find_repository(struct push_job *job, struct loam_error *error)
{
    char *url = loam_hub_url(job->hub, error, "api/models/%s", job->repo->id);
    if (url == NULL) return error->status;
    struct loam_http_request request = {
        .method = "GET", .url = url, .what = job->repo->id, .accept = "application/json", .to_hub = true};
    enum loam_status status = loam_hub_run(job->hub, &request, 1, error);
    if (status == LOAM_OK) status = loam_hub_check(job->hub, &request, job->repo, error);
    loam_http_request_deinit(&request);
    free(url);
    return status;
}

// Status 409 means that the repository exists. A token without the right to create repositories may still
// have the right to write to one that exists.
static enum loam_status create_repository(struct push_job *job, struct loam_error *error)
{
    const char *id = job->repo->id, *slash = strchr(id, '/');
    json_t *content = json_pack("{s:s, s:s%}", "name", slash + 1, "organization", id, (size_t)(slash - id));
    if (job->push->private_if_new) loam_json_put(&content, "visibility", json_string("private"));
    struct loam_http_request request;
    enum loam_status status = post(job, "api/repos/create", content, &request, error);
    struct loam_error ignored;
    bool refused = request.status == 401 || request.status == 402 || request.status == 403;
    if (status == LOAM_OK && request.status != 409 && !(refused && find_repository(job, &ignored) == LOAM_OK))
        status = loam_hub_check(job->hub, &request, job->repo, error);
    loam_http_request_deinit(&request);
    return status;
}

// ---- The files ----

static enum loam_status query_modes(struct push_job *job, size_t first, size_t count,
                                    struct loam_error *error)
{
    struct loam_bytes query = {0};
    char *url = loam_hub_url(job->hub, error, "api/models/%s/preupload/main", job->repo->id);
    enum loam_status status =
        url == NULL ? error->status : loam_preupload_format(&query, &job->folder, first, count, error);
    struct loam_http_request request = {.method = "POST",
                                        .url = url,
                                        .what = job->repo->id,
                                        .content_type = "application/json",
                                        .accept = "application/json",
                                        .to_hub = true,
                                        .body = query.data,
                                        .body_size = (int64_t)query.size};
    if (status == LOAM_OK) status = loam_hub_run(job->hub, &request, 1, error);
    if (status == LOAM_OK) status = loam_hub_check(job->hub, &request, job->repo, error);
    if (status == LOAM_OK)
        status =
            loam_preupload_parse(&job->folder, first, count, request.text.data, request.text.size, error);
    loam_http_request_deinit(&request);
    loam_bytes_deinit(&query);
    free(url);
    return status;
}

static enum loam_status hash_files(struct push_job *job, struct loam_error *error)
{
    for (size_t i = 0; i < job->folder.count; i++) {
        struct loam_folder_file *file = &job->folder.files[i];
        enum loam_digest_kind kind = file->mode == LOAM_UPLOAD_LFS ? LOAM_DIGEST_SHA256 : LOAM_DIGEST_GIT;
        LOAM_TRY(loam_digest_file(file->path, kind, file->size, file->local, error));
    }
    return LOAM_OK;
}

static enum loam_status prepare_files(struct push_job *job, struct loam_error *error)
{
    size_t count = job->folder.count;
    for (size_t first = 0; first < count; first += PREUPLOAD_BATCH)
        LOAM_TRY(query_modes(job, first, count - first < PREUPLOAD_BATCH ? count - first : PREUPLOAD_BATCH,
                             error));
    return hash_files(job, error);
}

// ---- The folder ----

// Refuses a file of any name that contains the token of this push. Files above SECRET_LIMIT are weights and
// are not searched.
static enum loam_status check_secret(const struct push_job *job, const struct loam_folder_file *file,
                                     struct loam_error *error)
{
    const char *token = job->hub->settings.token;
    if (token == NULL || file->size > SECRET_LIMIT || file->size < (int64_t)strlen(token)) return LOAM_OK;
    struct loam_bytes text = {0};
    enum loam_status status = loam_file_read(file->path, SECRET_LIMIT, &text, error);
    if (status == LOAM_OK && text.size > 0 && memmem(text.data, text.size, token, strlen(token)) != NULL)
        status = loam_fail(error, LOAM_ERROR_ARGUMENT,
                           "%s holds your token of the hub, which must not be pushed: move the file away",
                           file->path);
    loam_bytes_deinit(&text);
    return status;
}

static enum loam_status read_folder(struct push_job *job, struct loam_error *error)
{
    LOAM_TRY(loam_folder_read(&job->folder, job->push->directory, error));
    for (size_t i = 0; i < job->folder.count; i++)
        LOAM_TRY(check_secret(job, &job->folder.files[i], error));
    if (job->folder.left_out_count == 0) return LOAM_OK;
    struct loam_bytes names = {0};
    enum loam_status status = loam_folder_format_left_out(&job->folder, &names, error);
    if (status == LOAM_OK)
        loam_log_write(&job->hub->callbacks->log, LOAM_LOG_INFO, "%s: not pushed: %s", job->push->directory,
                       names.data);
    loam_bytes_deinit(&names);
    return status;
}

static enum loam_status push_files(struct push_job *job, struct loam_pushed *pushed, struct loam_error *error)
{
    LOAM_TRY(read_folder(job, error));
    LOAM_TRY(check_card(job, error));
    LOAM_TRY(create_repository(job, error));
    LOAM_TRY(prepare_files(job, error));
    LOAM_TRY(loam_lfs_upload(job->hub, job->repo, &job->folder, error));
    return loam_commit_send(job->hub, job->repo, &job->folder, job->push->message, &pushed->files,
                            pushed->commit, error);
}

// ---- The public functions ----

enum loam_status loam_hub_check_push(const struct loam_hub *hub, const struct loam_repo *repo,
                                     struct loam_error *error)
{
    if (strchr(repo->id, '/') == NULL)
        return loam_fail(error, LOAM_ERROR_USAGE, "%s names no owner. Expected USER/NAME or ORG/NAME",
                         repo->id);
    if (strcmp(repo->revision, "main") != 0)
        return loam_fail(error, LOAM_ERROR_USAGE, "%s@%s: a push goes to the branch main", repo->id,
                         repo->revision);
    if (hub->settings.offline)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "%s cannot be pushed to: HF_HUB_OFFLINE is set",
                         repo->id);
    if (hub->settings.token == NULL)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "%s cannot be pushed to without a token: put one that may write into HF_TOKEN "
                         "(%s/settings/tokens)",
                         repo->id, hub->settings.endpoint);
    return LOAM_OK;
}

enum loam_status loam_hub_push(struct loam_hub *hub, const struct loam_repo *repo,
                               const struct loam_push *push, struct loam_pushed *pushed,
                               struct loam_error *error)
{
    *pushed = (struct loam_pushed){0};
    LOAM_TRY(loam_hub_check_push(hub, repo, error));
    if (!loam_directory_exists(push->directory))
        return loam_fail(error, LOAM_ERROR_IO, "%s: no such directory", push->directory);
    struct push_job job = {.hub = hub, .repo = repo, .push = push};
    enum loam_status status = push_files(&job, pushed, error);
    loam_folder_deinit(&job.folder);
    if (status == LOAM_OK) {
        pushed->address = loam_hub_url(hub, error, "%s", repo->id);
        if (pushed->address == NULL) status = LOAM_ERROR_MEMORY;
    }
    if (status != LOAM_OK) loam_hub_settings_redact(&hub->settings, error->message);
    return status;
}

void loam_pushed_deinit(struct loam_pushed *pushed)
{
    free(pushed->address);
    *pushed = (struct loam_pushed){0};
}
