// The memory table: arenas as memory objects, and copies in the order of the queue.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/machine.h"
#include "device/gpu/opencl/host.h"

enum {
    ALIGNMENT = 256,   // bytes of an arena's allocations
    RANGE_ALIGN = 4096 // of the addresses of arenas, and the least gap between two: an end has one owner
};
// No memory of a process is at this address or above.
static const uintptr_t FIRST_ADDRESS = (uintptr_t)1 << (8 * sizeof(uintptr_t) - 2);

bool loam_opencl_accept(struct loam_stream *stream, cl_result result, const char *what)
{
    if (result == CL_SUCCESS) return true;
    char text[256];
    loam_opencl_describe(result, text, sizeof text);
    loam_stream_fail(stream, loam_opencl_lacks_memory(result) ? LOAM_ERROR_MEMORY : LOAM_ERROR_IO, what,
                     text);
    return false;
}

// ---- addresses ----

// The last range that begins at or before an address; the count of ranges: none does.
static size_t find_range(const struct opencl_device *opencl, uintptr_t address)
{
    size_t first = 0, end = opencl->range_count;
    while (first < end) {
        const size_t middle = first + (end - first) / 2;
        if (opencl->ranges[middle].first <= address)
            first = middle + 1;
        else
            end = middle;
    }
    return first > 0 ? first - 1 : opencl->range_count;
}

bool loam_opencl_locate(struct loam_stream *stream, const void *address, struct cl_memory **memory,
                        uint64_t *offset)
{
    const struct opencl_device *opencl = opencl_device(stream->device);
    const size_t place = find_range(opencl, (uintptr_t)address);
    if (place < opencl->range_count) {
        const struct opencl_range *range = &opencl->ranges[place];
        *memory = range->memory;
        *offset = (uintptr_t)address - range->first;
        if (*offset <= range->bytes) return true; // an empty tensor may stand at the end
    }
    loam_stream_fail(stream, LOAM_ERROR_INTERNAL, stream->op != NULL ? stream->op : "copy",
                     "an address is not of the device's memory");
    return false;
}

// Addresses rise and do not come back, so a new range is the last one.
static enum loam_status add_range(struct opencl_device *opencl, struct cl_memory *memory, size_t bytes,
                                  struct loam_error *error)
{
    struct opencl_range *ranges = realloc(opencl->ranges, (opencl->range_count + 1) * sizeof *ranges);
    if (ranges == NULL) return loam_fail(error, LOAM_ERROR_MEMORY, "no memory for the list of arenas");
    opencl->ranges = ranges;
    if (opencl->next_address == 0) opencl->next_address = FIRST_ADDRESS;
    ranges[opencl->range_count++] = (struct opencl_range){opencl->next_address, bytes, memory};
    opencl->next_address += bytes - bytes % RANGE_ALIGN + 2 * (uintptr_t)RANGE_ALIGN;
    opencl->used += bytes;
    return LOAM_OK;
}

static void remove_range(struct opencl_device *opencl, size_t place)
{
    opencl->used -= opencl->ranges[place].bytes;
    opencl->range_count--;
    memmove(&opencl->ranges[place], &opencl->ranges[place + 1],
            (opencl->range_count - place) * sizeof *opencl->ranges);
}

// ---- arenas ----

static struct loam_free_memory free_memory(const struct loam_device *device)
{
    const struct opencl_device *opencl = opencl_device(device);
    const uint64_t whole = opencl->properties.memory;
    struct loam_free_memory memory = {whole > opencl->used ? (size_t)(whole - opencl->used) : 0,
                                      "this OpenCL device"};
    if (opencl->properties.unified) {
        const struct loam_machine_memory machine = loam_machine_measure_memory("");
        if (machine.available < memory.bytes)
            memory = (struct loam_free_memory){machine.available, machine.by};
    }
    return memory;
}

// OpenCL tells no driver's free memory, so what other processes have taken is not known.
static enum loam_status fail_allocation(const struct opencl_device *opencl, cl_result result, size_t bytes,
                                        struct loam_error *error)
{
    char text[256];
    loam_opencl_describe(result, text, sizeof text);
    return loam_fail(
        error, loam_opencl_lacks_memory(result) ? LOAM_ERROR_MEMORY : LOAM_ERROR_IO,
        "%zu bytes in one buffer on device %s: %s; %zu of its %llu bytes are not taken by loam, and a "
        "buffer has at most %llu",
        bytes, opencl->name, text, free_memory(&opencl->device).bytes,
        (unsigned long long)opencl->properties.memory, (unsigned long long)opencl->properties.largest_buffer);
}

