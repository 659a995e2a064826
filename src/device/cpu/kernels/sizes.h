// The rows of sizes.def as constants of every level: avx2_LANES, avx2_GEMM_ROWS, ...
#ifndef LOAM_DEVICE_CPU_KERNELS_SIZES_H
#define LOAM_DEVICE_CPU_KERNELS_SIZES_H

#define CPU_LEVEL_SIZES(level, lanes, rows, depth, task_columns, tasks_each, tile_rows, tile_wide)           \
    enum {                                                                                                   \
        level##_LANES = lanes,                                                                               \
        level##_GEMM_ROWS = rows,                                                                            \
        level##_GEMM_COLUMNS = 2 * lanes,                                                                    \
        level##_GEMM_DEPTH = depth,                                                                          \
        level##_GEMM_TASK_COLUMNS = task_columns,                                                            \
        level##_GEMM_TASKS_EACH = tasks_each,                                                                \
        level##_TILE_ROWS = tile_rows,                                                                       \
        level##_TILE_WIDE = tile_wide,                                                                       \
    };
#include "device/cpu/kernels/sizes.def"
#undef CPU_LEVEL_SIZES

#endif
