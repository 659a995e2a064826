#include "device/gpu/fiber/fiber.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/heap.h"
#include "device/gpu/kernels/dialect.h"
#include "device/gpu/launch.h"

// The whole of a device's state.
struct fiber_device {
    struct loam_device device; // first, so that a pointer to it is one to the whole
    struct loam_gpu gpu;
    struct loam_fibers *fibers;
};

#define ARGUMENTS_1 buffers[0]
#define ARGUMENTS_2 ARGUMENTS_1, buffers[1]
#define ARGUMENTS_3 ARGUMENTS_2, buffers[2]
#define ARGUMENTS_4 ARGUMENTS_3, buffers[3]
#define ARGUMENTS_5 ARGUMENTS_4, buffers[4]
#define ARGUMENTS_6 ARGUMENTS_5, buffers[5]
#define ARGUMENTS_7 ARGUMENTS_6, buffers[6]
#define ARGUMENTS_8 ARGUMENTS_7, buffers[7]
#define ARGUMENTS_9 ARGUMENTS_8, buffers[8]
#define ARGUMENTS_10 ARGUMENTS_9, buffers[9]
#define ARGUMENTS_11 ARGUMENTS_10, buffers[10]
#define ARGUMENTS_12 ARGUMENTS_11, buffers[11]
#define ARGUMENTS_15 ARGUMENTS_12, buffers[12], buffers[13], buffers[14]
#define ARGUMENTS_21                                                                                         \
    ARGUMENTS_15, buffers[15], buffers[16], buffers[17], buffers[18], buffers[19], buffers[20]

#define LOAM_KERNEL(name, count)                                                                             \
    static void call_##name(const void *context)                                                             \
    {                                                                                                        \
        const struct loam_launch *launch = context;                                                          \
        void *const *buffers = launch->buffers;                                                              \
        struct name##_params p;                                                                              \
        memcpy(&p, launch->params, sizeof p);                                                                \
        loam_kernel_##name(ARGUMENTS_##count, p);                                                            \
    }
#include "device/gpu/kernels/kernel_list.def"
#undef LOAM_KERNEL

static const struct {
    const char *name;
    void (*call)(const void *context);
    size_t params_bytes;
} kernels[LOAM_KERNEL_COUNT] = {
#define LOAM_KERNEL(name, count) [LOAM_KERNEL_##name] = {#name, call_##name, sizeof(struct name##_params)},
#include "device/gpu/kernels/kernel_list.def"
#undef LOAM_KERNEL
};

static enum loam_status launch_kernel(struct loam_stream *stream, const struct loam_launch *launch)
{
    const struct fiber_device *device = (const struct fiber_device *)(const void *)stream->device;
    const struct loam_fiber_grid grid = {
        .blocks = {launch->grid[0], launch->grid[1] > 0 ? launch->grid[1] : 1,
                   launch->grid[2] > 0 ? launch->grid[2] : 1},
        .threads = BLOCK_THREADS,
        .shared = launch->shared,
        .holds_copies = device->gpu.capability < 80,
        .body = kernels[launch->kernel].call,
        .context = launch,
    };
    const char *failure = launch->params_bytes == kernels[launch->kernel].params_bytes
                              ? loam_fibers_run(device->fibers, &grid)
                              : "the parameters are of another kernel";
    if (failure == NULL) return LOAM_OK;
    char text[160];
    (void)snprintf(text, sizeof text, "kernel %s: %s", kernels[launch->kernel].name, failure);
    loam_stream_fail(stream, LOAM_ERROR_INTERNAL, stream->op, text);
    return LOAM_ERROR_INTERNAL;
}

static void destroy(struct loam_device *device)
{
    loam_fibers_destroy(((struct fiber_device *)(void *)device)->fibers);
    free(device);
}

enum loam_status loam_device_fiber_create(struct loam_device **out, enum loam_fiber_order order,
                                          struct loam_error *error)
{
    *out = NULL;
    struct fiber_device *fiber = loam_calloc(1, sizeof *fiber, error);
    if (fiber == NULL) return LOAM_ERROR_MEMORY;
    const enum loam_status status = loam_fibers_create(&fiber->fibers, order, error);
    if (status != LOAM_OK) {
        free(fiber);
        return status;
    }
    // A small chunk, so that small vocabularies have several.
    fiber->gpu = (struct loam_gpu){.launch = launch_kernel,
                                   .loss_chunk = 4096,
                                   .capability = 80,
                                   .processors = 4,
                                   .shared_most = 99 << 10,
                                   .mma = 1u << LOAM_F16 | 1u << LOAM_BF16};
    fiber->device =
        (struct loam_device){.name = "fiber",
                             .threads = 1,
                             .formats = {.compute = 1u << LOAM_F32 | 1u << LOAM_BF16 | 1u << LOAM_F16,
                                         .preferred = 1u << LOAM_BF16,
                                         .master = 1u << LOAM_F32},
                             .host_memory = true,
                             .alignment = LOAM_ARENA_ALIGN,
                             .largest_buffer = SIZE_MAX,
                             .memory = &loam_host_memory,
                             .state = &fiber->gpu,
                             .destroy = destroy};
    loam_gpu_set_ops(&fiber->device.ops);
    *out = &fiber->device;
    return LOAM_OK;
}
