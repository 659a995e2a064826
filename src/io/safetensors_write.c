#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/json.h"
#include "io/atomic.h"
#include "io/safetensors.h"
#include "io/safetensors_format.h"

enum { DATA_ALIGN = 8 };

// One tensor and its place in the file.
struct entry {
    const struct loam_write_tensor *tensor;
    size_t index; // in the caller's list
    const struct loam_safetensors_format *dtype;
    size_t count; // elements
    size_t begin; // bytes from the start of the data
    size_t end;
};

// The order of the format's own writer: widest dtype first, so that all data is aligned, then by name.
static int compare_entries(const void *a, const void *b)
{
    const struct entry *left = a;
    const struct entry *right = b;
    if (left->dtype != right->dtype) return left->dtype > right->dtype ? -1 : 1;
    return strcmp(left->tensor->name, right->tensor->name);
}

static enum loam_status describe(struct entry *entry, const struct loam_write_tensor *tensor, size_t index,
                                 struct loam_error *error)
{
    *entry = (struct entry){.tensor = tensor,
                            .index = index,
                            .dtype = loam_safetensors_format_of(loam_format_of(tensor->dtype)),
                            .count = 1};
    if (entry->dtype == NULL)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "tensor %s has no dtype that safetensors knows",
                         tensor->name);
    for (int i = 0; i < tensor->rank; i++)
        if (tensor->shape[i] < 0 || !loam_mul_size(entry->count, (size_t)tensor->shape[i], &entry->count))
            return loam_fail(error, LOAM_ERROR_ARGUMENT, "tensor %s is too large to write", tensor->name);
    return LOAM_OK;
}

// Sorts and places the tensors one after the other.
static enum loam_status place(struct entry *entries, size_t count, struct loam_error *error)
{
    qsort(entries, count, sizeof *entries, compare_entries);
    size_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        size_t bytes;
        entries[i].begin = offset;
        if (!loam_mul_size(entries[i].count, entries[i].dtype->size, &bytes) ||
            !loam_add_size(offset, bytes, &offset) || offset > INT64_MAX)
            return loam_fail(error, LOAM_ERROR_ARGUMENT, "tensor %s is too large to write",
                             entries[i].tensor->name);
        entries[i].end = offset;
    }
    return LOAM_OK;
}

// {"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}; NULL when there is no memory.
static json_t *entry_json(const struct entry *entry)
{
    json_t *shape = json_array();
    for (int i = 0; i < entry->tensor->rank; i++)
        if (json_array_append_new(shape, json_integer(entry->tensor->shape[i])) != 0) {
            json_decref(shape);
            return NULL;
        }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", entry->dtype->name, "shape", shape, "data_offsets",
                     (json_int_t)entry->begin, (json_int_t)entry->end);
}

static enum loam_status header_json(json_t *header, const struct entry *entries, size_t count,
                                    const char *path, struct loam_error *error)
{
    bool whole = json_object_set_new(header, "__metadata__", json_pack("{s:s}", "format", "pt")) == 0;
    for (size_t i = 0; i < count && whole; i++) {
        const char *name = entries[i].tensor->name;
        if (json_object_get(header, name) != NULL)
            return loam_fail(error, LOAM_ERROR_ARGUMENT, "%s would hold tensor %s twice", path, name);
        whole = json_object_set_new(header, name, entry_json(&entries[i])) == 0;
    }
    if (!whole) return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: the header of %s", path);
    return LOAM_OK;
}

// Size field and JSON, padded with spaces so that the data starts aligned.
static enum loam_status write_header(struct loam_atomic_file *file, const json_t *header,
                                     struct loam_error *error)
{
    struct loam_bytes text = {0};
    enum loam_status status = loam_json_append(&text, header, JSON_COMPACT, error);
    size_t padding = (DATA_ALIGN - text.size % DATA_ALIGN) % DATA_ALIGN;
    uint8_t size[8];
    for (int i = 0; i < 8; i++)
        size[i] = (uint8_t)((uint64_t)(text.size + padding) >> (8 * i));
    if (status == LOAM_OK) status = loam_atomic_write(file, size, sizeof size, error);
    if (status == LOAM_OK) status = loam_atomic_write(file, text.data, text.size, error);
    if (status == LOAM_OK) status = loam_atomic_write(file, "       ", padding, error);
    loam_bytes_deinit(&text);
    return status;
}

static enum loam_status write_data(struct loam_atomic_file *file, const struct entry *entries, size_t count,
                                   const struct loam_write_source *source, struct loam_error *error)
{
    void *block = source == NULL ? NULL : loam_calloc(LOAM_STREAM_BLOCK, 1, error);
    if (source != NULL && block == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; i < count && status == LOAM_OK; i++)
        status = source == NULL ? loam_atomic_write(file, entries[i].tensor->data,
                                                    entries[i].end - entries[i].begin, error)
                                : loam_write_streamed(file, source, entries[i].index, entries[i].count,
                                                      entries[i].dtype->size, block, error);
    free(block);
    return status;
}

static enum loam_status write_entries(const char *path, const struct entry *entries, size_t count,
                                      const struct loam_write_source *source, struct loam_error *error)
{
    json_t *header = json_object();
    enum loam_status status = header_json(header, entries, count, path, error);
    struct loam_atomic_file file = {0};
    if (status == LOAM_OK) status = loam_atomic_open(&file, path, error);
    if (status == LOAM_OK) status = write_header(&file, header, error);
    json_decref(header);
    if (status == LOAM_OK) status = write_data(&file, entries, count, source, error);
    if (status == LOAM_OK) return loam_atomic_commit(&file, error);
    loam_atomic_abort(&file);
    return status;
}

enum loam_status loam_safetensors_write_from(const char *path, const struct loam_write_tensor *tensors,
                                             size_t count, const struct loam_write_source *source,
                                             struct loam_error *error)
{
    struct entry *entries = loam_calloc(count, sizeof *entries, error);
    if (entries == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; i < count && status == LOAM_OK; i++)
        status = describe(&entries[i], &tensors[i], i, error);
    if (status == LOAM_OK) status = place(entries, count, error);
    if (status == LOAM_OK) status = write_entries(path, entries, count, source, error);
    free(entries);
    return status;
}

enum loam_status loam_safetensors_write(const char *path, const struct loam_write_tensor *tensors,
                                        size_t count, struct loam_error *error)
{
    return loam_safetensors_write_from(path, tensors, count, NULL, error);
}
