#include "io/safetensors.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/json.h"
#include "io/safetensors_dtype.h"

enum {
    HEADER_LIMIT = 100 * 1000 * 1000, // bytes; the limit of the format's own implementation
    SIZE_FIELD = 8,
    NAME_LIMIT = 256,
};

struct shard {
    char *path;
    struct loam_map map;
};

struct loam_safetensors {
    struct shard *shards;
    size_t shard_count;
    struct loam_stored_tensor *tensors; // by shard, within one in the order of the data
    size_t count;
    const struct loam_stored_tensor **by_name; // sorted
};

// ---- one entry of the header ----

// The whole numbers of a JSON array, none negative.
static enum loam_status read_numbers(const json_t *array, const char *path, const char *tensor,
                                     const char *what, size_t count, int64_t *out, struct loam_error *error)
{
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(array, i);
        if (!json_is_integer(item) || json_integer_value(item) < 0)
            return loam_fail(error, LOAM_ERROR_FORMAT,
                             "%s: tensor %s: \"%s\" must hold whole numbers, none negative", path, tensor,
                             what);
        out[i] = json_integer_value(item);
    }
    return LOAM_OK;
}

static enum loam_status read_shape(struct loam_stored_tensor *tensor, const json_t *entry,
                                   struct loam_error *error)
{
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: tensor %s has no \"shape\" array", tensor->file,
                         tensor->name);
    size_t rank = json_array_size(shape);
    if (rank > LOAM_MAX_RANK)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s: tensor %s has %zu dimensions; at most %d are supported", tensor->file,
                         tensor->name, rank, LOAM_MAX_RANK);
    tensor->rank = (int)rank;
    return read_numbers(shape, tensor->file, tensor->name, "shape", rank, tensor->shape, error);
}

// Shape times dtype; false when that does not fit.
static bool expected_bytes(const struct loam_stored_tensor *tensor, size_t element, size_t *bytes)
{
    *bytes = element;
    for (int i = 0; i < tensor->rank; i++)
        if (!loam_mul_size(*bytes, (size_t)tensor->shape[i], bytes)) return false;
    return true;
}

static enum loam_status read_data(struct loam_stored_tensor *tensor, const json_t *entry, size_t element,
                                  const uint8_t *data, size_t data_size, struct loam_error *error)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    if (!json_is_array(offsets) || json_array_size(offsets) != 2)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: tensor %s has no \"data_offsets\" pair", tensor->file,
                         tensor->name);
    int64_t range[2];
    LOAM_TRY(read_numbers(offsets, tensor->file, tensor->name, "data_offsets", 2, range, error));
    if (range[0] > range[1] || (uint64_t)range[1] > data_size)
        return loam_fail(
            error, LOAM_ERROR_FORMAT,
            "%s: tensor %s lies at bytes %lld to %lld, but the file holds %zu bytes of data (is it "
            "truncated?)",
            tensor->file, tensor->name, (long long)range[0], (long long)range[1], data_size);
    size_t bytes;
    tensor->bytes = (size_t)(range[1] - range[0]);
    tensor->data = data + range[0];
    if (!expected_bytes(tensor, element, &bytes) || bytes != tensor->bytes)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: tensor %s has %zu bytes, which is not what its shape and dtype make",
                         tensor->file, tensor->name, tensor->bytes);
    return LOAM_OK;
}

static enum loam_status read_entry(struct loam_stored_tensor *tensor, const json_t *entry,
                                   const uint8_t *data, size_t data_size, struct loam_error *error)
{
    const char *name = json_string_value(json_object_get(entry, "dtype"));
    if (name == NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: tensor %s has no \"dtype\"", tensor->file,
                         tensor->name);
    const struct loam_safetensors_dtype *dtype = loam_safetensors_dtype_by_name(name);
    if (dtype == NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: tensor %s has the unknown dtype \"%s\"", tensor->file,
                         tensor->name, name);
    tensor->dtype = dtype->dtype;
    LOAM_TRY(read_shape(tensor, entry, error));
    return read_data(tensor, entry, dtype->size, data, data_size, error);
}

// ---- one file ----

static int compare_data(const void *a, const void *b)
{
    const struct loam_stored_tensor *left = a;
    const struct loam_stored_tensor *right = b;
    if (left->data != right->data) return left->data < right->data ? -1 : 1;
    return (left->bytes > right->bytes) - (left->bytes < right->bytes);
}

// The tensors must tile the data: a byte that two claim or that none does is a lie somewhere.
static enum loam_status check_tiling(struct loam_stored_tensor *tensors, size_t count, const char *path,
                                     const uint8_t *data, size_t data_size, struct loam_error *error)
{
    if (count > 0) qsort(tensors, count, sizeof *tensors, compare_data);
    const uint8_t *expected = data;
    for (size_t i = 0; i < count; i++) {
        if (tensors[i].data != expected)
            return loam_fail(error, LOAM_ERROR_FORMAT, "%s: the data of tensor %s %s", path, tensors[i].name,
                             tensors[i].data < expected ? "overlaps that of another"
                                                        : "does not follow that of the tensor before it");
        expected += tensors[i].bytes;
    }
    size_t covered = (size_t)(expected - data);
    if (covered != data_size)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: %zu bytes at the end belong to no tensor", path,
                         data_size - covered);
    return LOAM_OK;
}

