// One thread for each element of a matrix, or for each run of them.
#ifndef LOAM_DEVICE_GPU_KERNELS_CELLS_H
#define LOAM_DEVICE_GPU_KERNELS_CELLS_H

#include "device/gpu/kernels/dialect.h"
#include "device/gpu/kernels/params.h"

struct cell {
    i64 row, column;
};

// The first element of the thread; its column may be past the end.
DEVICE struct cell this_cell(struct cells cells)
{
    struct cell cell;
    cell.row = BLOCK_X / cells.per_row;
    cell.column = ((i64)(BLOCK_X % cells.per_row) * BLOCK_THREADS + THREAD) * cells.run;
    return cell;
}

#endif
