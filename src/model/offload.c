#include "model/offload.h"

#include <stdlib.h>

#include "base/heap.h"

enum loam_status loam_offload_create(struct loam_offload **out, const struct loam_device *device,
                                     int64_t model_layers, int64_t count, struct loam_error *error)
{
    struct loam_offload *offload = loam_calloc(1, sizeof *offload, error);
    if (offload == NULL) return LOAM_ERROR_MEMORY;
    *offload = (struct loam_offload){.device = device, .model_layers = model_layers, .count = count};
    for (int i = 0; i < LOAM_FETCHES; i++)
        offload->held[i] = -1;
    offload->used = loam_calloc((size_t)model_layers, sizeof *offload->used, error);
    *out = offload;
    return offload->used != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
}

void loam_offload_destroy(struct loam_offload *offload)
{
    if (offload == NULL) return;
    loam_device_host_arena_deinit(offload->device, &offload->host);
    free(offload->used);
    free(offload);
}

// ---- which layers ----

// The number of offloaded layers below a layer, and so the index of the layer if it is one of them.
static int64_t index_of(const struct loam_offload *offload, int64_t layer)
{
    return layer * offload->count / offload->model_layers;
}

bool loam_offload_has(const struct loam_offload *offload, int64_t layer)
{
    return offload != NULL && layer >= 0 && index_of(offload, layer + 1) > index_of(offload, layer);
}

// ---- layout ----

static int64_t places(const struct loam_offload *offload)
{
    return offload->count < LOAM_FETCHES ? offload->count : LOAM_FETCHES;
}

size_t loam_offload_ring_bytes(const struct loam_offload *offload)
{
    return (size_t)places(offload) * offload->layer_bytes;
}

static int64_t padded(const struct loam_offload *offload, size_t bytes)
{
    const size_t align = offload->device->alignment;
    return (int64_t)((bytes + align - 1) / align * align);
}

void loam_offload_measure(struct loam_offload *offload, int64_t layer, size_t bytes)
{
    offload->used[layer] += padded(offload, bytes);
    if ((size_t)offload->used[layer] > offload->layer_bytes)
        offload->layer_bytes = (size_t)offload->used[layer];
}

enum loam_status loam_offload_take_host(struct loam_offload *offload, struct loam_error *error)
{
    return loam_device_host_arena_init(offload->device, &offload->host,
                                       (size_t)offload->count * offload->layer_bytes, error);
}

void loam_offload_take_ring(struct loam_offload *offload, struct loam_arena *arena)
{
    offload->ring = loam_arena_alloc(arena, loam_offload_ring_bytes(offload));
    for (int64_t i = 0; i < offload->model_layers; i++)
        offload->used[i] = 0;
}

// Through an integer: a counting arena's addresses belong to no object.
static char *advance(const char *base, size_t bytes)
{
    return base != NULL ? (char *)((uintptr_t)base + bytes) : NULL;
}

static char *place_in_ring(const struct loam_offload *offload, int64_t index)
{
    return advance(offload->ring, (size_t)(index % LOAM_FETCHES) * offload->layer_bytes);
}

static char *place_on_host(const struct loam_offload *offload, int64_t index)
{
    return advance(offload->host.base, (size_t)index * offload->layer_bytes);
}

void *loam_offload_place(struct loam_offload *offload, int64_t layer, size_t bytes)
{
    char *address = advance(place_in_ring(offload, index_of(offload, layer)), (size_t)offload->used[layer]);
    offload->used[layer] += padded(offload, bytes);
    return address;
}

void *loam_offload_host_address(const struct loam_offload *offload, int64_t layer, const void *address)
{
    const int64_t index = index_of(offload, layer);
    const uintptr_t offset = (uintptr_t)address - (uintptr_t)place_in_ring(offload, index);
    return advance(place_on_host(offload, index), (size_t)offset);
}

// ---- copies ----

static bool runs(const struct loam_stream *stream)
{
    return !stream->planning && stream->failure.status == LOAM_OK;
}

// Begins to copy an offloaded layer to its place, whose layer has run.
static void fetch(struct loam_offload *offload, struct loam_stream *stream, int64_t index)
{
    const int place = (int)(index % LOAM_FETCHES);
    if (!runs(stream) || index < 0 || index >= offload->count || offload->held[place] == index) return;
    offload->held[place] = -1;
    loam_fetch(stream, place, place_in_ring(offload, index), place_on_host(offload, index),
               offload->layer_bytes);
    if (runs(stream)) offload->held[place] = index;
}

// The place of each layer is that of its index, so the three layers from one on, in either direction, have three places.
void loam_offload_turn(struct loam_offload *offload, struct loam_stream *stream, int64_t layer, bool upwards)
{
    if (offload == NULL) return;
    const bool here = loam_offload_has(offload, layer);
    // The next one at or above the layer, or at or below it.
    int64_t index = index_of(offload, layer);
    if (!upwards && !here) index--;
    for (int64_t i = 0; i < LOAM_FETCHES; i++)
        fetch(offload, stream, upwards ? index + i : index - i);
    if (here) loam_fetch_wait(stream, (int)(index % LOAM_FETCHES));
}

void loam_offload_begin(struct loam_offload *offload, struct loam_stream *stream)
{
    for (int64_t i = 0; offload != NULL && i < LOAM_FETCHES; i++)
        fetch(offload, stream, i);
}

void loam_offload_read(struct loam_offload *offload, struct loam_stream *stream, int64_t layer)
{
    if (!loam_offload_has(offload, layer)) return;
    const int64_t index = index_of(offload, layer);
    fetch(offload, stream, index);
    loam_fetch_wait(stream, (int)(index % LOAM_FETCHES));
}
