// The block of trained tensors.
#include "model/trainables.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"

enum { ALIGNED_FLOATS = LOAM_ARENA_ALIGN / sizeof(float) };

static enum loam_status grow(struct loam_trainables *set, struct loam_error *error)
{
    if (set->count < set->capacity) return LOAM_OK;
    size_t capacity = set->capacity == 0 ? 64 : 2 * set->capacity;
    struct loam_trainable *items = loam_calloc(capacity, sizeof *items, error);
    if (items == NULL) return LOAM_ERROR_MEMORY;
    if (set->count > 0) memcpy(items, set->items, set->count * sizeof *items);
    free(set->items);
    set->items = items;
    set->capacity = capacity;
    return LOAM_OK;
}

enum loam_status loam_trainables_add(struct loam_trainables *set, const char *name, struct loam_tensor value,
                                     bool decayed, size_t *index, struct loam_error *error)
{
    LOAM_TRY(grow(set, error));
    if (index != NULL) *index = set->count;
    set->items[set->count++] =
        (struct loam_trainable){.name = name, .decayed = decayed, .rate = 1, .value = value};
    return LOAM_OK;
}

void loam_trainables_share(struct loam_trainables *set, size_t index, size_t owner)
{
    set->items[index].owner = owner + 1;
}

static bool has_own_value(const struct loam_trainable *item)
{
    return item->value.data == NULL && item->owner == 0;
}

static size_t padded_count(const struct loam_tensor *tensor)
{
    size_t count = (size_t)loam_tensor_count(tensor);
    return (count + ALIGNED_FLOATS - 1) / ALIGNED_FLOATS * ALIGNED_FLOATS;
}

// A tensor of the item's shape at `*next`, which moves on.
static struct loam_tensor take(const struct loam_tensor *shape, float **next)
{
    struct loam_tensor tensor = *shape;
    tensor.dtype = LOAM_F32;
    tensor.data = *next;
    *next += padded_count(shape);
    return tensor;
}

struct parts {
    float *value, *grad, *m, *v;
};

static struct parts take_parts(struct loam_arena *arena, size_t own_values, size_t all)
{
    struct parts parts;
    parts.value = loam_arena_alloc(arena, own_values * sizeof(float));
    parts.grad = loam_arena_alloc(arena, all * sizeof(float));
    parts.m = loam_arena_alloc(arena, all * sizeof(float));
    parts.v = loam_arena_alloc(arena, all * sizeof(float));
    return parts;
}

enum loam_status loam_trainables_allocate(struct loam_trainables *set, const struct loam_device *device,
                                          struct loam_error *error)
{
    size_t all = 0, own_values = 0; // floats
    for (size_t i = 0; i < set->count; i++) {
        all += padded_count(&set->items[i].value);
        if (has_own_value(&set->items[i])) own_values += padded_count(&set->items[i].value);
    }
    if (!loam_formats_have(device->formats.master, LOAM_F32))
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "device %s does not train values in f32",
                         device->name);
    set->device = device;
    // A dry run counts what the device's alignment adds.
    struct loam_arena counting;
    loam_device_arena_init_counting(device, &counting);
    (void)take_parts(&counting, own_values, all);
    LOAM_TRY(loam_device_arena_init(device, &set->arena, counting.used, true, error));
    struct parts parts = take_parts(&set->arena, own_values, all);
    set->gradients = loam_tensor_1d(parts.grad, LOAM_F32, (int64_t)all);
    for (size_t i = 0; i < set->count; i++) {
        struct loam_trainable *item = &set->items[i];
        if (item->owner > 0)
            item->value.data = set->items[item->owner - 1].value.data;
        else if (item->value.data == NULL)
            item->value = take(&item->value, &parts.value);
        item->grad = take(&item->value, &parts.grad);
        item->m = take(&item->value, &parts.m);
        item->v = take(&item->value, &parts.v);
    }
    return LOAM_OK;
}

void loam_trainables_deinit(struct loam_trainables *set)
{
    if (set->device != NULL) loam_device_arena_deinit(set->device, &set->arena);
    free(set->items);
    free(set->of_model);
    *set = (struct loam_trainables){0};
}

int64_t loam_trainables_total(const struct loam_trainables *set)
{
    int64_t total = 0;
    for (size_t i = 0; i < set->count; i++)
        total += loam_tensor_count(&set->items[i].value);
    return total;
}

// Fills an f32 tensor of the device from one of a half, through a host buffer.
static void widen(struct loam_stream *stream, const struct loam_tensor *target,
                  const struct loam_tensor *source, void *staging, size_t staging_count)
{
    uint16_t *narrow = staging;
    float *wide = (float *)(void *)(narrow + 2 * (staging_count / 2));
    size_t count = (size_t)loam_tensor_count(source);
    for (size_t done = 0; done < count; done += staging_count) {
        size_t chunk = count - done < staging_count ? count - done : staging_count;
        loam_download(stream, narrow, (const uint16_t *)source->data + done, chunk * sizeof *narrow);
        loam_convert(wide, LOAM_F32, narrow, source->dtype, chunk);
        loam_upload(stream, (float *)target->data + done, wide, chunk * sizeof *wide);
    }
}

// f32 masters of the model's parameters in a half.
static enum loam_status fill_masters(struct loam_trainables *set, struct loam_error *error)
{
    enum { STAGING = 65536 }; // elements
    struct loam_stream stream = {0};
    void *staging = loam_calloc(STAGING, sizeof(uint16_t) + sizeof(float), error);
    if (staging == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_stream_init(&stream, set->device, 0, error);
    if (status == LOAM_OK) {
        for (size_t i = 0; i < set->count; i++)
            widen(&stream, &set->items[i].value, &set->items[i].mirror, staging, STAGING);
        status = loam_stream_finish(&stream, error);
    }
    loam_stream_deinit(&stream);
    free(staging);
    return status;
}

bool loam_parameter_is_decayed(const struct loam_parameter *parameter)
{
    const struct loam_weight_row *row = parameter->row;
    return row->role != LOAM_ROLE_NORM && row->role != LOAM_ROLE_FINAL_NORM &&
           row->role != LOAM_ROLE_EMBEDDING_NORM && (row->flags & LOAM_WEIGHT_BIAS) == 0;
}

enum loam_status loam_trainables_from_model(struct loam_trainables *set, const struct loam_model *model,
                                            struct loam_error *error)
{
    bool masters = model->dtype != LOAM_F32;
    for (size_t i = 0; i < model->parameter_count; i++) {
        const struct loam_parameter *parameter = &model->parameters[i];
        struct loam_tensor value = parameter->value;
        if (masters) value.data = NULL;
        LOAM_TRY(loam_trainables_add(set, parameter->name, value, loam_parameter_is_decayed(parameter), NULL,
                                     error));
    }
    LOAM_TRY(loam_trainables_allocate(set, model->device, error));
    set->of_model = loam_calloc(model->parameter_count, sizeof *set->of_model, error);
    if (set->of_model == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < set->count; i++) {
        set->of_model[i] = set->items[i].grad;
        if (masters) set->items[i].mirror = model->parameters[i].value;
    }
    return masters && !model->device->planning ? fill_masters(set, error) : LOAM_OK;
}
