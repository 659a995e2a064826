// Copies beside the ops: from pinned memory, in a queue of their own.
#include <stdio.h>

#include "device/gpu/cuda/host.h"

enum loam_status loam_cuda_fetching_init(struct cuda_device *cuda, struct loam_error *error)
{
    const struct loam_cuda_driver *driver = &cuda->driver;
    struct cuda_fetching *fetching = &cuda->fetching;
    LOAM_TRY(loam_cuda_check(driver, driver->stream_create(&fetching->queue, CU_STREAM_NON_BLOCKING),
                             "queue of copies", error));
    LOAM_TRY(loam_cuda_check(driver, driver->event_create(&fetching->before, CU_EVENT_DISABLE_TIMING),
                             "event", error));
    for (int i = 0; i < LOAM_FETCHES; i++)
        LOAM_TRY(loam_cuda_check(driver, driver->event_create(&fetching->copied[i], CU_EVENT_DISABLE_TIMING),
                                 "event", error));
    return LOAM_OK;
}

void loam_cuda_fetching_deinit(struct cuda_device *cuda)
{
    const struct loam_cuda_driver *driver = &cuda->driver;
    struct cuda_fetching *fetching = &cuda->fetching;
    for (int i = 0; i < LOAM_FETCHES; i++)
        if (fetching->copied[i] != NULL) (void)driver->event_destroy(fetching->copied[i]);
    if (fetching->before != NULL) (void)driver->event_destroy(fetching->before);
    if (fetching->queue != NULL) (void)driver->stream_wait(fetching->queue);
    if (fetching->queue != NULL) (void)driver->stream_destroy(fetching->queue);
    *fetching = (struct cuda_fetching){0};
}

// ---- memory of the host ----

enum loam_status loam_cuda_host_arena_init(const struct loam_device *device, struct loam_arena *arena,
                                           size_t bytes, struct loam_error *error)
{
    struct cuda_device *cuda = cuda_device(device);
    const struct loam_cuda_driver *driver = &cuda->driver;
    void *memory = NULL;
    char what[96];
    (void)snprintf(what, sizeof what, "%zu bytes of pinned memory of the host", bytes);
    LOAM_TRY(loam_cuda_check(driver, driver->context_use(cuda->context), what, error));
    LOAM_TRY(loam_cuda_check(driver, driver->host_allocate(&memory, bytes > 0 ? bytes : 1, 0), what, error));
    *arena = (struct loam_arena){.base = memory, .align = CUDA_ALIGNMENT, .capacity = bytes};
    return LOAM_OK;
}

// A copy may still read it.
void loam_cuda_host_arena_deinit(const struct loam_device *device, struct loam_arena *arena)
{
    struct cuda_device *cuda = cuda_device(device);
    const struct loam_cuda_driver *driver = &cuda->driver;
    if (arena->base != NULL) {
        (void)driver->context_use(cuda->context);
        (void)driver->stream_wait(cuda->fetching.queue);
        (void)driver->host_release(arena->base);
    }
    *arena = (struct loam_arena){0};
}

// ---- copies ----

void loam_cuda_fetch(struct loam_stream *stream, int place, void *target, const void *source, size_t bytes)
{
    struct cuda_device *cuda = cuda_device(stream->device);
    const struct loam_cuda_driver *driver = &cuda->driver;
    const struct cuda_fetching *fetching = &cuda->fetching;
    if (!loam_cuda_enter(stream, "fetch")) return;
    cuda_result result = driver->event_record(fetching->before, cuda->queue);
    if (result == CUDA_SUCCESS) result = driver->stream_wait_event(fetching->queue, fetching->before, 0);
    if (result == CUDA_SUCCESS)
        result = driver->upload(cuda_address_of(target), source, bytes, fetching->queue);
    if (result == CUDA_SUCCESS) result = driver->event_record(fetching->copied[place], fetching->queue);
    (void)loam_cuda_accept(stream, result, "fetch");
}

void loam_cuda_fetch_wait(struct loam_stream *stream, int place)
{
    struct cuda_device *cuda = cuda_device(stream->device);
    if (!loam_cuda_enter(stream, "fetch")) return;
    (void)loam_cuda_accept(
        stream, cuda->driver.stream_wait_event(cuda->queue, cuda->fetching.copied[place], 0), "fetch");
}
