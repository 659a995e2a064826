// What the kernels of large products share: their level's sizes, and fetching ahead.
#ifndef LOAM_DEVICE_CPU_KERNELS_GEMM_TILE_H
#define LOAM_DEVICE_CPU_KERNELS_GEMM_TILE_H

#include "device/cpu/kernels/vector.h"
#include "device/cpu/ops/gemm_kernel.h"

enum {
    ROWS = CPU_SIZE(GEMM_ROWS), // of a tile, at most LANES
    PANEL = GEMM_COLUMNS,       // columns of a tile
    GROUP = GEMM_GROUP,
    STEP = 2 * LANES, // elements along k that are packed at a time; zeros follow the last one
};

// Prefetches one cache line of each into the second cache.
INLINE void fetch_one(struct prefetch *prefetch)
{
    if (prefetch->wait-- > 0 || prefetch->runs <= 0) return;
    __builtin_prefetch(prefetch->run + prefetch->line * CACHE_LINE, 0, 2);
    if (++prefetch->line < prefetch->lines) return;
    prefetch->line = 0;
    prefetch->run += prefetch->stride;
    prefetch->runs--;
}
INLINE void fetch_line(struct prefetch prefetches[PREFETCHES])
{
    for (int i = 0; i < PREFETCHES; i++)
        fetch_one(&prefetches[i]);
}

#endif
