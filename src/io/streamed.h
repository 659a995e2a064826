// Writing tensors to a file of any format.
#ifndef LOAM_IO_STREAMED_H
#define LOAM_IO_STREAMED_H

#include "io/atomic.h"
#include "tensor/tensor.h"

// A tensor to write: contiguous host data.
struct loam_write_tensor {
    const char *name;
    enum loam_dtype dtype;
    int rank;
    int64_t shape[LOAM_MAX_RANK];
    const void *data;
};

// A source of elements that do not fit into memory at once. `fill` writes elements [first, first + count) of
// tensors[index] to `block`. The tensors' `data` is not read.
struct loam_write_source {
    enum loam_status (*fill)(void *user, size_t index, size_t first, size_t count, void *block,
                             struct loam_error *error);
    void *user;
};

enum { LOAM_STREAM_BLOCK = 1 << 20 }; // bytes of `block` below

// Writes a tensor's `count` elements, a block from the source at a time.
enum loam_status loam_write_streamed(struct loam_atomic_file *file, const struct loam_write_source *source,
                                     size_t index, size_t count, size_t element_size, void *block,
                                     struct loam_error *error);

#endif
