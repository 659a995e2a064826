// The end of a large product: the sums of a tile become c = sums + bias + add.
#include "device/cpu/kernels/vector.h"
#include "device/cpu/ops/gemm.h"

// What a loop over the tile knows when it is compiled.
struct finish_case {
    bool whole; // GEMM_COLUMNS columns
    bool c_bf16, biased, added;
};

INLINE void finish_tile(const struct gemm *gemm, const struct gemm_tile *tile, struct finish_case is)
{
    const int64_t size = is.c_bf16 ? 2 : 4, columns = is.whole ? GEMM_COLUMNS : tile->columns;
    const char *bias = is.biased ? (const char *)gemm->bias + tile->column * (gemm->bias_bf16 ? 2 : 4) : NULL;
    const char *add =
        is.added ? (const char *)gemm->add + (tile->row * gemm->add_row + tile->column) * size : NULL;
    char *c = (char *)gemm->c + (tile->row * gemm->c_row + tile->column) * size;
    const float *sums = tile->sums;
    for (int64_t i = 0; i < tile->rows; i++) {
        for (int64_t j = 0; j < columns; j += LANES) {
            vec value = load_f32(sums + j);
            if (is.biased) value += load(bias, j, columns, gemm->bias_bf16);
            if (is.added) value += load(add, j, columns, is.c_bf16);
            store(c, j, columns, value, is.c_bf16);
        }
        sums += tile->sums_row;
        if (is.added) add += gemm->add_row * size;
        c += gemm->c_row * size;
    }
}

void CPU_NAME(gemm_finish)(const struct gemm *gemm, const struct gemm_tile *tile);
void CPU_NAME(gemm_finish)(const struct gemm *gemm, const struct gemm_tile *tile)
{
    const struct finish_case is = {tile->columns == GEMM_COLUMNS, gemm->c_bf16, gemm->bias != NULL,
                                   gemm->add != NULL};
    if (is.whole && is.c_bf16 && !is.biased && is.added)
        finish_tile(gemm, tile, (struct finish_case){true, true, false, true});
    else if (is.whole && is.c_bf16 && !is.biased)
        finish_tile(gemm, tile, (struct finish_case){true, true, false, false});
    else
        finish_tile(gemm, tile, is);
}
