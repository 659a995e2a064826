// Memory, copies, streams and events.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_state.h"

enum { MOST_PENDING = 64, MOST_USES = 4096, ALL_STREAMS = -1 };
static const uintptr_t HIDDEN = (uintptr_t)1 << (8 * sizeof(uintptr_t) - 2);

struct block {
    struct block *next;
    size_t bytes;
    char *memory;
};
struct CUevent_st {
    struct CUstream_st *stream; // NULL: never recorded
    int number;                 // of the stream, which may be gone
    long queued;                // uploads before it
    long launches;              // of the stream before it
};

static struct block *blocks;
// Uploads of all streams, in the order in which they were queued; those of one stream take place in it.
static struct upload {
    char *target;
    const char *source;
    size_t bytes;
    int stream; // number
    bool done;
} pending[MOST_PENDING];
static long queued, done; // uploads; all before `done` have taken place
// The buffers of the last launches.
static struct use {
    const char *memory;
    int stream;
    long launch; // of the stream, from 1
} uses[MOST_USES];
static long used;
static int streams; // that were created

// ---- memory ----

char *fake_find(cuda_address address, size_t bytes)
{
    char *const memory = (char *)((uintptr_t)address ^ HIDDEN);
    for (struct block *block = blocks; block != NULL; block = block->next)
        if (memory >= block->memory && memory + bytes <= block->memory + block->bytes) return memory;
    return NULL;
}

