#include "io/shards.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "io/atomic.h"

// Writes `shard` as the file of the tensors that have none yet.
static void number_open(size_t *shard_of, size_t end, size_t shard)
{
    for (size_t i = 0; i < end; i++)
        if (shard_of[i] == SIZE_MAX) shard_of[i] = shard;
}

size_t loam_shards_cut(const size_t *bytes, size_t count, size_t limit, size_t *shard_of)
{
    size_t shards = 0;
    size_t used = 0; // bytes of the file being filled
    bool open = false;
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] > limit) {
            shard_of[i] = shards++;
            continue;
        }
        if (bytes[i] > limit - used) {
            number_open(shard_of, i, shards++);
            used = 0;
        }
        shard_of[i] = SIZE_MAX; // until the file is full
        used += bytes[i];
        open = true;
    }
    if (open) number_open(shard_of, count, shards++);
    return shards;
}

void loam_shard_name(size_t shard, size_t shards, char name[LOAM_SHARD_NAME_SIZE])
{
    if (shards == 1)
        snprintf(name, LOAM_SHARD_NAME_SIZE, "model.safetensors");
    else
        snprintf(name, LOAM_SHARD_NAME_SIZE, "model-%05zu-of-%05zu.safetensors", shard + 1, shards);
}

bool loam_shard_is_name(const char *name)
{
    static const char pattern[] = "model-#####-of-#####.safetensors";
    if (strcmp(name, "model.safetensors") == 0 || strcmp(name, LOAM_SHARD_INDEX) == 0) return true;
    if (strlen(name) != strlen(pattern)) return false;
    for (size_t i = 0; pattern[i] != '\0'; i++) {
        bool digit = name[i] >= '0' && name[i] <= '9';
        if (pattern[i] == '#' ? !digit : pattern[i] != name[i]) return false;
    }
    return true;
}

static bool is_new(const char *name, size_t shards)
{
    char other[LOAM_SHARD_NAME_SIZE];
    if (shards > 1 && strcmp(name, LOAM_SHARD_INDEX) == 0) return true;
    for (size_t shard = 0; shard < shards; shard++) {
        loam_shard_name(shard, shards, other);
        if (strcmp(name, other) == 0) return true;
    }
    return false;
}

enum loam_status loam_shards_remove_old(const char *path, size_t shards, struct loam_error *error)
{
    DIR *directory = opendir(path);
    if (directory == NULL)
        return loam_fail(error, LOAM_ERROR_IO, "cannot read the directory %s: %s", path, strerror(errno));
    enum loam_status status = LOAM_OK;
    for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        if (!loam_shard_is_name(entry->d_name) || is_new(entry->d_name, shards)) continue;
        if (unlinkat(dirfd(directory), entry->d_name, 0) == 0 || errno == ENOENT || errno == EISDIR) continue;
        status = loam_fail(error, LOAM_ERROR_IO,
                           "the model is in %s, but %s of an older one is still there: %s; remove it", path,
                           entry->d_name, strerror(errno));
    }
    closedir(directory);
    return status;
}

static json_t *weight_map(const struct loam_write_tensor *tensors, const size_t *shard_of, size_t count,
                          size_t shards)
{
    json_t *map = json_object();
    for (size_t i = 0; i < count; i++) {
        char name[LOAM_SHARD_NAME_SIZE];
        loam_shard_name(shard_of[i], shards, name);
        if (json_object_set_new(map, tensors[i].name, json_string(name)) != 0) {
            json_decref(map);
            return NULL;
        }
    }
    return map;
}

enum loam_status loam_shards_write_index(const char *directory, const struct loam_write_tensor *tensors,
                                         const size_t *shard_of, size_t count, size_t shards,
                                         size_t total_bytes, int64_t parameters, struct loam_error *error)
{
    char *path = loam_path_join(directory, LOAM_SHARD_INDEX, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    json_t *root =
        json_pack("{s:{s:I, s:I}, s:o}", "metadata", "total_parameters", (json_int_t)parameters, "total_size",
                  (json_int_t)total_bytes, "weight_map", weight_map(tensors, shard_of, count, shards));
    struct loam_bytes text = {0};
    enum loam_status status = loam_json_append(&text, root, JSON_INDENT(2) | JSON_SORT_KEYS, error);
    json_decref(root);
    if (status == LOAM_OK) status = loam_atomic_write_file(path, text.data, text.size, error);
    loam_bytes_deinit(&text);
    free(path);
    return status;
}
