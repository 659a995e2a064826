// Initial values of an adapter's matrices on its device.
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "lora/adapter.h"

enum loam_status loam_adapter_allocate_taken(struct loam_adapter *adapter, const struct loam_device *device,
                                             struct loam_error *error)
{
    if (!loam_lora_init_takes(&adapter->config.init)) return LOAM_OK;
    struct loam_arena counting;
    loam_device_arena_init_counting(device, &counting);
    for (size_t i = 0; i < adapter->count; i++) {
        const struct loam_lora_slot *slot = adapter->items[i].slot;
        if (adapter->items[i].is_embedding) continue; // nothing is taken from it
        loam_arena_alloc(&counting, loam_tensor_bytes(&slot->a));
        loam_arena_alloc(&counting, loam_tensor_bytes(&slot->b));
    }
    adapter->taken = loam_calloc(adapter->count, sizeof *adapter->taken, error);
    if (adapter->taken == NULL) return LOAM_ERROR_MEMORY;
    LOAM_TRY(loam_device_arena_init(device, &adapter->taken_arena, counting.used, true, error));
    adapter->taken_device = device;
    for (size_t i = 0; i < adapter->count; i++) {
        struct loam_lora_slot *slot = adapter->items[i].slot, *taken = &adapter->taken[i];
        if (adapter->items[i].is_embedding) continue;
        *taken =
            (struct loam_lora_slot){.rank = slot->rank, .scale = slot->scale, .a = slot->a, .b = slot->b};
        taken->a.data = loam_arena_alloc(&adapter->taken_arena, loam_tensor_bytes(&taken->a));
        taken->b.data = loam_arena_alloc(&adapter->taken_arena, loam_tensor_bytes(&taken->b));
        slot->taken = taken;
    }
    return LOAM_OK;
}

// wide [out, in] from values [count] of `dtype`, which are [in, out] where `transposed`.
static void widen(float *wide, const char *values, enum loam_dtype dtype, const struct loam_linear *linear,
                  bool transposed)
{
    const size_t in = (size_t)linear->in, out = (size_t)linear->out, size = loam_dtype_size(dtype);
    if (!transposed) {
        loam_convert(wide, LOAM_F32, values, dtype, in * out);
        return;
    }
    for (size_t i = 0; i < in; i++)
        for (size_t o = 0; o < out; o++)
            loam_convert(wide + o * in + i, LOAM_F32, values + (i * out + o) * size, dtype, 1);
}

// Returns the weight [out, in] of a linear as f32, released with free().
static float *copy_weight(const struct loam_linear *linear, struct loam_stream *stream,
                          struct loam_error *error)
{
    const struct loam_weight *weight = &linear->weight->handle.weight;
    const struct loam_tensor *tensor = &weight->tensor;
    const size_t count = (size_t)loam_tensor_count(tensor);
    char *stored = loam_calloc(count, loam_dtype_size(tensor->dtype), error);
    float *wide = stored == NULL ? NULL : loam_calloc(count, sizeof *wide, error);
    if (wide != NULL) {
        loam_parameter_read(linear->weight, stream);
        loam_download(stream, stored, tensor->data, loam_tensor_bytes(tensor));
        if (loam_stream_finish(stream, error) == LOAM_OK) {
            widen(wide, stored, tensor->dtype, linear, weight->transposed);
        } else {
            free(wide);
            wide = NULL;
        }
    }
    free(stored);
    return wide;
}

// `bias` NULL: there is none.
static void upload_values(struct loam_stream *stream, const struct loam_lora_slot *slot, const float *a,
                          const float *b, const float *bias)
{
    loam_upload(stream, slot->a.data, a, loam_tensor_bytes(&slot->a));
    loam_upload(stream, slot->b.data, b, loam_tensor_bytes(&slot->b));
    if (bias != NULL) loam_upload(stream, slot->bias.data, bias, loam_tensor_bytes(&slot->bias));
}

enum loam_status loam_adapter_start_module(struct loam_adapter *adapter, size_t index,
                                           struct loam_stream *stream, uint64_t seed, bool set,
                                           struct loam_error *error)
{
    const struct loam_linear *linear = adapter->items[index].linear;
    const struct loam_lora_slot *slot = adapter->items[index].slot;
    const struct loam_lora_module module = {linear->path, slot->rank,  linear->in,
                                            linear->out,  slot->scale, slot->index};
    const size_t a_count = (size_t)loam_tensor_count(&slot->a), b_count = (size_t)loam_tensor_count(&slot->b);
    const bool biased = slot->bias.rank > 0;
    const size_t bias_count = biased ? (size_t)linear->out : 0;
    float *weight = NULL, *a = loam_calloc(a_count + b_count + bias_count, sizeof *a, error);
    float *bias = a != NULL && biased ? a + a_count + b_count : NULL;
    enum loam_status status = a != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
    if (status == LOAM_OK && slot->taken != NULL) {
        weight = copy_weight(linear, stream, error);
        if (weight == NULL) status = error->status;
    }
    if (status == LOAM_OK && adapter->items[index].is_embedding)
        loam_lora_init_embedding(&adapter->config.init, &module, seed, a, a + a_count);
    else if (status == LOAM_OK)
        status =
            loam_lora_init_compute(&adapter->config.init, &module, seed, weight, a, a + a_count, bias, error);
    if (status == LOAM_OK) {
        if (slot->taken != NULL) upload_values(stream, slot->taken, a, a + a_count, NULL);
        if (set) upload_values(stream, slot, a, a + a_count, bias);
        status = loam_stream_finish(stream, error);
    }
    free(weight);
    free(a);
    return status;
}

