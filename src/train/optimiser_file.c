#include "train/optimiser_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "io/container.h"
#include "io/safetensors.h"

static const struct {
    const char *prefix;
    size_t offset; // of the tensor in struct loam_trainable
} parts[] = {
    {"value.", offsetof(struct loam_trainable, value)},
    {"m.", offsetof(struct loam_trainable, m)},
    {"v.", offsetof(struct loam_trainable, v)},
};
enum { PARTS = sizeof parts / sizeof parts[0] };

static const struct loam_tensor *part_of(const struct loam_trainable *item, size_t part)
{
    return (const struct loam_tensor *)(const void *)((const char *)item + parts[part].offset);
}

static char *part_name(const struct loam_trainable *item, size_t part, struct loam_error *error)
{
    return loam_format(error, "%s%s", parts[part].prefix, item->name);
}

// What is written: the items [first, first + count) of the optimiser's set.
struct range {
    struct loam_optimiser *optimiser;
    size_t first;
    size_t count;
};

static enum loam_status fill_block(void *user, size_t index, size_t first, size_t count, void *block,
                                   struct loam_error *error)
{
    const struct range *range = user;
    struct loam_optimiser *optimiser = range->optimiser;
    const struct loam_trainable *item = &optimiser->set->items[range->first + index / PARTS];
    const struct loam_tensor *tensor = part_of(item, index % PARTS);
    loam_download(&optimiser->stream, block, (const float *)tensor->data + first, count * sizeof(float));
    return loam_stream_finish(&optimiser->stream, error);
}

static enum loam_status describe(struct loam_write_tensor *tensors, const struct range *range,
                                 struct loam_error *error)
{
    for (size_t i = 0; i < PARTS * range->count; i++) {
        const struct loam_trainable *item = &range->optimiser->set->items[range->first + i / PARTS];
        tensors[i].dtype = LOAM_F32;
        tensors[i].rank = item->value.rank;
        memcpy(tensors[i].shape, item->value.shape, sizeof tensors[i].shape);
        tensors[i].name = part_name(item, i % PARTS, error);
        if (tensors[i].name == NULL) return LOAM_ERROR_MEMORY;
    }
    return LOAM_OK;
}

enum loam_status loam_optimiser_write_file(struct loam_optimiser *optimiser, size_t first, size_t count,
                                           const char *path, struct loam_error *error)
{
    struct range range = {optimiser, first, count};
    struct loam_write_source source = {.fill = fill_block, .user = &range};
    struct loam_write_tensor *tensors = loam_calloc(PARTS * count, sizeof *tensors, error);
    if (tensors == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = describe(tensors, &range, error);
    if (status == LOAM_OK) status = loam_safetensors_write_from(path, tensors, PARTS * count, &source, error);
    for (size_t i = 0; i < PARTS * count; i++)
        free((char *)(uintptr_t)tensors[i].name);
    free(tensors);
    return status;
}

// The tensor of that name, of the part's shape.
static enum loam_status find_stored(const struct loam_stored_tensor **stored,
                                    const struct loam_container *file, const char *path, const char *name,
                                    const struct loam_tensor *wanted, struct loam_error *error)
{
    *stored = loam_container_find(file, name);
    bool same = *stored != NULL && (*stored)->format == LOAM_FORMAT_F32 && (*stored)->rank == wanted->rank;
    for (int i = 0; same && i < wanted->rank; i++)
        same = (*stored)->shape[i] == wanted->shape[i];
    if (same) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s has no tensor \"%s\" of this run's shape", path, name);
}

static enum loam_status read_part(struct loam_optimiser *optimiser, const struct loam_container *file,
                                  const char *path, size_t index, struct loam_error *error)
{
    const struct loam_trainable *item = &optimiser->set->items[index / PARTS];
    const struct loam_tensor *target = part_of(item, index % PARTS);
    const struct loam_stored_tensor *stored;
    char *name = part_name(item, index % PARTS, error);
    if (name == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = find_stored(&stored, file, path, name, target, error);
    free(name);
    if (status != LOAM_OK) return status;
    loam_upload(&optimiser->stream, target->data, stored->data, stored->bytes);
    if (target == &item->value && item->mirror.data != NULL)
        loam_upload_as(&optimiser->stream, item->mirror.data, item->mirror.dtype, stored->data, LOAM_F32,
                       (size_t)loam_tensor_count(target));
    return loam_stream_finish(&optimiser->stream, error);
}

enum loam_status loam_optimiser_read_file(struct loam_optimiser *optimiser, size_t first, size_t count,
                                          const char *path, bool values_alone, struct loam_error *error)
{
    struct loam_container *file;
    LOAM_TRY(loam_container_open_file(&file, path, error));
    enum loam_status status = LOAM_OK;
    for (size_t i = PARTS * first; status == LOAM_OK && i < PARTS * (first + count); i++)
        if (!values_alone || i % PARTS == 0) status = read_part(optimiser, file, path, i, error);
    loam_container_destroy(file);
    return status;
}
