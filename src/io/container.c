#include "io/container.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "io/shards.h"
#include "io/torch_file.h"

enum { NAME_LIMIT = 256 };

struct shard {
    char *path;
    struct loam_map map;
    int descriptor; // of the mapped file, or -1
};

struct loam_container {
    struct shard *shards;
    size_t shard_count;
    struct loam_stored_list stored;
    const struct loam_stored_tensor **by_name; // sorted
};

static bool ends_in(const char *name, const char *ending)
{
    const size_t size = strlen(name), end = strlen(ending);
    return size >= end && strcmp(name + size - end, ending) == 0;
}

// Maps a file and reads its header. The container owns `path` from now on.
static enum loam_status add_shard(struct loam_container *container, char *path, struct loam_error *error)
{
    if (path == NULL) return LOAM_ERROR_MEMORY;
    struct shard *shard = &container->shards[container->shard_count++];
    *shard = (struct shard){.path = path, .descriptor = -1};
    size_t size = 0;
    LOAM_TRY(loam_file_open(path, &shard->descriptor, &size, error));
    LOAM_TRY(loam_map_descriptor(&shard->map, shard->descriptor, size, path, false, error));
    if (ends_in(path, ".bin")) return loam_torch_file_read(&container->stored, path, &shard->map, error);
    if (loam_gguf_is(&shard->map)) return loam_gguf_read(&container->stored, path, &shard->map, error);
    return loam_safetensors_read(&container->stored, path, &shard->map, error);
}

// ---- the container ----

