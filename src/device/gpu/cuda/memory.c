// The memory table: arenas on the device, and copies in the order of its queue.
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "device/gpu/cuda/host.h"

bool loam_cuda_accept(struct loam_stream *stream, cuda_result result, const char *what)
{
    if (result == CUDA_SUCCESS) return true;
    char text[256];
    loam_cuda_describe(&cuda_device(stream->device)->driver, result, text, sizeof text);
    loam_stream_fail(stream, result == CUDA_ERROR_OUT_OF_MEMORY ? LOAM_ERROR_MEMORY : LOAM_ERROR_IO, what,
                     text);
    return false;
}

bool loam_cuda_enter(struct loam_stream *stream, const char *what)
{
    struct cuda_device *cuda = cuda_device(stream->device);
    const char *op = what;
    const cuda_result result = loam_cuda_submit(cuda, &op);
    return loam_cuda_accept(stream, result, op) &&
           loam_cuda_accept(stream, cuda->driver.context_use(cuda->context), what);
}

// ---- arenas ----

static enum loam_status fail_allocation(const struct cuda_device *cuda, cuda_result result, size_t bytes,
                                        struct loam_error *error)
{
    size_t free_bytes = 0, total = 0;
    char text[256];
    if (result == CUDA_ERROR_OUT_OF_MEMORY &&
        cuda->driver.memory_free_bytes(&free_bytes, &total) == CUDA_SUCCESS)
        return loam_fail(error, LOAM_ERROR_MEMORY,
                         "out of memory on device %s: %zu bytes in one piece; %zu of its %zu are free",
                         cuda->name, bytes, free_bytes, total);
    loam_cuda_describe(&cuda->driver, result, text, sizeof text);
    return loam_fail(error, result == CUDA_ERROR_OUT_OF_MEMORY ? LOAM_ERROR_MEMORY : LOAM_ERROR_IO,
                     "%zu bytes on device %s: %s", bytes, cuda->name, text);
}

// The device has no pages to fault in.
static enum loam_status arena_init(const struct loam_device *device, struct loam_arena *arena, size_t bytes,
                                   bool populate, struct loam_error *error)
{
    (void)populate;
    struct cuda_device *cuda = cuda_device(device);
    const struct loam_cuda_driver *driver = &cuda->driver;
    cuda_address address = 0;
    size_t size;
    if (!loam_add_size(bytes == 0 ? 1 : bytes, CUDA_ALIGNMENT - 1, &size))
        return fail_allocation(cuda, CUDA_ERROR_OUT_OF_MEMORY, bytes, error);
    size -= size % CUDA_ALIGNMENT;
    cuda_result result = driver->context_use(cuda->context);
    if (result == CUDA_SUCCESS) result = driver->memory_allocate(&address, size);
    if (result != CUDA_SUCCESS) return fail_allocation(cuda, result, size, error);
    result = driver->fill(address, 0, size, cuda->queue);
    if (result == CUDA_SUCCESS) result = driver->stream_wait(cuda->queue);
    if (result != CUDA_SUCCESS) {
        (void)driver->memory_release(address);
        return fail_allocation(cuda, result, size, error);
    }
    *arena =
        (struct loam_arena){.base = (char *)(uintptr_t)address, .align = CUDA_ALIGNMENT, .capacity = size};
    return LOAM_OK;
}

// The driver waits for the work that uses the memory.
static void arena_deinit(const struct loam_device *device, struct loam_arena *arena)
{
    struct cuda_device *cuda = cuda_device(device);
    if (!arena->counting && arena->base != NULL) {
        const char *unread;
        (void)loam_cuda_submit(cuda, &unread);
        (void)cuda->driver.context_use(cuda->context);
        (void)cuda->driver.memory_release(cuda_address_of(arena->base));
    }
    *arena = (struct loam_arena){0};
}

static struct loam_free_memory free_memory(const struct loam_device *device)
{
    const struct cuda_device *cuda = cuda_device(device);
    size_t free_bytes = 0, total = 0;
    const bool known = cuda->driver.context_use(cuda->context) == CUDA_SUCCESS &&
                       cuda->driver.memory_free_bytes(&free_bytes, &total) == CUDA_SUCCESS;
    return (struct loam_free_memory){known ? free_bytes : SIZE_MAX, "this GPU"};
}

// ---- staging ----

enum loam_status loam_cuda_staging_init(struct cuda_device *cuda, struct loam_error *error)
{
    const struct loam_cuda_driver *driver = &cuda->driver;
    void *memory = NULL;
    LOAM_TRY(loam_cuda_check(driver,
                             driver->host_allocate(&memory, (size_t)CUDA_STAGING * CUDA_STAGING_PARTS, 0),
                             "pinned memory", error));
    cuda->staging.memory = memory;
    for (int i = 0; i < CUDA_STAGING_PARTS; i++)
        LOAM_TRY(loam_cuda_check(
            driver, driver->event_create(&cuda->staging.events[i], CU_EVENT_DISABLE_TIMING), "event", error));
    return LOAM_OK;
}

void loam_cuda_staging_deinit(struct cuda_device *cuda)
{
    for (int i = 0; i < CUDA_STAGING_PARTS; i++)
        if (cuda->staging.events[i] != NULL) (void)cuda->driver.event_destroy(cuda->staging.events[i]);
    if (cuda->staging.memory != NULL) (void)cuda->driver.host_release(cuda->staging.memory);
    cuda->staging = (struct cuda_staging){0};
}

