// A device to plan with: its arenas have the size of real ones and no memory behind them, and its streams
// plan ops instead of running them. The set-up of a run on it is the plan of the run.
#include <stdlib.h>

#include "base/heap.h"
#include "device/device.h"

struct planning_device {
    struct loam_device device;      // first, so that a pointer to it is one to the whole
    const struct loam_device *real; // whose ops are asked
    size_t taken, peak;             // bytes of arenas on the device
};

static struct planning_device *planning_of(const struct loam_device *device)
{
    return (struct planning_device *)(void *)(uintptr_t)device;
}

static enum loam_status count_arena(const struct loam_device *device, struct loam_arena *arena, size_t bytes,
                                    bool populate, struct loam_error *error)
{
    (void)populate;
    struct planning_device *planning = planning_of(device);
    LOAM_TRY(loam_arena_init_planned(arena, bytes, error));
    planning->taken += arena->capacity;
    if (planning->taken > planning->peak) planning->peak = planning->taken;
    return LOAM_OK;
}

static void forget_arena(const struct loam_device *device, struct loam_arena *arena)
{
    planning_of(device)->taken -= arena->capacity;
    loam_arena_deinit(arena);
}

static enum loam_status count_host_arena(const struct loam_device *device, struct loam_arena *arena,
                                         size_t bytes, struct loam_error *error)
{
    (void)device;
    return loam_arena_init_planned(arena, bytes, error);
}

static void forget_host_arena(const struct loam_device *device, struct loam_arena *arena)
{
    (void)device;
    loam_arena_deinit(arena);
}

static struct loam_free_memory real_free_memory(const struct loam_device *device)
{
    return loam_device_free_memory(planning_of(device)->real);
}

// Streams of the device are planning ones, which never call these.
static void move_nothing(struct loam_stream *stream, void *target, const void *source, size_t bytes)
{
    (void)stream;
    (void)target;
    (void)source;
    (void)bytes;
}

static void convert_nothing(struct loam_stream *stream, void *target, enum loam_dtype target_dtype,
                            const void *source, enum loam_dtype source_dtype, size_t count)
{
    (void)stream;
    (void)target;
    (void)target_dtype;
    (void)source;
    (void)source_dtype;
    (void)count;
}

static void zero_nothing(struct loam_stream *stream, void *target, size_t bytes)
{
    (void)stream;
    (void)target;
    (void)bytes;
}

static void wait_for_nothing(struct loam_stream *stream)
{
    (void)stream;
}

static const struct loam_memory_table planning_memory = {
    .arena_init = count_arena,
    .arena_deinit = forget_arena,
    .free_memory = real_free_memory,
    .upload = move_nothing,
    .upload_as = convert_nothing,
    .download = move_nothing,
    .copy = move_nothing,
    .zero = zero_nothing,
    .synchronise = wait_for_nothing,
    .host_arena_init = count_host_arena,
    .host_arena_deinit = forget_host_arena,
};

static void planning_destroy(struct loam_device *device)
{
    free(planning_of(device));
}

size_t loam_device_planned_peak(const struct loam_device *device)
{
    return planning_of(device)->peak;
}

enum loam_status loam_device_create_planning(struct loam_device **out, const struct loam_device *real,
                                             struct loam_error *error)
{
    *out = NULL;
    struct planning_device *planning = loam_calloc(1, sizeof *planning, error);
    if (planning == NULL) return LOAM_ERROR_MEMORY;
    planning->device = *real;
    planning->device.memory = &planning_memory;
    planning->device.planning = true;
    planning->device.destroy = planning_destroy;
    planning->real = real;
    *out = &planning->device;
    return LOAM_OK;
}