cuda_result cuMemAlloc_v2(cuda_address *address, size_t bytes)
{
    BEGIN(true);
    if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    if (bytes > fake_state.memory - fake_state.used) return CUDA_ERROR_OUT_OF_MEMORY;
    struct block *block = malloc(sizeof *block);
    char *const memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (block == NULL || memory == NULL) {
        free(block);
        free(memory);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    memset(memory, 0xaa, bytes);
    *block = (struct block){blocks, bytes, memory};
    blocks = block;
    fake_state.live++;
    fake_state.used += bytes;
    if (fake_state.used > fake_state.peak) fake_state.peak = fake_state.used;
    *address = (cuda_address)((uintptr_t)memory ^ HIDDEN);
    return CUDA_SUCCESS;
}

// Uploads of a stream that were queued before upload `until`.
static void run_pending(int stream, long until)
{
    for (long at = done; at < until; at++) {
        struct upload *upload = &pending[at % MOST_PENDING];
        if (upload->done || (stream != ALL_STREAMS && upload->stream != stream)) continue;
        memcpy(upload->target, upload->source, upload->bytes);
        upload->done = true;
    }
    while (done < queued && pending[done % MOST_PENDING].done)
        done++;
}

void fake_run_uploads(const struct CUstream_st *stream)
{
    run_pending(stream->number, queued);
}

void fake_note_use(const char *memory, const struct CUstream_st *stream)
{
    uses[used++ % MOST_USES] = (struct use){memory, stream->number, stream->launches};
}

// The memory of a block may be taken again by another.
static void forget_uses(const struct block *block)
{
    for (int i = 0; i < MOST_USES; i++)
        if (uses[i].memory >= block->memory && uses[i].memory < block->memory + block->bytes)
            uses[i].memory = NULL;
}

// Whether a stream has waited for every launch of another that has a buffer in a range.
static bool may_write(const struct CUstream_st *stream, const char *memory, size_t bytes)
{
    for (long at = used > MOST_USES ? used - MOST_USES : 0; at < used; at++) {
        const struct use *use = &uses[at % MOST_USES];
        if (use->memory < memory || use->memory >= memory + bytes || use->stream == stream->number) continue;
        if (use->launch <= stream->seen[use->stream]) continue;
        fprintf(stderr, "fake_cuda: an upload does not wait for the launches that use its target\n");
        return false;
    }
    return true;
}

cuda_result cuMemFree_v2(cuda_address address)
{
    run_pending(ALL_STREAMS, queued);
    for (struct block **at = &blocks; *at != NULL; at = &(*at)->next) {
        struct block *block = *at;
        if ((cuda_address)((uintptr_t)block->memory ^ HIDDEN) != address) continue;
        *at = block->next;
        forget_uses(block);
        fake_state.live--;
        fake_state.used -= block->bytes;
        free(block->memory);
        free(block);
        BEGIN(true);
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
}

cuda_result cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
    BEGIN(true);
    *free_bytes = fake_state.memory - fake_state.used;
    *total = fake_state.memory;
    return CUDA_SUCCESS;
}

cuda_result cuMemHostAlloc(void **memory, size_t bytes, unsigned flags)
{
    BEGIN(true);
    (void)flags;
    *memory = malloc(bytes);
    if (*memory == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    fake_state.live++;
    return CUDA_SUCCESS;
}

cuda_result cuMemFreeHost(void *memory)
{
    run_pending(ALL_STREAMS, queued);
    free(memory);
    fake_state.live--;
    BEGIN(true);
    return CUDA_SUCCESS;
}

// ---- copies ----

static cuda_result lose(cuda_result result)
{
    fake_lost = result;
    return result;
}

// An upload takes place when something waits for it, so that a source that changes too early shows.
cuda_result cuMemcpyHtoDAsync_v2(cuda_address target, const void *source, size_t bytes,
                                 struct CUstream_st *stream)
{
    BEGIN(true);
    char *const to = fake_find(target, bytes);
    if (to == NULL || !may_write(stream, to, bytes)) return lose(CUDA_ERROR_ILLEGAL_ADDRESS);
    if (queued - done == MOST_PENDING) run_pending(ALL_STREAMS, done + 1);
    pending[queued % MOST_PENDING] = (struct upload){to, source, bytes, stream->number, false};
    queued++;
    if (queued - done > fake_state.most_pending) fake_state.most_pending = (int)(queued - done);
    return CUDA_SUCCESS;
}

cuda_result cuMemcpyDtoHAsync_v2(void *target, cuda_address source, size_t bytes, struct CUstream_st *stream)
{
    BEGIN(true);
    fake_run_uploads(stream);
    const char *const from = fake_find(source, bytes);
    if (from == NULL) return lose(CUDA_ERROR_ILLEGAL_ADDRESS);
    memcpy(target, from, bytes);
    return CUDA_SUCCESS;
}

cuda_result cuMemcpyDtoDAsync_v2(cuda_address target, cuda_address source, size_t bytes,
                                 struct CUstream_st *stream)
{
    BEGIN(true);
    fake_run_uploads(stream);
    char *const to = fake_find(target, bytes);
    const char *const from = fake_find(source, bytes);
    if (to == NULL || from == NULL) return lose(CUDA_ERROR_ILLEGAL_ADDRESS);
    memcpy(to, from, bytes);
    return CUDA_SUCCESS;
}

cuda_result cuMemsetD8Async(cuda_address target, unsigned char value, size_t bytes,
                            struct CUstream_st *stream)
{
    BEGIN(true);
    fake_run_uploads(stream);
    char *const to = fake_find(target, bytes);
    if (to == NULL) return lose(CUDA_ERROR_ILLEGAL_ADDRESS);
    memset(to, value, bytes);
    return CUDA_SUCCESS;
}

EXPORT char *fake_cuda_reach(cuda_address address, struct CUstream_st *stream)
{
    char *const memory = fake_find(address, 0);
    fake_run_uploads(stream);
    if (memory != NULL) fake_note_use(memory, stream);
    return memory;
}

// ---- streams and events ----

cuda_result cuStreamCreate(struct CUstream_st **stream, unsigned flags)
{
    BEGIN(true);
    if (flags != CU_STREAM_NON_BLOCKING) return CUDA_ERROR_INVALID_VALUE;
    const cuda_result result = fake_create((void **)stream, sizeof **stream);
    if (result == CUDA_SUCCESS) (*stream)->number = streams++ % FAKE_STREAMS;
    return result;
}

cuda_result cuStreamSynchronize(struct CUstream_st *stream)
{
    fake_run_uploads(stream);
    BEGIN(true);
    fake_state.waits++;
    return CUDA_SUCCESS;
}

cuda_result cuStreamWaitEvent(struct CUstream_st *stream, struct CUevent_st *event, unsigned flags)
{
    BEGIN(true);
    if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
    if (event->stream == NULL) return CUDA_SUCCESS;
    run_pending(event->number, event->queued);
    if (stream->seen[event->number] < event->launches) stream->seen[event->number] = event->launches;
    return CUDA_SUCCESS;
}

cuda_result cuStreamDestroy_v2(struct CUstream_st *stream)
{
    fake_run_uploads(stream);
    fake_destroy(stream);
    BEGIN(true);
    return CUDA_SUCCESS;
}

cuda_result cuEventCreate(struct CUevent_st **event, unsigned flags)
{
    BEGIN(true);
    if (flags != CU_EVENT_DISABLE_TIMING) return CUDA_ERROR_INVALID_VALUE;
    return fake_create((void **)event, sizeof **event);
}

cuda_result cuEventRecord(struct CUevent_st *event, struct CUstream_st *stream)
{
    BEGIN(true);
    *event = (struct CUevent_st){stream, stream->number, queued, stream->launches};
    return CUDA_SUCCESS;
}

cuda_result cuEventSynchronize(struct CUevent_st *event)
{
    BEGIN(true);
    if (event->stream != NULL) run_pending(event->number, event->queued);
    return CUDA_SUCCESS;
}

cuda_result cuEventDestroy_v2(struct CUevent_st *event)
{
    fake_destroy(event);
    BEGIN(true);
    return CUDA_SUCCESS;
}