// Goes on to the next part, which the device may still read. An event that was never recorded has occurred.
static bool turn(struct loam_stream *stream, const char *what)
{
    struct cuda_device *cuda = cuda_device(stream->device);
    struct cuda_staging *staging = &cuda->staging;
    if (!loam_cuda_accept(stream, cuda->driver.event_record(staging->events[staging->part], cuda->queue),
                          what))
        return false;
    staging->part = (staging->part + 1) % CUDA_STAGING_PARTS;
    staging->used = 0;
    return loam_cuda_accept(stream, cuda->driver.event_wait(staging->events[staging->part]), what);
}

// Room for at least `least` bytes, of which `*bytes` are; NULL: the stream has failed.
static char *staging_room(struct loam_stream *stream, size_t least, size_t *bytes, const char *what)
{
    struct cuda_staging *staging = &cuda_device(stream->device)->staging;
    if (CUDA_STAGING - staging->used < least && !turn(stream, what)) return NULL;
    *bytes = CUDA_STAGING - staging->used;
    return staging->memory + (size_t)staging->part * CUDA_STAGING + staging->used;
}

// Queues the copy of what was written to the room.
static bool send(struct loam_stream *stream, cuda_address target, const char *room, size_t bytes,
                 const char *what)
{
    struct cuda_device *cuda = cuda_device(stream->device);
    cuda->staging.used += (bytes + LOAM_ARENA_ALIGN - 1) / LOAM_ARENA_ALIGN * LOAM_ARENA_ALIGN;
    return loam_cuda_accept(stream, cuda->driver.upload(target, room, bytes, cuda->queue), what);
}

// ---- copies ----

static void upload(struct loam_stream *stream, void *target, const void *source, size_t bytes)
{
    if (bytes == 0 || !loam_cuda_enter(stream, "upload")) return;
    for (size_t done = 0; done < bytes;) {
        size_t part;
        char *const room = staging_room(stream, LOAM_ARENA_ALIGN, &part, "upload");
        if (room == NULL) return;
        if (part > bytes - done) part = bytes - done;
        memcpy(room, (const char *)source + done, part);
        if (!send(stream, cuda_address_of(target) + done, room, part, "upload")) return;
        done += part;
    }
}

static void upload_as(struct loam_stream *stream, void *target, enum loam_dtype target_dtype,
                      const void *source, enum loam_dtype source_dtype, size_t count)
{
    const size_t to = loam_dtype_size(target_dtype), from = loam_dtype_size(source_dtype);
    if (count == 0 || !loam_cuda_enter(stream, "upload")) return;
    for (size_t done = 0; done < count;) {
        size_t bytes;
        char *const room = staging_room(stream, LOAM_ARENA_ALIGN, &bytes, "upload");
        if (room == NULL) return;
        const size_t part = bytes / to < count - done ? bytes / to : count - done;
        loam_convert(room, target_dtype, (const char *)source + done * from, source_dtype, part);
        if (!send(stream, cuda_address_of(target) + done * to, room, part * to, "upload")) return;
        done += part;
    }
}

static void download(struct loam_stream *stream, void *target, const void *source, size_t bytes)
{
    struct cuda_device *cuda = cuda_device(stream->device);
    if (bytes == 0 || !loam_cuda_enter(stream, "download")) return;
    (void)loam_cuda_accept(stream, cuda->driver.download(target, cuda_address_of(source), bytes, cuda->queue),
                           "download");
}

static void copy(struct loam_stream *stream, void *target, const void *source, size_t bytes)
{
    struct cuda_device *cuda = cuda_device(stream->device);
    if (bytes == 0 || !loam_cuda_enter(stream, "copy")) return;
    (void)loam_cuda_accept(
        stream, cuda->driver.copy(cuda_address_of(target), cuda_address_of(source), bytes, cuda->queue),
        "copy");
}

static void zero(struct loam_stream *stream, void *target, size_t bytes)
{
    struct cuda_device *cuda = cuda_device(stream->device);
    if (bytes == 0 || !loam_cuda_enter(stream, "zero")) return;
    (void)loam_cuda_accept(stream, cuda->driver.fill(cuda_address_of(target), 0, bytes, cuda->queue), "zero");
}

// After the wait, no part of the staging block is in use.
static void synchronise(struct loam_stream *stream)
{
    struct cuda_device *cuda = cuda_device(stream->device);
    if (!loam_cuda_enter(stream, "wait") ||
        !loam_cuda_accept(stream, cuda->driver.stream_wait(cuda->queue), "wait"))
        return;
    cuda->staging.used = 0;
    loam_cuda_gathering_restart(cuda);
}

const struct loam_memory_table loam_cuda_memory = {
    .arena_init = arena_init,
    .arena_deinit = arena_deinit,
    .free_memory = free_memory,
    .upload = upload,
    .upload_as = upload_as,
    .download = download,
    .copy = copy,
    .zero = zero,
    .synchronise = synchronise,
    .host_arena_init = loam_cuda_host_arena_init,
    .host_arena_deinit = loam_cuda_host_arena_deinit,
    .fetch = loam_cuda_fetch,
    .fetch_wait = loam_cuda_fetch_wait,
};
