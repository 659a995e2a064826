// Blocks of threads on fibers. Threads run until they stop at a barrier or at a step of their warp; when all that can
// run have stopped, what they wait for is checked and they go on.
#ifndef LOAM_DEVICE_GPU_FIBER_BLOCKS_H
#define LOAM_DEVICE_GPU_FIBER_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

// The order in which the threads of a block run between two barriers. A missing barrier shows in some orders only.
enum loam_fiber_order {
    LOAM_FIBER_FORWARD,
    LOAM_FIBER_REVERSED,
    LOAM_FIBER_SHUFFLED, // another one each time
    LOAM_FIBER_ORDER_COUNT,
};

enum { LOAM_FIBER_WARP = 32, LOAM_FIBER_THREADS = 256 };

struct loam_fibers;
enum loam_status loam_fibers_create(struct loam_fibers **out, enum loam_fiber_order order,
                                    struct loam_error *error);
void loam_fibers_destroy(struct loam_fibers *fibers);

struct loam_fiber_grid {
    int64_t blocks[3];
    int threads;       // of a block, whole warps
    size_t shared;     // bytes of shared memory, which hold NaN when a block starts
    bool holds_copies; // copy_start reads into registers, as GPUs without asynchronous copies do
    void (*body)(const void *context);
    const void *context;
};
// Runs body(context) by each thread of each block. The reason why it cannot, or NULL.
const char *loam_fibers_run(struct loam_fibers *fibers, const struct loam_fiber_grid *grid);

#endif
