// Uploads that do not wait for the device.
#include <string.h>

#include "device/gpu/opencl/host.h"

// ---- the memory ----

enum loam_status loam_opencl_staging_init(struct opencl_device *opencl, struct loam_error *error)
{
    const struct loam_opencl_api *api = &opencl->api;
    struct opencl_staging *staging = &opencl->staging;
    const size_t bytes = (size_t)OPENCL_STAGING * OPENCL_STAGING_PARTS;
    cl_result result = CL_SUCCESS;
    staging->memory =
        api->memory_create(opencl->context, CL_MEM_READ_WRITE | CL_MEM_ALLOC_HOST_PTR, bytes, NULL, &result);
    LOAM_TRY(loam_opencl_check(result, opencl->name, error));
    staging->base = api->memory_map(opencl->queue, staging->memory, CL_TRUE, CL_MAP_WRITE, 0, bytes, 0, NULL,
                                    NULL, &result);
    return loam_opencl_check(result, opencl->name, error);
}

static void forget_event(const struct opencl_device *opencl, struct cl_event **event)
{
    if (*event != NULL) (void)opencl->api.event_release(*event);
    *event = NULL;
}

void loam_opencl_staging_deinit(struct opencl_device *opencl)
{
    struct opencl_staging *staging = &opencl->staging;
    for (int i = 0; i < OPENCL_STAGING_PARTS; i++)
        forget_event(opencl, &staging->events[i]);
    if (staging->base != NULL) {
        (void)opencl->api.memory_unmap(opencl->queue, staging->memory, staging->base, 0, NULL, NULL);
        (void)opencl->api.queue_wait(opencl->queue);
    }
    if (staging->memory != NULL) (void)opencl->api.memory_release(staging->memory);
    *staging = (struct opencl_staging){0};
}

// ---- its parts ----

// Goes on to the next part, which the device may still read. A driver may begin what is queued only when it is asked to.
static bool turn(struct loam_stream *stream)
{
    struct opencl_device *opencl = opencl_device(stream->device);
    struct opencl_staging *staging = &opencl->staging;
    staging->part = (staging->part + 1) % OPENCL_STAGING_PARTS;
    staging->used = 0;
    struct cl_event **event = &staging->events[staging->part];
    if (!loam_opencl_accept(stream, opencl->api.queue_flush(opencl->queue), "upload") ||
        (*event != NULL && !loam_opencl_accept(stream, opencl->api.events_wait(1, event), "upload")))
        return false;
    forget_event(opencl, event);
    return true;
}

// Room for at least LOAM_ARENA_ALIGN bytes, of which `*bytes` are; NULL: the stream has failed.
static char *find_room(struct loam_stream *stream, size_t *bytes)
{
    struct opencl_staging *staging = &opencl_device(stream->device)->staging;
    if (OPENCL_STAGING - staging->used < LOAM_ARENA_ALIGN && !turn(stream)) return NULL;
    *bytes = OPENCL_STAGING - staging->used;
    return staging->base + (size_t)staging->part * OPENCL_STAGING + staging->used;
}

// Queues the copy of what was written to the room. The queue keeps its order, so the last copy from a part ends last.
static bool send(struct loam_stream *stream, const void *target, const char *room, size_t bytes)
{
    struct opencl_device *opencl = opencl_device(stream->device);
    struct opencl_staging *staging = &opencl->staging;
    struct cl_event **event = &staging->events[staging->part];
    struct cl_memory *memory;
    uint64_t offset;
    if (!loam_opencl_locate(stream, target, &memory, &offset)) return false;
    staging->used += (bytes + LOAM_ARENA_ALIGN - 1) / LOAM_ARENA_ALIGN * LOAM_ARENA_ALIGN;
    struct cl_event *copied = NULL;
    const cl_result result =
        opencl->api.upload(opencl->queue, memory, CL_FALSE, (size_t)offset, bytes, room, 0, NULL, &copied);
    if (!loam_opencl_accept(stream, result, "upload")) return false;
    forget_event(opencl, event);
    *event = copied;
    return true;
}

void loam_opencl_staging_finish(struct loam_stream *stream)
{
    struct opencl_device *opencl = opencl_device(stream->device);
    for (int i = 0; i < OPENCL_STAGING_PARTS; i++) {
        struct cl_event **event = &opencl->staging.events[i];
        if (*event != NULL) (void)loam_opencl_accept(stream, opencl->api.events_wait(1, event), "upload");
        forget_event(opencl, event);
    }
    opencl->staging.used = 0;
}

// ---- uploads ----

void loam_opencl_upload(struct loam_stream *stream, void *target, const void *source, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        size_t part;
        char *const room = find_room(stream, &part);
        if (room == NULL) return;
        if (part > bytes - done) part = bytes - done;
        memcpy(room, (const char *)source + done, part);
        if (!send(stream, (char *)target + done, room, part)) return;
        done += part;
    }
}

void loam_opencl_upload_as(struct loam_stream *stream, void *target, enum loam_dtype target_dtype,
                           const void *source, enum loam_dtype source_dtype, size_t count)
{
    const size_t to = loam_dtype_size(target_dtype), from = loam_dtype_size(source_dtype);
    for (size_t done = 0; done < count;) {
        size_t bytes;
        char *const room = find_room(stream, &bytes);
        if (room == NULL) return;
        const size_t part = bytes / to < count - done ? bytes / to : count - done;
        loam_convert(room, target_dtype, (const char *)source + done * from, source_dtype, part);
        if (!send(stream, (char *)target + done * to, room, part * to)) return;
        done += part;
    }
}
