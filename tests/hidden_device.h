// A device with the reference ops whose memory the host cannot reach by its addresses, as a GPU's: what reads
// or writes it without the memory table is a fault.
#ifndef LOAM_TESTS_HIDDEN_DEVICE_H
#define LOAM_TESTS_HIDDEN_DEVICE_H

#include "test.h"

#include "device/contract.h"
#include "device/device.h"

// A fetch that was not waited for.
struct hidden_fetch {
    void *target;
    const void *source; // NULL: none
    size_t bytes;
};

struct hidden_device {
    struct loam_device device; // first, so that a pointer to it is one to the whole
    struct loam_device *ref;
    struct hidden_fetch fetches[LOAM_FETCHES];
    int fetched; // fetches so far
};

static inline struct loam_device *hidden_ref(const struct loam_device *device)
{
    return ((const struct hidden_device *)(const void *)device)->ref;
}

// From a hidden address to the real one, and back.
static inline void *hidden_swap(const void *address)
{
    const uintptr_t unreachable = (uintptr_t)1 << (8 * sizeof(uintptr_t) - 2);
    return address != NULL ? (void *)((uintptr_t)address ^ unreachable) : NULL;
}

// ---- memory ----

static enum loam_status hidden_arena_init(const struct loam_device *device, struct loam_arena *arena,
                                          size_t bytes, bool populate, struct loam_error *error)
{
    LOAM_TRY(loam_device_arena_init(hidden_ref(device), arena, bytes, populate, error));
    arena->base = hidden_swap(arena->base);
    return LOAM_OK;
}

static void hidden_arena_deinit(const struct loam_device *device, struct loam_arena *arena)
{
    (void)device;
    if (!arena->counting) arena->base = hidden_swap(arena->base);
    loam_arena_deinit(arena);
}

static struct loam_free_memory hidden_free_memory(const struct loam_device *device)
{
    return loam_device_free_memory(hidden_ref(device));
}

static void hidden_upload(struct loam_stream *stream, void *target, const void *source, size_t bytes)
{
    loam_host_memory.upload(stream, hidden_swap(target), source, bytes);
}

static void hidden_upload_as(struct loam_stream *stream, void *target, enum loam_dtype target_dtype,
                             const void *source, enum loam_dtype source_dtype, size_t count)
{
    loam_host_memory.upload_as(stream, hidden_swap(target), target_dtype, source, source_dtype, count);
}

static void hidden_download(struct loam_stream *stream, void *target, const void *source, size_t bytes)
{
    loam_host_memory.download(stream, target, hidden_swap(source), bytes);
}

static void hidden_copy(struct loam_stream *stream, void *target, const void *source, size_t bytes)
{
    loam_host_memory.copy(stream, hidden_swap(target), hidden_swap(source), bytes);
}

static void hidden_zero(struct loam_stream *stream, void *target, size_t bytes)
{
    loam_host_memory.zero(stream, hidden_swap(target), bytes);
}

static void hidden_synchronise(struct loam_stream *stream)
{
    (void)stream;
}

// A fetch takes place when it is waited for. Until then what it replaces is poisoned.
static void hidden_fetch_begin(struct loam_stream *stream, int place, void *target, const void *source,
                               size_t bytes)
{
    struct hidden_device *device = (struct hidden_device *)(uintptr_t)stream->device;
    assert_in_range(place, 0, LOAM_FETCHES - 1);
    memset(hidden_swap(target), 0xff, bytes);
    device->fetches[place] = (struct hidden_fetch){hidden_swap(target), source, bytes};
    device->fetched++;
}

static void hidden_fetch_wait(struct loam_stream *stream, int place)
{
    struct hidden_device *device = (struct hidden_device *)(uintptr_t)stream->device;
    struct hidden_fetch *fetch = &device->fetches[place];
    if (fetch->source != NULL) memcpy(fetch->target, fetch->source, fetch->bytes);
    *fetch = (struct hidden_fetch){0};
}

static const struct loam_memory_table hidden_memory = {
    .arena_init = hidden_arena_init,
    .arena_deinit = hidden_arena_deinit,
    .free_memory = hidden_free_memory,
    .upload = hidden_upload,
    .upload_as = hidden_upload_as,
    .download = hidden_download,
    .copy = hidden_copy,
    .zero = hidden_zero,
    .synchronise = hidden_synchronise,
    .fetch = hidden_fetch_begin,
    .fetch_wait = hidden_fetch_wait,
};

// ---- ops ----

// A stream of the reference device with the same scratch.
static inline struct loam_stream hidden_begin(const struct loam_stream *stream, enum loam_op_id op,
                                              void *args)
{
    struct loam_op_tensor tensors[LOAM_MAX_OP_TENSORS];
    const size_t count = loam_op_tensors(op, tensors);
    for (size_t i = 0; i < count; i++) {
        struct loam_tensor *tensor = (struct loam_tensor *)(void *)((char *)args + tensors[i].offset);
        tensor->data = hidden_swap(tensor->data);
    }
    struct loam_stream real = *stream;
    real.device = hidden_ref(stream->device);
    real.scratch.base = hidden_swap(real.scratch.base);
    return real;
}

#define LOAM_FUSED_OP(name)
#define LOAM_OP(name)                                                                                        \
    static enum loam_status hidden_##name(struct loam_stream *stream, const struct loam_##name##_args *args) \
    {                                                                                                        \
        struct loam_##name##_args shown = *args;                                                             \
        struct loam_stream real = hidden_begin(stream, LOAM_OP_ID_##name, &shown);                           \
        const enum loam_status status = real.device->ops.name.run(&real, &shown);                            \
        stream->failure = real.failure;                                                                      \
        return status;                                                                                       \
    }                                                                                                        \
    static size_t hidden_##name##_scratch(const struct loam_device *device,                                  \
                                          const struct loam_##name##_args *args)                             \
    {                                                                                                        \
        const struct loam_device *ref = hidden_ref(device);                                                  \
        return ref->ops.name.scratch != NULL ? ref->ops.name.scratch(ref, args) : 0;                         \
    }
#include "device/op_list.def"
#undef LOAM_OP

// ---- the device ----

static void hidden_destroy(struct loam_device *device)
{
    loam_device_destroy(hidden_ref(device));
    free(device);
}

static inline struct loam_device *hidden_device_create(void)
{
    struct loam_error error = {0};
    struct hidden_device *hidden = calloc(1, sizeof *hidden);
    assert_non_null(hidden);
    assert_ok(loam_device_create(&hidden->ref, "ref", 1, &error));
    hidden->device = *hidden->ref;
    hidden->device.name = "hidden";
    hidden->device.host_memory = false;
    hidden->device.memory = &hidden_memory;
    hidden->device.destroy = hidden_destroy;
    hidden->device.ops = (struct loam_op_table){
#define LOAM_FUSED_OP(name)
#define LOAM_OP(name) .name = {.run = hidden_##name, .scratch = hidden_##name##_scratch},
#include "device/op_list.def"
#undef LOAM_OP
    };
    return &hidden->device;
}

#endif
