#include "hub/preupload.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/utf8.h"
#include "hub/base64.h"

enum { SAMPLE_BYTES = 512, GITIGNORE_LIMIT = 1 << 20 };

static const char answer_name[] = "the hub's answer on the files to push";

// ---- The query ----

static enum loam_status append_sample(struct loam_bytes *text, const struct loam_folder_file *file,
                                      struct loam_error *error)
{
    struct loam_map map;
    LOAM_TRY(loam_map_open(&map, file->path, false, error));
    enum loam_status status = loam_bytes_reserve(text, 1, error);
    if (status == LOAM_OK)
        status = loam_base64_append(text, map.data, map.size < SAMPLE_BYTES ? map.size : SAMPLE_BYTES, error);
    loam_map_close(&map);
    return status;
}

static enum loam_status add_file(json_t *files, const struct loam_folder_file *file, struct loam_error *error)
{
    struct loam_bytes sample = {0};
    enum loam_status status = append_sample(&sample, file, error);
    if (status == LOAM_OK &&
        json_array_append_new(files, json_pack("{s:s, s:s%, s:I}", "path", file->name, "sample", sample.data,
                                               sample.size, "size", (json_int_t)file->size)) != 0)
        status = loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: a request");
    loam_bytes_deinit(&sample);
    return status;
}

// Sends the .gitignore of the folder, if it has one: the hub ignores the files that it names.
static enum loam_status add_gitignore(json_t *root, const struct loam_folder *folder,
                                      struct loam_error *error)
{
    const struct loam_folder_file *file = loam_folder_find(folder, ".gitignore");
    if (file == NULL) return LOAM_OK;
    struct loam_bytes text = {0};
    enum loam_status status = loam_file_read(file->path, GITIGNORE_LIMIT, &text, error);
    const char *data = text.data == NULL ? "" : text.data;
    if (status == LOAM_OK && loam_utf8_check(data, text.size) != text.size)
        status = loam_fail(error, LOAM_ERROR_FORMAT, "%s is not UTF-8", file->path);
    if (status == LOAM_OK && json_object_set_new(root, "gitIgnore", json_stringn(data, text.size)) != 0)
        status = loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: a request");
    loam_bytes_deinit(&text);
    return status;
}

enum loam_status loam_preupload_format(struct loam_bytes *text, const struct loam_folder *folder,
                                       size_t first, size_t count, struct loam_error *error)
{
    json_t *files = json_array(), *root = json_pack("{s:o}", "files", files);
    if (root == NULL) return loam_fail(error, LOAM_ERROR_MEMORY, "no memory for a request");
    enum loam_status status = LOAM_OK;
    for (size_t i = first; i < first + count && status == LOAM_OK; i++)
        status = add_file(files, &folder->files[i], error);
    if (status == LOAM_OK) status = add_gitignore(root, folder, error);
    if (status == LOAM_OK) status = loam_json_append(text, root, JSON_COMPACT, error);
    json_decref(root);
    return status;
}

// ---- The answer ----

static enum loam_status take_file(struct loam_folder_file *file, const json_t *item, struct loam_error *error)
{
    const char *mode = NULL, *oid = NULL;
    LOAM_TRY(loam_json_get_string(item, answer_name, "uploadMode", &mode, error));
    LOAM_TRY(loam_json_get_string(item, answer_name, "oid", &oid, error));
    LOAM_TRY(loam_json_get_bool(item, answer_name, "shouldIgnore", &file->ignored, error));
    bool lfs = mode != NULL && strcmp(mode, "lfs") == 0;
    if (!lfs && (mode == NULL || strcmp(mode, "regular") != 0))
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s asks for %s in a way that loam does not know",
                         answer_name, file->name);
    // LFS does not store empty files.
    file->mode = lfs && file->size > 0 ? LOAM_UPLOAD_LFS : LOAM_UPLOAD_REGULAR;
    if (oid != NULL && strlen(oid) < sizeof file->remote) memcpy(file->remote, oid, strlen(oid) + 1);
    return LOAM_OK;
}

// Starts the search at the position in the query, because the answer usually has the same order.
static const json_t *find_item(const json_t *files, const char *name, size_t guess)
{
    size_t count = json_array_size(files);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(files, (guess + i) % count);
        const char *path = json_string_value(json_object_get(item, "path"));
        if (path != NULL && strcmp(path, name) == 0) return item;
    }
    return NULL;
}

enum loam_status loam_preupload_parse(struct loam_folder *folder, size_t first, size_t count,
                                      const char *text, size_t size, struct loam_error *error)
{
    json_t *root;
    LOAM_TRY(loam_json_parse(&root, text == NULL ? "" : text, size, answer_name, error));
    const json_t *files = json_object_get(root, "files");
    enum loam_status status = LOAM_OK;
    if (json_array_size(files) > 4 * count + 16)
        status = loam_fail(error, LOAM_ERROR_FORMAT, "%s lists too many files", answer_name);
    for (size_t i = 0; i < count && status == LOAM_OK; i++) {
        struct loam_folder_file *file = &folder->files[first + i];
        const json_t *item = find_item(files, file->name, i);
        status = item != NULL
                     ? take_file(file, item, error)
                     : loam_fail(error, LOAM_ERROR_FORMAT, "%s does not mention %s", answer_name, file->name);
    }
    json_decref(root);
    return status;
}
