// The end of a large product: a row of its sums becomes c = sums + bias + add.
#include "device/cpu/kernels/vector.h"
#include "device/cpu/ops/gemm.h"

static void finish_row(const struct gemm *gemm, const struct gemm_tile *tile, int64_t i)
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
        store(c, j, columns, value, gemm->c_bf16);
    }
}

void CPU_NAME(gemm_finish)(const struct gemm *gemm, const struct gemm_tile *tile);
void CPU_NAME(gemm_finish)(const struct gemm *gemm, const struct gemm_tile *tile)
{
    for (int64_t i = 0; i < tile->rows; i++)
        finish_row(gemm, tile, i);
}
