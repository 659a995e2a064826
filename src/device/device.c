// Arenas of a device, and the life of a stream.
#include "device/device.h"

// Builds with a sanitizer check every op that runs.
#if defined(LOAM_CHECK_OPS)
static const bool CHECKED = true;
#else
static const bool CHECKED = false;
#endif

void loam_device_destroy(struct loam_device *device)
{
    if (device != NULL) device->destroy(device);
}

enum loam_status loam_device_arena_init(const struct loam_device *device, struct loam_arena *arena,
                                        size_t bytes, bool populate, struct loam_error *error)
{
    *arena = (struct loam_arena){0};
    if (bytes > device->largest_buffer)
        return loam_fail(error, LOAM_ERROR_MEMORY,
                         "device %s takes at most %zu bytes in one buffer, and %zu are needed", device->name,
                         device->largest_buffer, bytes);
    LOAM_TRY(device->memory->arena_init(device, arena, bytes, populate, error));
    arena->align = device->alignment;
    return LOAM_OK;
}

void loam_device_arena_init_counting(const struct loam_device *device, struct loam_arena *arena)
{
    loam_arena_init_counting(arena, device->alignment);
}

void loam_device_arena_deinit(const struct loam_device *device, struct loam_arena *arena)
{
    device->memory->arena_deinit(device, arena);
}

enum loam_status loam_device_host_arena_init(const struct loam_device *device, struct loam_arena *arena,
                                             size_t bytes, struct loam_error *error)
{
    *arena = (struct loam_arena){0};
    if (device->memory->host_arena_init == NULL)
        LOAM_TRY(loam_arena_init(arena, bytes, false, error));
    else
        LOAM_TRY(device->memory->host_arena_init(device, arena, bytes, error));
    arena->align = device->alignment;
    return LOAM_OK;
}

void loam_device_host_arena_deinit(const struct loam_device *device, struct loam_arena *arena)
{
    if (device->memory->host_arena_deinit == NULL)
        loam_arena_deinit(arena);
    else
        device->memory->host_arena_deinit(device, arena);
}

struct loam_free_memory loam_device_free_memory(const struct loam_device *device)
{
    return device->memory->free_memory(device);
}

enum loam_dtype loam_device_default_dtype(const struct loam_device *device)
{
    if (loam_formats_have(device->formats.preferred, LOAM_BF16)) return LOAM_BF16;
    return loam_formats_have(device->formats.preferred, LOAM_F16) ? LOAM_F16 : LOAM_F32;
}

void loam_stream_init_planning(struct loam_stream *stream, const struct loam_device *device)
{
    *stream = (struct loam_stream){.device = device, .planning = true};
}

enum loam_status loam_stream_init(struct loam_stream *stream, const struct loam_device *device,
                                  size_t scratch_bytes, struct loam_error *error)
{
    *stream = (struct loam_stream){.device = device, .planning = device->planning, .checked = CHECKED};
    if (scratch_bytes == 0) return LOAM_OK;
    LOAM_TRY(loam_device_arena_init(device, &stream->scratch, scratch_bytes, true, error));
    stream->scratch.align = LOAM_ARENA_ALIGN; // as loam_scratch_bytes counts, on every device
    return LOAM_OK;
}

void loam_stream_deinit(struct loam_stream *stream)
{
    if (stream->scratch.base != NULL) loam_device_arena_deinit(stream->device, &stream->scratch);
    *stream = (struct loam_stream){0};
}

enum loam_status loam_stream_finish(struct loam_stream *stream, struct loam_error *error)
{
    if (!stream->planning) stream->device->memory->synchronise(stream);
    enum loam_status status = stream->failure.status;
    if (status != LOAM_OK) status = loam_fail(error, status, "%s", stream->failure.message);
    stream->failure = (struct loam_error){0};
    return status;
}

void *loam_stream_scratch(struct loam_stream *stream, size_t bytes)
{
    void *scratch = loam_arena_alloc(&stream->scratch, bytes);
    if (scratch == NULL) {
        loam_stream_fail(stream, LOAM_ERROR_INTERNAL, stream->op, "needs more scratch than was planned for");
        // The failure belongs to this op alone: after a finish the stream can be used again.
        stream->scratch.exhausted = false;
    }
    return scratch;
}

void loam_stream_fail(struct loam_stream *stream, enum loam_status status, const char *op, const char *reason)
{
    if (stream->failure.status != LOAM_OK) return;
    (void)loam_fail(&stream->failure, status, "%s on device %s: %s", op, stream->device->name, reason);
}

static bool idle(const struct loam_stream *stream)
{
    return stream->planning || stream->failure.status != LOAM_OK;
}

void loam_upload(struct loam_stream *stream, void *device_target, const void *host_source, size_t bytes)
{
    if (!idle(stream)) stream->device->memory->upload(stream, device_target, host_source, bytes);
}

void loam_upload_as(struct loam_stream *stream, void *device_target, enum loam_dtype target_dtype,
                    const void *host_source, enum loam_dtype source_dtype, size_t count)
{
    if (idle(stream)) return;
    stream->device->memory->upload_as(stream, device_target, target_dtype, host_source, source_dtype, count);
}

void loam_download(struct loam_stream *stream, void *host_target, const void *device_source, size_t bytes)
{
    if (!idle(stream)) stream->device->memory->download(stream, host_target, device_source, bytes);
}

void loam_zero(struct loam_stream *stream, void *target, size_t bytes)
{
    if (!idle(stream)) stream->device->memory->zero(stream, target, bytes);
}

void loam_fetch(struct loam_stream *stream, int place, void *device_target, const void *host_source,
                size_t bytes)
{
    if (idle(stream)) return;
    if (stream->device->memory->fetch == NULL)
        stream->device->memory->upload(stream, device_target, host_source, bytes);
    else
        stream->device->memory->fetch(stream, place, device_target, host_source, bytes);
}

void loam_fetch_wait(struct loam_stream *stream, int place)
{
    if (!idle(stream) && stream->device->memory->fetch_wait != NULL)
        stream->device->memory->fetch_wait(stream, place);
}
