// Tensors on their way into a file, whatever its format.
#ifndef LOAM_IO_STREAMED_H
#define LOAM_IO_STREAMED_H

#include "io/atomic.h"
#include "tensor/tensor.h"

// What a writer is given: contiguous host data.
struct loam_write_tensor {
    const char *name;
    enum loam_dtype dtype;
    int rank;
    int64_t shape[LOAM_MAX_RANK];
    const void *data;
};

// For what does not fit into memory at once: `fill` makes elements [first, first + count) of tensors[index]
// when their turn comes, `block` has room for them. The tensors' own `data` is not read.
struct loam_write_source {
    enum loam_status (*fill)(void *user, size_t index, size_t first, size_t count, void *block,
                             struct loam_error *error);
    void *user;
};

enum { LOAM_STREAM_BLOCK = 1 << 20 }; // bytes of `block` below

// Asks the source for one block of a tensor's `count` elements after the other and writes them.
enum loam_status loam_write_streamed(struct loam_atomic_file *file, const struct loam_write_source *source,
                                     size_t index, size_t count, size_t element_size, void *block,
                                     struct loam_error *error);

#endif
