// The handle of a weight: how a product gets the matrix that it multiplies with. It is made once, when the
// weight gets its place (model/weights.c). A quantised or transposed weight is another kind of handle.
#ifndef LOAM_MODEL_WEIGHT_H
#define LOAM_MODEL_WEIGHT_H

#include "base/event.h"
#include "device/device.h"

// What the streamed weights of a model share: how much of a pass over them has been read.
struct loam_weight_reader {
    const struct loam_callbacks *callbacks; // for LOAM_ACTIVITY_LOAD; NULL: none
    enum loam_dtype dtype;                  // that products read
    int64_t done;                           // bytes
    int64_t total;
};

struct loam_weight_handle {
    struct loam_weight weight;         // [out, in]; a streamed one as it is stored
    struct loam_weight_reader *reader; // of a streamed weight: read for each product; NULL: in memory
    bool mapped;                       // a streamed weight that lies in the mapped file
};

// Rows [first, first + count) of the weight, as it is stored, for one op. A streamed one is read into `arena` where it is
// stored in another dtype; a callback that asks to stop fails the stream.
struct loam_weight loam_weight_open(const struct loam_weight_handle *handle, struct loam_stream *stream,
                                    struct loam_arena *arena, int64_t first, int64_t count);
// After the op: the pages of the file that a streamed weight took may leave memory.
void loam_weight_close(const struct loam_weight_handle *handle, struct loam_stream *stream, int64_t first,
                       int64_t count);

// Copies elements from the host to a tensor of the device, in blocks. `mapped`: the source is a mapped file,
// and at most one block of it is in memory beside the copy.
void loam_weight_copy(struct loam_stream *stream, const struct loam_tensor *target, const uint8_t *source,
                      enum loam_dtype source_dtype, bool mapped);
// Copies elements to memory of the host, for a tensor that is copied from there later. The source is a mapped file.
void loam_weight_keep(const struct loam_tensor *tensor, void *host_target, const uint8_t *source,
                      enum loam_dtype source_dtype);

#endif