static cl_result fill(const struct opencl_device *opencl, struct cl_memory *memory, uint64_t offset,
                      size_t bytes)
{
    static const char ZERO = 0;
    return opencl->api.fill(opencl->queue, memory, &ZERO, sizeof ZERO, (size_t)offset, bytes, 0, NULL, NULL);
}

// Drivers take memory at its first use, which is the zeroing.
static enum loam_status arena_init(const struct loam_device *device, struct loam_arena *arena, size_t bytes,
                                   bool populate, struct loam_error *error)
{
    (void)populate;
    struct opencl_device *opencl = opencl_device(device);
    cl_result result = CL_SUCCESS;
    size_t size;
    if (!loam_add_size(bytes == 0 ? 1 : bytes, ALIGNMENT - 1, &size))
        return fail_allocation(opencl, CL_INVALID_BUFFER_SIZE, bytes, error);
    size -= size % ALIGNMENT;
    struct cl_memory *const memory =
        opencl->api.memory_create(opencl->context, CL_MEM_READ_WRITE, size, NULL, &result);
    if (result != CL_SUCCESS) return fail_allocation(opencl, result, size, error);
    result = fill(opencl, memory, 0, size);
    if (result == CL_SUCCESS) result = opencl->api.queue_wait(opencl->queue);
    const enum loam_status status = result == CL_SUCCESS ? add_range(opencl, memory, size, error)
                                                         : fail_allocation(opencl, result, size, error);
    if (status != LOAM_OK) {
        (void)opencl->api.memory_release(memory);
        return status;
    }
    *arena = (struct loam_arena){.base = (char *)opencl->ranges[opencl->range_count - 1].first, // NOLINT
                                 .align = ALIGNMENT,
                                 .capacity = size};
    return LOAM_OK;
}

// The driver keeps the memory until the work that uses it has ended.
static void arena_deinit(const struct loam_device *device, struct loam_arena *arena)
{
    struct opencl_device *opencl = opencl_device(device);
    if (!arena->counting && arena->base != NULL) {
        const size_t place = find_range(opencl, (uintptr_t)arena->base);
        if (place < opencl->range_count) {
            (void)opencl->api.memory_release(opencl->ranges[place].memory);
            remove_range(opencl, place);
        }
    }
    *arena = (struct loam_arena){0};
}

// ---- copies ----

static void download(struct loam_stream *stream, void *target, const void *source, size_t bytes)
{
    const struct opencl_device *opencl = opencl_device(stream->device);
    struct cl_memory *memory;
    uint64_t offset;
    if (bytes == 0 || !loam_opencl_locate(stream, source, &memory, &offset)) return;
    (void)loam_opencl_accept(
        stream,
        opencl->api.download(opencl->queue, memory, CL_TRUE, (size_t)offset, bytes, target, 0, NULL, NULL),
        "download");
}

static void copy(struct loam_stream *stream, void *target, const void *source, size_t bytes)
{
    const struct opencl_device *opencl = opencl_device(stream->device);
    struct cl_memory *from, *to;
    uint64_t from_offset, to_offset;
    if (bytes == 0 || !loam_opencl_locate(stream, source, &from, &from_offset) ||
        !loam_opencl_locate(stream, target, &to, &to_offset))
        return;
    (void)loam_opencl_accept(stream,
                             opencl->api.copy(opencl->queue, from, to, (size_t)from_offset, (size_t)to_offset,
                                              bytes, 0, NULL, NULL),
                             "copy");
}

static void zero(struct loam_stream *stream, void *target, size_t bytes)
{
    struct cl_memory *memory;
    uint64_t offset;
    if (bytes == 0 || !loam_opencl_locate(stream, target, &memory, &offset)) return;
    (void)loam_opencl_accept(stream, fill(opencl_device(stream->device), memory, offset, bytes), "zero");
}

static void synchronise(struct loam_stream *stream)
{
    struct opencl_device *opencl = opencl_device(stream->device);
    if (!loam_opencl_accept(stream, opencl->api.queue_wait(opencl->queue), "wait")) return;
    loam_opencl_staging_finish(stream);
    opencl->unflushed = 0;
}

const struct loam_memory_table loam_opencl_memory = {
    .arena_init = arena_init,
    .arena_deinit = arena_deinit,
    .free_memory = free_memory,
    .upload = loam_opencl_upload,
    .upload_as = loam_opencl_upload_as,
    .download = download,
    .copy = copy,
    .zero = zero,
    .synchronise = synchronise,
};
