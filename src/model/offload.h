// Layers whose weights stay in memory of the host. Each has a place in a ring on the device, where its parameters have their
// addresses, and is copied there before it is read: two layers ahead of the one that runs.
#ifndef LOAM_MODEL_OFFLOAD_H
#define LOAM_MODEL_OFFLOAD_H

#include "device/device.h"

struct loam_offload {
    const struct loam_device *device;
    int64_t model_layers;
    int64_t count;              // of the offloaded layers
    size_t layer_bytes;         // of each, of the largest
    struct loam_arena host;     // the layers, one after another
    char *ring;                 // on the device: loam_offload_ring_bytes() bytes
    int64_t *used;              // [model_layers] bytes of a layer that are placed
    int64_t held[LOAM_FETCHES]; // the offloaded layer that each place of the ring holds; -1: none
};

// `count` of the `model_layers` layers, evenly spread, so that other layers can run while one is copied.
enum loam_status loam_offload_create(struct loam_offload **out, const struct loam_device *device,
                                     int64_t model_layers, int64_t count, struct loam_error *error);
void loam_offload_destroy(struct loam_offload *offload);

// Whether a layer (-1: none) is offloaded; `offload` may be NULL.
bool loam_offload_has(const struct loam_offload *offload, int64_t layer);

// The layout: a first walk over the parameters measures the layers, a second one places them.
// Adds `bytes` to a layer.
void loam_offload_measure(struct loam_offload *offload, int64_t layer, size_t bytes);
// Takes the memory of the host; `arena` gives the ring, and may count.
enum loam_status loam_offload_take_host(struct loam_offload *offload, struct loam_error *error);
void loam_offload_take_ring(struct loam_offload *offload, struct loam_arena *arena);
// The address on the device of the next `bytes` of a layer.
void *loam_offload_place(struct loam_offload *offload, int64_t layer, size_t bytes);
size_t loam_offload_ring_bytes(const struct loam_offload *offload);
// The memory of the host behind an address on the device.
void *loam_offload_host_address(const struct loam_offload *offload, int64_t layer, const void *address);

// Before a layer runs: makes it readable, and begins to copy those that come next, upwards or downwards. Does nothing
// where `offload` is NULL.
void loam_offload_turn(struct loam_offload *offload, struct loam_stream *stream, int64_t layer, bool upwards);
// Begins to copy the first layers of a forward.
void loam_offload_begin(struct loam_offload *offload, struct loam_stream *stream);
// Makes one layer readable.
void loam_offload_read(struct loam_offload *offload, struct loam_stream *stream, int64_t layer);

#endif
