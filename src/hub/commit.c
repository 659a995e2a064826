#include "hub/commit.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "hub/base64.h"

enum { BODY_LIMIT = 512 << 20 }; // bytes of all files that are sent inside the commit

// Consumes `line`.
static enum loam_status append_line(struct loam_bytes *body, json_t *line, struct loam_error *error)
{
    if (line == NULL) return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: the commit");
    enum loam_status status = loam_json_append(body, line, JSON_COMPACT, error);
    json_decref(line);
    if (status == LOAM_OK) status = loam_bytes_append_text(body, "\n", error);
    if (status == LOAM_OK && body->size > BODY_LIMIT)
        status = loam_fail(
            error, LOAM_ERROR_UNSUPPORTED,
            "the hub wants files of more than %d MiB outside of LFS, which is too much for one commit",
            BODY_LIMIT >> 20);
    return status;
}

static enum loam_status append_regular(struct loam_bytes *body, const struct loam_folder_file *file,
                                       struct loam_error *error)
{
    struct loam_bytes content = {0}, text = {0};
    enum loam_status status = loam_file_read(file->path, LOAM_BASE64_LIMIT, &content, error);
    if (status == LOAM_OK) status = loam_base64_append(&text, content.data, content.size, error);
    if (status == LOAM_OK)
        status = append_line(body,
                             json_pack("{s:s, s:{s:s%, s:s, s:s}}", "key", "file", "value", "content",
                                       text.data, text.size, "path", file->name, "encoding", "base64"),
                             error);
    loam_bytes_deinit(&text);
    loam_bytes_deinit(&content);
    return status;
}

static enum loam_status append_large(struct loam_bytes *body, const struct loam_folder_file *file,
                                     struct loam_error *error)
{
    return append_line(body,
                       json_pack("{s:s, s:{s:s, s:s, s:s, s:I}}", "key", "lfsFile", "value", "path",
                                 file->name, "algo", "sha256", "oid", file->local, "size",
                                 (json_int_t)file->size),
                       error);
}

enum loam_status loam_commit_format(struct loam_bytes *body, const struct loam_folder *folder,
                                    const char *message, size_t *files, struct loam_error *error)
{
    *files = 0;
    if (loam_utf8_check(message, strlen(message)) != strlen(message))
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "the message of the commit is not UTF-8");
    LOAM_TRY(append_line(
        body,
        json_pack("{s:s, s:{s:s, s:s}}", "key", "header", "value", "summary", message, "description", ""),
        error));
    for (size_t i = 0; i < folder->count; i++) {
        const struct loam_folder_file *file = &folder->files[i];
        if (file->ignored || strcmp(file->local, file->remote) == 0) continue;
        LOAM_TRY((file->mode == LOAM_UPLOAD_LFS ? append_large : append_regular)(body, file, error));
        ++*files;
    }
    return LOAM_OK;
}

// Reads the commit's hash. The push has succeeded, so an answer that cannot be read is no failure.
static void take_commit(const struct loam_http_request *request, char commit[LOAM_COMMIT_SIZE])
{
    json_t *root = NULL;
    struct loam_error ignored;
    if (loam_json_parse(&root, request->text.data == NULL ? "" : request->text.data, request->text.size,
                        "answer", &ignored) != LOAM_OK)
        return;
    const char *hash = json_string_value(json_object_get(root, "commitOid"));
    if (hash != NULL && loam_is_commit(hash)) memcpy(commit, hash, LOAM_COMMIT_SIZE);
    json_decref(root);
}

static enum loam_status send_body(struct loam_hub *hub, const struct loam_repo *repo,
                                  const struct loam_bytes *body, char commit[LOAM_COMMIT_SIZE],
                                  struct loam_error *error)
{
    char *url = loam_hub_url(hub, error, "api/models/%s/commit/main", repo->id);
    if (url == NULL) return error->status;
    struct loam_http_request request = {.method = "POST",
                                        .url = url,
                                        .what = repo->id,
                                        .content_type = "application/x-ndjson",
                                        .accept = "application/json",
                                        .to_hub = true,
                                        .not_idempotent = true, // a repeated request may make a second commit
                                        .body = body->data,
                                        .body_size = (int64_t)body->size};
    enum loam_status status = loam_hub_run(hub, &request, 1, error);
    if (status == LOAM_OK) status = loam_hub_check(hub, &request, repo, error);
    if (status == LOAM_OK) take_commit(&request, commit);
    loam_http_request_deinit(&request);
    free(url);
    return status;
}

enum loam_status loam_commit_send(struct loam_hub *hub, const struct loam_repo *repo,
                                  const struct loam_folder *folder, const char *message, size_t *files,
                                  char commit[LOAM_COMMIT_SIZE], struct loam_error *error)
{
    struct loam_bytes body = {0};
    enum loam_status status = loam_commit_format(&body, folder, message, files, error);
    if (status == LOAM_OK && *files > 0) status = send_body(hub, repo, &body, commit, error);
    loam_bytes_deinit(&body);
    return status;
}