static enum loam_status read_entries(struct loam_safetensors *file, const struct shard *shard, json_t *header,
                                     const uint8_t *data, size_t data_size, struct loam_error *error)
{
    size_t first = file->count;
    const char *key;
    json_t *entry;
    struct loam_stored_tensor *grown =
        realloc(file->tensors, (first + json_object_size(header) + 1) * sizeof *grown);
    if (grown == NULL)
        return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: the tensor list of %s", shard->path);
    file->tensors = grown;
    json_object_foreach(header, key, entry)
    {
        if (strcmp(key, "__metadata__") == 0) continue;
        char *name = loam_strdup(key, error);
        if (name == NULL) return LOAM_ERROR_MEMORY;
        struct loam_stored_tensor *tensor = &file->tensors[file->count++];
        *tensor = (struct loam_stored_tensor){.name = name, .file = shard->path};
        LOAM_TRY(read_entry(tensor, entry, data, data_size, error));
    }
    return check_tiling(file->tensors + first, file->count - first, shard->path, data, data_size, error);
}

static enum loam_status header_size(const struct shard *shard, size_t *size, struct loam_error *error)
{
    if (shard->map.size < SIZE_FIELD)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s is no safetensors file: it has %zu bytes", shard->path,
                         shard->map.size);
    uint64_t value = 0;
    for (int i = 0; i < SIZE_FIELD; i++)
        value |= (uint64_t)shard->map.data[i] << (8 * i);
    if (value > HEADER_LIMIT || value > shard->map.size - SIZE_FIELD)
        return loam_fail(
            error, LOAM_ERROR_FORMAT,
            "%s: its header claims %llu bytes, the file has %zu (truncated, or no safetensors file)",
            shard->path, (unsigned long long)value, shard->map.size);
    *size = (size_t)value;
    return LOAM_OK;
}

static enum loam_status read_shard(struct loam_safetensors *file, const struct shard *shard,
                                   struct loam_error *error)
{
    size_t size = 0;
    LOAM_TRY(header_size(shard, &size, error));
    char *name = loam_format(error, "the header of %s", shard->path);
    if (name == NULL) return LOAM_ERROR_MEMORY;
    json_t *header = NULL;
    enum loam_status status =
        loam_json_parse(&header, (const char *)shard->map.data + SIZE_FIELD, size, name, error);
    free(name);
    if (status == LOAM_OK)
        status = read_entries(file, shard, header, shard->map.data + SIZE_FIELD + size,
                              shard->map.size - SIZE_FIELD - size, error);
    json_decref(header);
    return status;
}

// Maps a file and reads its header. `path` is taken over.
static enum loam_status add_shard(struct loam_safetensors *file, char *path, struct loam_error *error)
{
    if (path == NULL) return LOAM_ERROR_MEMORY;
    struct shard *shard = &file->shards[file->shard_count++];
    shard->path = path;
    LOAM_TRY(loam_map_open(&shard->map, path, false, error));
    return read_shard(file, shard, error);
}

// ---- the whole ----

