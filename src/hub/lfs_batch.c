#include "hub/lfs_batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/json.h"

enum { PARTS_MAX = 100000 };

static const char answer_name[] = "the hub's answer on LFS objects";

enum loam_status loam_lfs_batch_format(struct loam_bytes *text, const struct loam_folder_file *const *files,
                                       size_t count, struct loam_error *error)
{
    json_t *objects = json_array();
    for (size_t i = 0; i < count; i++)
        loam_json_push(&objects,
                       json_pack("{s:s, s:I}", "oid", files[i]->local, "size", (json_int_t)files[i]->size));
    json_t *root = json_pack("{s:s, s:[s,s], s:o, s:s, s:{s:s}}", "operation", "upload", "transfers", "basic",
                             "multipart", "objects", objects, "hash_algo", "sha256", "ref", "name", "main");
    if (root == NULL) return loam_fail(error, LOAM_ERROR_MEMORY, "no memory for a request");
    enum loam_status status = loam_json_append(text, root, JSON_COMPACT, error);
    json_decref(root);
    return status;
}

// ---- The answer ----

static enum loam_status copy_text(char **copy, const json_t *object, const char *key,
                                  struct loam_error *error)
{
    const char *text = NULL;
    LOAM_TRY(loam_json_get_string(object, answer_name, key, &text, error));
    if (text == NULL) return loam_fail(error, LOAM_ERROR_FORMAT, "%s has no \"%s\"", answer_name, key);
    *copy = loam_strdup(text, error);
    return *copy == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
}

// Reads the addresses of the parts. Their keys are the numbers of the parts, such as "00001" or "1".
static enum loam_status take_parts(struct loam_lfs_upload *upload, json_t *header, struct loam_error *error)
{
    const char *key;
    json_t *value;
    size_t found = 0;
    upload->parts = loam_calloc(upload->part_count, sizeof *upload->parts, error);
    if (upload->parts == NULL) return LOAM_ERROR_MEMORY;
    json_object_foreach(header, key, value)
    {
        size_t digits = strspn(key, "0123456789");
        if (digits == 0 || digits > 9 || key[digits] != '\0') continue;
        size_t number = strtoul(key, NULL, 10);
        const char *href = json_string_value(value);
        if (href == NULL || number < 1 || number > upload->part_count || upload->parts[number - 1] != NULL)
            return loam_fail(error, LOAM_ERROR_FORMAT,
                             "%s: \"%s\" is not the number of a part, or has no address", answer_name, key);
        upload->parts[number - 1] = loam_strdup(href, error);
        if (upload->parts[number - 1] == NULL) return LOAM_ERROR_MEMORY;
        found++;
    }
    if (found == upload->part_count) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s has %zu addresses for the %zu parts of %s", answer_name,
                     found, upload->part_count, upload->file->name);
}

// "chunk_size" among the headers of an upload makes it an upload in parts. The value is a number, or a string
// of digits.
static enum loam_status take_header(struct loam_lfs_upload *upload, json_t *header, struct loam_error *error)
{
    const json_t *chunk = json_object_get(header, "chunk_size");
    if (chunk == NULL || json_is_null(chunk)) return LOAM_OK;
    const char *digits = json_string_value(chunk);
    upload->chunk = digits != NULL ? strtoll(digits, NULL, 10) : (int64_t)json_integer_value(chunk);
    if (upload->chunk < 1 || (upload->file->size - 1) / upload->chunk >= PARTS_MAX)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: the parts of %lld bytes are too small or too many for %s", answer_name,
                         (long long)upload->chunk, upload->file->name);
    upload->part_count = (size_t)((upload->file->size - 1) / upload->chunk + 1);
    return take_parts(upload, header, error);
}

static enum loam_status take_object(struct loam_lfs_upload *upload, const json_t *object,
                                    struct loam_error *error)
{
    const json_t *refusal = json_object_get(object, "error");
    const char *message = json_string_value(json_object_get(refusal, "message"));
    if (refusal != NULL && !json_is_null(refusal))
        return loam_fail(error, LOAM_ERROR_IO, "the hub does not take %s: %.200s", upload->file->name,
                         message == NULL ? "it gives no reason" : message);
    const json_t *actions = json_object_get(object, "actions");
    if (actions == NULL || json_is_null(actions)) return LOAM_OK;
    const json_t *put = json_object_get(actions, "upload"), *verify = json_object_get(actions, "verify");
    LOAM_TRY(copy_text(&upload->href, put, "href", error));
    LOAM_TRY(take_header(upload, json_object_get(put, "header"), error));
    if (verify == NULL || json_is_null(verify)) return LOAM_OK;
    return copy_text(&upload->verify, verify, "href", error);
}

static const json_t *find_object(const json_t *objects, const char *oid, size_t guess)
{
    size_t count = json_array_size(objects);
    for (size_t i = 0; i < count; i++) {
        const json_t *object = json_array_get(objects, (guess + i) % count);
        const char *text = json_string_value(json_object_get(object, "oid"));
        if (text != NULL && strcmp(text, oid) == 0) return object;
    }
    return NULL;
}

static enum loam_status take_objects(struct loam_lfs_plan *plan, const struct loam_folder_file *const *files,
                                     size_t count, const json_t *objects, struct loam_error *error)
{
    if (json_array_size(objects) > 4 * count + 16)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s lists too many objects", answer_name);
    plan->uploads = loam_calloc(count, sizeof *plan->uploads, error);
    if (plan->uploads == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        struct loam_lfs_upload *upload = &plan->uploads[plan->count++];
        upload->file = files[i];
        const json_t *object = find_object(objects, files[i]->local, i);
        if (object == NULL)
            return loam_fail(error, LOAM_ERROR_FORMAT, "%s does not mention %s", answer_name, files[i]->name);
        LOAM_TRY(take_object(upload, object, error));
    }
    return LOAM_OK;
}

enum loam_status loam_lfs_batch_parse(struct loam_lfs_plan *plan, const struct loam_folder_file *const *files,
                                      size_t count, const char *text, size_t size, struct loam_error *error)
{
    *plan = (struct loam_lfs_plan){0};
    json_t *root;
    LOAM_TRY(loam_json_parse(&root, text == NULL ? "" : text, size, answer_name, error));
    enum loam_status status = take_objects(plan, files, count, json_object_get(root, "objects"), error);
    json_decref(root);
    if (status != LOAM_OK) loam_lfs_plan_deinit(plan);
    return status;
}

void loam_lfs_plan_deinit(struct loam_lfs_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct loam_lfs_upload *upload = &plan->uploads[i];
        for (size_t part = 0; upload->parts != NULL && part < upload->part_count; part++)
            free(upload->parts[part]);
        free(upload->parts);
        free(upload->href);
        free(upload->verify);
    }
    free(plan->uploads);
    *plan = (struct loam_lfs_plan){0};
}
