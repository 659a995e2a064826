#include "hub/listing.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/json.h"

enum { FILES_MAX = 100000 };

static enum loam_status take_commit(struct loam_listing *listing, const json_t *root, const char *name,
                                    struct loam_error *error)
{
    const char *commit = NULL;
    LOAM_TRY(loam_json_get_string(root, name, "sha", &commit, error));
    if (commit == NULL || !loam_is_commit(commit))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: the hub names no commit", name);
    memcpy(listing->commit, commit, LOAM_COMMIT_SIZE);
    return LOAM_OK;
}

static enum loam_status take_file(struct loam_listed_file *file, const json_t *item, const char *name,
                                  struct loam_error *error)
{
    const char *path = NULL;
    if (!json_is_object(item))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: an entry of the hub's list of files is not an object",
                         name);
    LOAM_TRY(loam_json_get_string(item, name, "rfilename", &path, error));
    if (path == NULL || !loam_repo_file_is_safe(path))
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: the hub lists a file whose name is not a relative path; nothing is downloaded",
                         name);
    file->size = -1;
    LOAM_TRY(loam_json_get_int(item, name, "size", &file->size, error));
    if (file->size < 0) file->size = -1;
    file->name = loam_strdup(path, error);
    return file->name == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
}

static enum loam_status take_files(struct loam_listing *listing, const json_t *root, const char *name,
                                   struct loam_error *error)
{
    const json_t *siblings = json_object_get(root, "siblings");
    size_t count = json_array_size(siblings); // 0 if it is not an array
    if (!json_is_array(siblings) || count > FILES_MAX)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: the hub's list of files is missing or too long",
                         name);
    listing->files = loam_calloc(count, sizeof *listing->files, error);
    if (listing->files == NULL) return LOAM_ERROR_MEMORY;
    for (; listing->count < count; listing->count++)
        LOAM_TRY(take_file(&listing->files[listing->count], json_array_get(siblings, listing->count), name,
                           error));
    return LOAM_OK;
}

enum loam_status loam_listing_parse(struct loam_listing *listing, const char *text, size_t size,
                                    const char *name, struct loam_error *error)
{
    *listing = (struct loam_listing){0};
    json_t *root;
    LOAM_TRY(loam_json_parse(&root, text == NULL ? "" : text, size, name, error));
    enum loam_status status = take_commit(listing, root, name, error);
    if (status == LOAM_OK) status = take_files(listing, root, name, error);
    json_decref(root);
    if (status != LOAM_OK) loam_listing_deinit(listing);
    return status;
}

void loam_listing_deinit(struct loam_listing *listing)
{
    for (size_t i = 0; i < listing->count; i++)
        free(listing->files[i].name);
    free(listing->files);
    *listing = (struct loam_listing){0};
}

const struct loam_listed_file *loam_listing_find(const struct loam_listing *listing, const char *name)
{
    for (size_t i = 0; i < listing->count; i++)
        if (strcmp(listing->files[i].name, name) == 0) return &listing->files[i];
    return NULL;
}