static int compare_names(const void *a, const void *b)
{
    const struct loam_stored_tensor *const *left = a;
    const struct loam_stored_tensor *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

// Sorts the names and finds those that two shards hold.
static enum loam_status index_names(struct loam_safetensors *file, struct loam_error *error)
{
    file->by_name = loam_calloc(file->count, sizeof *file->by_name, error);
    if (file->by_name == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < file->count; i++)
        file->by_name[i] = &file->tensors[i];
    qsort(file->by_name, file->count, sizeof *file->by_name, compare_names);
    for (size_t i = 1; i < file->count; i++)
        if (strcmp(file->by_name[i - 1]->name, file->by_name[i]->name) == 0)
            return loam_fail(error, LOAM_ERROR_FORMAT, "tensor %s is in %s and again in %s",
                             file->by_name[i]->name, file->by_name[i - 1]->file, file->by_name[i]->file);
    return LOAM_OK;
}

static struct loam_safetensors *create(size_t shard_limit, struct loam_error *error)
{
    struct loam_safetensors *file = loam_calloc(1, sizeof *file, error);
    if (file == NULL) return NULL;
    file->shards = loam_calloc(shard_limit, sizeof *file->shards, error);
    if (file->shards != NULL) return file;
    free(file);
    return NULL;
}

void loam_safetensors_destroy(struct loam_safetensors *file)
{
    if (file == NULL) return;
    for (size_t i = 0; i < file->count; i++)
        free((void *)(uintptr_t)file->tensors[i].name);
    for (size_t i = 0; i < file->shard_count; i++) {
        loam_map_close(&file->shards[i].map);
        free(file->shards[i].path);
    }
    free(file->by_name);
    free(file->tensors);
    free(file->shards);
    free(file);
}

enum loam_status loam_safetensors_open_file(struct loam_safetensors **out, const char *path,
                                            struct loam_error *error)
{
    *out = NULL;
    struct loam_safetensors *file = create(1, error);
    if (file == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = add_shard(file, loam_strdup(path, error), error);
    if (status == LOAM_OK) status = index_names(file, error);
    if (status == LOAM_OK)
        *out = file;
    else
        loam_safetensors_destroy(file);
    return status;
}

// ---- shards ----

static bool has_shard(const struct loam_safetensors *file, const char *path)
{
    for (size_t i = 0; i < file->shard_count; i++)
        if (strcmp(file->shards[i].path, path) == 0) return true;
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

static enum loam_status add_shards(struct loam_safetensors *file, const char *directory, const char *index,
                                   json_t *map, struct loam_error *error)
{
    const char *tensor;
    json_t *value;
    json_object_foreach(map, tensor, value)
    {
        char *path = NULL;
        LOAM_TRY(shard_path(directory, index, value, &path, error));
        if (has_shard(file, path))
            free(path);
        else
            LOAM_TRY(add_shard(file, path, error));
    }
    return LOAM_OK;
}

// Every tensor of the index is in the shard that it names.
static enum loam_status check_index(const struct loam_safetensors *file, const char *index, json_t *map,
                                    struct loam_error *error)
{
    const char *name;
    json_t *value;
    json_object_foreach(map, name, value)
    {
        const char *shard = json_string_value(value);
        const struct loam_stored_tensor *tensor = loam_safetensors_find(file, name);
        if (tensor == NULL || strcmp(strrchr(tensor->file, '/') + 1, shard) != 0)
            return loam_fail(error, LOAM_ERROR_FORMAT,
                             "%s says that tensor %s is in %s, which does not hold it", index, name, shard);
    }
    return LOAM_OK;
}

static enum loam_status open_shards(struct loam_safetensors **out, const char *directory, const char *index,
                                    json_t *map, struct loam_error *error)
{
    struct loam_safetensors *file = create(json_object_size(map), error);
    if (file == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = add_shards(file, directory, index, map, error);
    if (status == LOAM_OK) status = index_names(file, error);
    if (status == LOAM_OK) status = check_index(file, index, map, error);
    if (status == LOAM_OK)
        *out = file;
    else
        loam_safetensors_destroy(file);
    return status;
}

static enum loam_status open_index(struct loam_safetensors **out, const char *directory, const char *index,
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

// What else may hold weights, the likeliest first, and what to do with it.
static const struct {
    const char *start, *ending;
    const char *remedy;
} others[] = {
    {"pytorch_model", ".bin",
     "it is read by PyTorch alone: convert it once with transformers, "
     "AutoModelForCausalLM.from_pretrained(OLD).save_pretrained(NEW)"},
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

enum loam_status loam_safetensors_open_directory(struct loam_safetensors **out, const char *directory,
                                                 struct loam_error *error)
{
    *out = NULL;
    char *single = loam_path_join(directory, "model.safetensors", error);
    char *index = loam_path_join(directory, LOAM_SHARD_INDEX, error);
    enum loam_status status;
    if (single == NULL || index == NULL)
        status = LOAM_ERROR_MEMORY;
    else if (!loam_directory_exists(directory))
        status = loam_fail(error, LOAM_ERROR_IO, "%s is not a directory", directory);
    else if (loam_file_exists(single))
        status = loam_safetensors_open_file(out, single, error);
    else if (loam_file_exists(index))
        status = open_index(out, directory, index, error);
    else
        status = refuse_directory(directory, error);
    free(single);
    free(index);
    return status;
}

enum loam_status loam_safetensors_in_directory(const char *directory, bool *there, struct loam_error *error)
{
    static const char *const names[] = {"model.safetensors", LOAM_SHARD_INDEX};
    *there = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *path = loam_path_join(directory, names[i], error);
        if (path == NULL) return LOAM_ERROR_MEMORY;
        *there = *there || loam_file_exists(path);
        free(path);
    }
    return LOAM_OK;
}

// ---- looking up ----

size_t loam_safetensors_count(const struct loam_safetensors *file)
{
    return file->count;
}

const struct loam_stored_tensor *loam_safetensors_at(const struct loam_safetensors *file, size_t index)
{
    return index < file->count ? &file->tensors[index] : NULL;
}

const struct loam_stored_tensor *loam_safetensors_find(const struct loam_safetensors *file, const char *name)
{
    const struct loam_stored_tensor key = {.name = name};
    const struct loam_stored_tensor *wanted = &key;
    const struct loam_stored_tensor *const *found =
        bsearch(&wanted, file->by_name, file->count, sizeof *file->by_name, compare_names);
    return found == NULL ? NULL : *found;
}
