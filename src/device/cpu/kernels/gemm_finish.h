// How a row of a large product's sums becomes c = sums + bias + add.
#ifndef LOAM_DEVICE_CPU_KERNELS_GEMM_FINISH_H
#define LOAM_DEVICE_CPU_KERNELS_GEMM_FINISH_H

#include "device/cpu/kernels/vector.h"
#include "device/cpu/ops/gemm.h"

// Rounds and writes LANES numbers of bf16. Callers pass a constant, so that it is inlined.
typedef void put_bf16(uint16_t *target, vec v);

INLINE void finish_row(const struct gemm *gemm, const struct gemm_tile *tile, int64_t i, put_bf16 *put)
{
    const int64_t size = gemm->c_bf16 ? 2 : 4, row = tile->row + i, columns = tile->columns;
    const float *sums = tile->sums + i * tile->sums_row;
    const char *bias = gemm->bias, *add = gemm->add;
    if (bias != NULL) bias += tile->column * (gemm->bias_bf16 ? 2 : 4);
    if (add != NULL) add += (row * gemm->add_row + tile->column) * size;
    char *c = (char *)gemm->c + (row * gemm->c_row + tile->column) * size;
    for (int64_t j = 0; j < columns; j += LANES) {
        vec value = load_f32(sums + j);
        if (bias != NULL) value += load(bias, j, columns, gemm->bias_bf16);
        if (add != NULL) value += load(add, j, columns, gemm->c_bf16);
        if (gemm->c_bf16 && columns - j >= LANES)
            put((uint16_t *)(void *)c + j, value);
        else
            store(c, j, columns, value, gemm->c_bf16);
    }
}

INLINE void finish_rows(const struct gemm *gemm, const struct gemm_tile *tile, put_bf16 *put)
{
    for (int64_t i = 0; i < tile->rows; i++)
        finish_row(gemm, tile, i, put);
}

#endif
