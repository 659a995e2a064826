// The memory table of devices whose addresses are host addresses and whose ops have ended when they return.
#include <string.h>

#include "base/machine.h"
#include "device/device.h"

static enum loam_status host_arena_init(const struct loam_device *device, struct loam_arena *arena,
                                        size_t bytes, bool populate, struct loam_error *error)
{
    (void)device;
    return loam_arena_init(arena, bytes, populate, error);
}

static void host_arena_deinit(const struct loam_device *device, struct loam_arena *arena)
{
    (void)device;
    loam_arena_deinit(arena);
}

static struct loam_free_memory host_free_memory(const struct loam_device *device)
{
    (void)device;
    const struct loam_machine_memory memory = loam_machine_measure_memory("");
    return (struct loam_free_memory){memory.available, memory.by};
}

static void host_move(struct loam_stream *stream, void *target, const void *source, size_t bytes)
{
    (void)stream;
    if (bytes > 0) memmove(target, source, bytes);
}

static void host_move_as(struct loam_stream *stream, void *target, enum loam_dtype target_dtype,
                         const void *source, enum loam_dtype source_dtype, size_t count)
{
    (void)stream;
    loam_convert(target, target_dtype, source, source_dtype, count);
}

static void host_zero(struct loam_stream *stream, void *target, size_t bytes)
{
    (void)stream;
    if (bytes > 0) memset(target, 0, bytes);
}

static void host_synchronise(struct loam_stream *stream)
{
    (void)stream;
}

const struct loam_memory_table loam_host_memory = {
    .arena_init = host_arena_init,
    .arena_deinit = host_arena_deinit,
    .free_memory = host_free_memory,
    .upload = host_move,
    .upload_as = host_move_as,
    .download = host_move,
    .copy = host_move,
    .zero = host_zero,
    .synchronise = host_synchronise,
};
