// The values of the parameters that an adapter replaces.
#include <stdlib.h>

#include "base/heap.h"
#include "lora/adapter.h"
#include "model/trainables.h"

enum { STAGED = 1 << 16 }; // elements that are copied at a time

// ---- memory ----

// Points the passes and the set at the memory that there is.
static void connect(struct loam_adapter *adapter)
{
    for (size_t i = 0; i < adapter->replaced_count; i++) {
        struct loam_replaced *item = &adapter->replaced[i];
        const bool mirrored = item->mirror.data != NULL;
        item->entry.value = mirrored ? item->mirror : item->value;
        if (item->value.rank == 2)
            item->entry.handle = (struct loam_weight_handle){
                .weight = {item->entry.value, (item->parameter->row->flags & LOAM_WEIGHT_TRANSPOSED) != 0}};
        if (adapter->set != NULL && mirrored && !item->frozen)
            adapter->set->items[item->index].mirror = item->mirror;
    }
}

enum loam_status loam_replaced_register(struct loam_adapter *adapter, struct loam_error *error)
{
    for (size_t i = 0; i < adapter->replaced_count; i++) {
        struct loam_replaced *item = &adapter->replaced[i];
        if (item->frozen) continue;
        LOAM_TRY(loam_trainables_add(adapter->set, item->name, item->value,
                                     loam_parameter_is_decayed(item->parameter), &item->index, error));
    }
    return LOAM_OK;
}

void loam_replaced_point(struct loam_adapter *adapter)
{
    for (size_t i = 0; i < adapter->replaced_count; i++) {
        struct loam_replaced *item = &adapter->replaced[i];
        if (item->frozen) continue;
        item->value = adapter->set->items[item->index].value;
        item->entry.gradient = adapter->set->items[item->index].grad;
    }
    connect(adapter);
}

void loam_replaced_unregister(struct loam_adapter *adapter)
{
    for (size_t i = 0; i < adapter->replaced_count; i++)
        adapter->replaced[i].entry.gradient.data = NULL;
}

static bool is_mirrored(const struct loam_adapter *adapter, const struct loam_replaced *item)
{
    return adapter->model->dtype != LOAM_F32 || item->frozen;
}

void loam_replaced_place(struct loam_adapter *adapter, struct loam_arena *arena, bool counting)
{
    for (size_t i = 0; i < adapter->replaced_count; i++) {
        const struct loam_replaced *item = &adapter->replaced[i];
        if (item->frozen || (is_mirrored(adapter, item) && !adapter->trained_later)) continue;
        struct loam_tensor *value = &adapter->replaced[i].value;
        void *data = loam_arena_alloc(arena, loam_tensor_bytes(value));
        if (!counting) value->data = data;
    }
}

static void place_mirrors(struct loam_adapter *adapter, struct loam_arena *arena)
{
    for (size_t i = 0; i < adapter->replaced_count; i++) {
        struct loam_replaced *item = &adapter->replaced[i];
        if (!is_mirrored(adapter, item)) continue;
        item->mirror = item->value;
        item->mirror.dtype = adapter->model->dtype;
        item->mirror.data = loam_arena_alloc(arena, loam_tensor_bytes(&item->mirror));
    }
}

enum loam_status loam_replaced_allocate(struct loam_adapter *adapter, const struct loam_device *device,
                                        struct loam_error *error)
{
    struct loam_arena counting;
    loam_device_arena_init_counting(device, &counting);
    place_mirrors(adapter, &counting);
    if (counting.used > 0) {
        LOAM_TRY(loam_device_arena_init(device, &adapter->mirrors, counting.used, true, error));
        adapter->mirrors_device = device;
        place_mirrors(adapter, &adapter->mirrors);
    }
    connect(adapter);
    return LOAM_OK;
}

// ---- values ----

// Where the values of one parameter come from.
struct source {
    const struct loam_stored_tensor *stored; // NULL: from `base`
    const struct loam_tensor *base;
};

// values[i] = element first + i of the source. `narrow` has room for `count` elements of any dtype.
static enum loam_status read_source(const struct source *source, struct loam_stream *stream, size_t first,
                                    size_t count, void *narrow, float *values, struct loam_error *error)
{
    if (source->stored != NULL) {
        const enum loam_format format = source->stored->format;
        loam_format_convert(values, LOAM_F32, loam_format_at(format, source->stored->data, first), format,
                            count);
        return LOAM_OK;
    }
    const enum loam_dtype dtype = source->base->dtype;
    const size_t size = loam_dtype_size(dtype);
    loam_download(stream, narrow, (const char *)source->base->data + first * size, count * size);
    LOAM_TRY(loam_stream_finish(stream, error));
    loam_convert(values, LOAM_F32, narrow, dtype, count);
    return LOAM_OK;
}

static enum loam_status set_values(const struct loam_replaced *item, const struct source *source,
                                   struct loam_stream *stream, struct loam_error *error)
{
    const size_t total = (size_t)loam_tensor_count(&item->value);
    float *values = loam_calloc(2 * STAGED, sizeof *values, error);
    enum loam_status status = values != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
    for (size_t first = 0; first < total && status == LOAM_OK; first += STAGED) {
        const size_t count = total - first < STAGED ? total - first : STAGED;
        status = read_source(source, stream, first, count, values + STAGED, values, error);
        if (status != LOAM_OK) break;
        if (item->value.data != NULL)
            loam_upload(stream, (float *)item->value.data + first, values, count * sizeof *values);
        if (item->mirror.data != NULL)
            loam_upload_as(stream, (char *)item->mirror.data + first * loam_dtype_size(item->mirror.dtype),
                           item->mirror.dtype, values, LOAM_F32, count);
        status = loam_stream_finish(stream, error);
    }
    free(values);
    return status;
}

// The value of the base. The weights may have a head of their own although the config ties it.
static const struct loam_tensor *base_of(const struct loam_adapter *adapter, const struct loam_replaced *item)
{
    return item->of_head ? &adapter->model->head.weight->value : &item->parameter->value;
}

enum loam_status loam_replaced_start(struct loam_adapter *adapter, struct loam_stream *stream,
                                     struct loam_error *error)
{
    for (size_t i = 0; i < adapter->replaced_count; i++) {
        const struct source source = {.base = base_of(adapter, &adapter->replaced[i])};
        loam_parameter_read(adapter->replaced[i].parameter, stream);
        LOAM_TRY(set_values(&adapter->replaced[i], &source, stream, error));
    }
    return LOAM_OK;
}

enum loam_status loam_replaced_fill(struct loam_adapter *adapter, struct loam_stream *stream,
                                    struct loam_error *error)
{
    for (size_t i = 0; i < adapter->replaced_count; i++) {
        struct loam_replaced *item = &adapter->replaced[i];
        const struct source source = {item->stored, base_of(adapter, item)};
        loam_parameter_read(item->parameter, stream);
        LOAM_TRY(set_values(item, &source, stream, error));
        item->stored = NULL;
    }
    return LOAM_OK;
}

enum loam_status loam_replaced_download(const struct loam_replaced *item, struct loam_stream *stream,
                                        size_t first, size_t count, float *values, struct loam_error *error)
{
    const struct source source = {.base = item->value.data != NULL ? &item->value : &item->mirror};
    void *narrow = loam_calloc(count, sizeof(float), error);
    if (narrow == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = read_source(&source, stream, first, count, narrow, values, error);
    free(narrow);
    return status;
}