static int compare_names(const void *a, const void *b)
{
    const struct loam_stored_tensor *const *left = a;
    const struct loam_stored_tensor *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

// Sorts the names and refuses a tensor that two shards hold.
static enum loam_status index_names(struct loam_container *container, struct loam_error *error)
{
    container->by_name = loam_calloc(container->stored.count, sizeof *container->by_name, error);
    if (container->by_name == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < container->stored.count; i++)
        container->by_name[i] = &container->stored.tensors[i];
    qsort(container->by_name, container->stored.count, sizeof *container->by_name, compare_names);
    for (size_t i = 1; i < container->stored.count; i++)
        if (strcmp(container->by_name[i - 1]->name, container->by_name[i]->name) == 0)
            return loam_fail(error, LOAM_ERROR_FORMAT, "tensor %s is in %s and again in %s",
                             container->by_name[i]->name, container->by_name[i - 1]->file,
                             container->by_name[i]->file);
    return LOAM_OK;
}

static struct loam_container *create(size_t shard_limit, struct loam_error *error)
{
    struct loam_container *container = loam_calloc(1, sizeof *container, error);
    if (container == NULL) return NULL;
    container->shards = loam_calloc(shard_limit, sizeof *container->shards, error);
    if (container->shards != NULL) return container;
    free(container);
    return NULL;
}

void loam_container_destroy(struct loam_container *container)
{
    if (container == NULL) return;
    for (size_t i = 0; i < container->shard_count; i++) {
        loam_map_close(&container->shards[i].map);
        if (container->shards[i].descriptor >= 0) close(container->shards[i].descriptor);
        free(container->shards[i].path);
    }
    free(container->by_name);
    loam_stored_list_deinit(&container->stored);
    free(container->shards);
    free(container);
}

enum loam_status loam_container_open_file(struct loam_container **out, const char *path,
                                          struct loam_error *error)
{
    *out = NULL;
    struct loam_container *container = create(1, error);
    if (container == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = add_shard(container, loam_strdup(path, error), error);
    if (status == LOAM_OK) status = index_names(container, error);
    if (status == LOAM_OK)
        *out = container;
    else
        loam_container_destroy(container);
    return status;
}

bool loam_container_is_whole(const struct loam_container *container)
{
    struct stat about;
    for (size_t i = 0; i < container->shard_count; i++) {
        const struct shard *shard = &container->shards[i];
        if (fstat(shard->descriptor, &about) != 0 || (size_t)about.st_size < shard->map.size) return false;
    }
    return true;
}

// ---- shards ----

static bool has_shard(const struct loam_container *container, const char *path)
{
    for (size_t i = 0; i < container->shard_count; i++)
        if (strcmp(container->shards[i].path, path) == 0) return true;
    return false;
}

// The path of a shard; its name in the index must stay within the directory.
static enum loam_status shard_path(const char *directory, const char *index, const json_t *value, char **path,
                                   struct loam_error *error)
{
    const char *name = json_string_value(value);
    if (name == NULL || name[0] == '\0' || strchr(name, '/') != NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: \"weight_map\" must give the name of a file in %s for each tensor", index,
                         directory);
    *path = loam_path_join(directory, name, error);
    return *path == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
}

static enum loam_status add_shards(struct loam_container *container, const char *directory, const char *index,
                                   json_t *map, struct loam_error *error)
{
    const char *tensor;
    json_t *value;
    json_object_foreach(map, tensor, value)
    {
        char *path = NULL;
        LOAM_TRY(shard_path(directory, index, value, &path, error));
        if (has_shard(container, path))
            free(path);
        else
            LOAM_TRY(add_shard(container, path, error));
    }
    return LOAM_OK;
}

// Checks that every tensor of the index is in the shard that the index names.
static enum loam_status check_index(const struct loam_container *container, const char *index, json_t *map,
                                    struct loam_error *error)
{
    const char *name;
    json_t *value;
    json_object_foreach(map, name, value)
    {
        const char *shard = json_string_value(value);
        const struct loam_stored_tensor *tensor = loam_container_find(container, name);
        if (tensor == NULL || strcmp(strrchr(tensor->file, '/') + 1, shard) != 0)
            return loam_fail(error, LOAM_ERROR_FORMAT, "%s: tensor %s is in %s, which does not hold it",
                             index, name, shard);
    }
    return LOAM_OK;
}

static enum loam_status open_shards(struct loam_container **out, const char *directory, const char *index,
                                    json_t *map, struct loam_error *error)
{
    struct loam_container *container = create(json_object_size(map), error);
    if (container == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = add_shards(container, directory, index, map, error);
    if (status == LOAM_OK) status = index_names(container, error);
    if (status == LOAM_OK) status = check_index(container, index, map, error);
    if (status == LOAM_OK)
        *out = container;
    else
        loam_container_destroy(container);
    return status;
}

static enum loam_status open_index(struct loam_container **out, const char *directory, const char *index,
                                   struct loam_error *error)
{
    json_t *root = NULL;
    LOAM_TRY(loam_json_load(&root, index, error));
    json_t *map = json_object_get(root, "weight_map");
    enum loam_status status =
        json_is_object(map) ? open_shards(out, directory, index, map, error)
                            : loam_fail(error, LOAM_ERROR_FORMAT, "%s has no \"weight_map\" object", index);
    json_decref(root);
    return status;
}

// Other files that may hold weights, the likeliest first, and the advice for each.
static const struct {
    const char *start, *ending;
    const char *remedy;
} others[] = {
    {"pytorch_model", ".bin",
     "the file must be called pytorch_model.bin, or pytorch_model.bin.index.json must name it"},
    {"", ".pt", "it is read by PyTorch alone: save the model with transformers' save_pretrained"},
    {"", ".pth", "it is read by PyTorch alone: save the model with transformers' save_pretrained"},
    {"", ".gguf", "GGUF is not read: take the model that it was made from"},
    {"", ".safetensors",
     "the file must be called model.safetensors, or model.safetensors.index.json must name it"},
};
enum { OTHERS = sizeof others / sizeof others[0] };

static bool is_other(const char *name, size_t other)
{
    const size_t size = strlen(name), start = strlen(others[other].start), end = strlen(others[other].ending);
    return size < NAME_LIMIT && size >= start + end && strncmp(name, others[other].start, start) == 0 &&
           strcmp(name + size - end, others[other].ending) == 0;
}

// The likeliest of the files in a directory: its place in `others`, or OTHERS.
static size_t find_other(const char *path, char name[NAME_LIMIT])
{
    size_t best = OTHERS;
    DIR *directory = opendir(path);
    if (directory == NULL) return best;
    for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory))
        for (size_t i = 0; i < best; i++)
            if (is_other(entry->d_name, i)) {
                best = i;
                memcpy(name, entry->d_name, strlen(entry->d_name) + 1);
            }
    closedir(directory);
    return best;
}

static enum loam_status refuse_directory(const char *directory, struct loam_error *error)
{
    char name[NAME_LIMIT] = "";
    const size_t other = find_other(directory, name);
    if (other == OTHERS)
        return loam_fail(error, LOAM_ERROR_IO,
                         "%s has neither model.safetensors nor model.safetensors.index.json", directory);
    return loam_fail(error, LOAM_ERROR_IO,
                     "%s has neither model.safetensors nor model.safetensors.index.json, but %s: %s",
                     directory, name, others[other].remedy);
}

// Where the tensors of a directory are: the first file that exists.
static const struct {
    const char *name;
    bool index; // the file names the shards
} sources[] = {
    {"model.safetensors", false},
    {LOAM_SHARD_INDEX, true},
    {"pytorch_model.bin", false},
    {"pytorch_model.bin.index.json", true},
};
enum { SOURCES = sizeof sources / sizeof sources[0] };

// The path of the file and its place in `sources`; NULL: the directory has none.
static enum loam_status find_source(const char *directory, char **path, size_t *place,
                                    struct loam_error *error)
{
    *path = NULL;
    for (*place = 0; *place < SOURCES; ++*place) {
        *path = loam_path_join(directory, sources[*place].name, error);
        if (*path == NULL) return LOAM_ERROR_MEMORY;
        if (loam_file_exists(*path)) return LOAM_OK;
        free(*path);
        *path = NULL;
    }
    return LOAM_OK;
}

enum loam_status loam_container_open_directory(struct loam_container **out, const char *directory,
                                               struct loam_error *error)
{
    char *path;
    size_t place;
    *out = NULL;
    if (!loam_directory_exists(directory))
        return loam_fail(error, LOAM_ERROR_IO, "%s is not a directory", directory);
    LOAM_TRY(find_source(directory, &path, &place, error));
    if (path == NULL) return refuse_directory(directory, error);
    const enum loam_status status = sources[place].index ? open_index(out, directory, path, error)
                                                         : loam_container_open_file(out, path, error);
    free(path);
    return status;
}

enum loam_status loam_container_in_directory(const char *directory, bool *there, struct loam_error *error)
{
    char *path;
    size_t place;
    *there = false;
    LOAM_TRY(find_source(directory, &path, &place, error));
    *there = path != NULL;
    free(path);
    return LOAM_OK;
}

// ---- looking up ----

size_t loam_container_count(const struct loam_container *container)
{
    return container->stored.count;
}

const struct loam_stored_tensor *loam_container_at(const struct loam_container *container, size_t index)
{
    return index < container->stored.count ? &container->stored.tensors[index] : NULL;
}

const struct loam_stored_tensor *loam_container_find(const struct loam_container *container, const char *name)
{
    const struct loam_stored_tensor key = {.name = name};
    const struct loam_stored_tensor *wanted = &key;
    const struct loam_stored_tensor *const *found = bsearch(
        &wanted, container->by_name, container->stored.count, sizeof *container->by_name, compare_names);
    return found == NULL ? NULL : *found;
}

const char *loam_container_metadata(const struct loam_container *container, const char *key)
{
    for (size_t i = 0; i < container->stored.metadata_count; i++)
        if (strcmp(container->stored.metadata[i].key, key) == 0) return container->stored.metadata[i].text;
    return NULL;
}