// norms = ||W + scale B A|| by rows [out], of an embedding by columns [in]
static void compute_norms(const struct loam_adapter *adapter, const struct loam_adapted *item,
                          struct loam_stream *stream, struct loam_arena *arena, struct loam_tensor norms)
{
    const struct loam_lora_slot *slot = item->slot;
    const struct loam_weight_handle *handle = loam_adapted_weight(adapter, item);
    loam_parameter_read(item->linear->weight, stream);
    const struct loam_dora_norm_args args = {
        .w = loam_weight_open(handle, stream, arena, 0, handle->weight.tensor.shape[0]),
        .a = slot->a,
        .b = slot->b,
        .scale = slot->scale,
        .columns = item->is_embedding,
        .norms = norms};
    loam_dora_norm(stream, &args);
    loam_weight_close(handle, stream, 0, handle->weight.tensor.shape[0]);
    loam_arena_release(arena, 0);
}

static bool is_streamed(const struct loam_adapter *adapter, const struct loam_adapted *item)
{
    return loam_adapted_weight(adapter, item)->reader != NULL;
}

// PEFT starts magnitudes at the norms of the adapted weight. Called after A and B have their values.
static enum loam_status start_magnitudes(struct loam_adapter *adapter, struct loam_stream *stream,
                                         struct loam_error *error)
{
    size_t largest = 0; // bytes of a weight that is streamed
    for (size_t i = 0; i < adapter->count; i++) {
        const struct loam_linear *linear = adapter->items[i].linear;
        const size_t bytes = (size_t)(linear->out * linear->in) * sizeof(float);
        if (is_streamed(adapter, &adapter->items[i]) && bytes > largest) largest = bytes;
    }
    struct loam_arena arena;
    LOAM_TRY(loam_device_arena_init(stream->device, &arena, largest, false, error));
    for (size_t i = 0; i < adapter->count; i++)
        compute_norms(adapter, &adapter->items[i], stream, &arena, adapter->items[i].slot->magnitude);
    enum loam_status status = loam_stream_finish(stream, error);
    loam_device_arena_deinit(stream->device, &arena);
    return status;
}

enum loam_status loam_adapter_allocate_norms(struct loam_adapter *adapter, const struct loam_device *device,
                                             struct loam_error *error)
{
    if (!adapter->config.dora || adapter->set != NULL) return LOAM_OK;
    struct loam_arena counting;
    loam_device_arena_init_counting(device, &counting);
    for (size_t i = 0; i < adapter->count; i++)
        loam_arena_alloc(&counting, (size_t)loam_adapted_outputs(&adapter->items[i]) * sizeof(float));
    LOAM_TRY(loam_device_arena_init(device, &adapter->norms, counting.used, true, error));
    adapter->norms_device = device;
    return LOAM_OK;
}

enum loam_status loam_adapter_keep_norms(struct loam_adapter *adapter, struct loam_stream *stream,
                                         struct loam_error *error)
{
    if (adapter->norms_device == NULL) return LOAM_OK;
    struct loam_arena none;
    LOAM_TRY(loam_device_arena_init(stream->device, &none, 0, false, error));
    for (size_t i = 0; i < adapter->count; i++) {
        const struct loam_adapted *item = &adapter->items[i];
        if (is_streamed(adapter, item)) continue;
        const int64_t count = loam_adapted_outputs(item);
        item->slot->norms =
            loam_tensor_1d(loam_arena_alloc(&adapter->norms, (size_t)count * sizeof(float)), LOAM_F32, count);
        compute_norms(adapter, item, stream, &none, item->slot->norms);
    }
    loam_device_arena_deinit(stream->device, &none);
    return loam_stream_finish(stream, error);
}

// As in PEFT, a tied pair starts as a head, which comes last, and with false as an embedding.
static bool keeps_start(const struct loam_adapter *adapter, const struct loam_adapted *item)
{
    return adapter->config.init.kind == LOAM_LORA_RANDOM && loam_tied_part(adapter, item, LOAM_PART_A);
}

enum loam_status loam_adapter_start(struct loam_adapter *adapter, uint64_t seed, struct loam_error *error)
{
    const struct loam_device *device = adapter->set != NULL ? adapter->set->device : adapter->device;
    if (device == NULL)
        return loam_fail(error, LOAM_ERROR_INTERNAL, "an adapter is started after it has its memory");
    if (adapter->set != NULL) loam_adapter_point(adapter);
    LOAM_TRY(loam_adapter_allocate_taken(adapter, device, error));
    LOAM_TRY(loam_adapter_allocate_tokens(adapter, device, error));
    LOAM_TRY(loam_replaced_allocate(adapter, device, error));
    if (device->planning) return LOAM_OK;
    struct loam_stream stream;
    LOAM_TRY(loam_stream_init(&stream, device, 0, error));
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; i < adapter->count && status == LOAM_OK; i++)
        if (!keeps_start(adapter, &adapter->items[i]))
            status = loam_adapter_start_module(adapter, i, &stream, seed, true, error);
    if (status == LOAM_OK && adapter->config.dora) status = start_magnitudes(adapter, &stream, error);
    if (status == LOAM_OK) status = loam_adapter_start_tokens(adapter, &stream, error);
    if (status == LOAM_OK) status = loam_replaced_start(adapter, &stream, error);
    loam_stream_deinit(&stream);
    return status;
}
