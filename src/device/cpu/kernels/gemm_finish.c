// The end of a large product: its sums become c.
#include "device/cpu/kernels/gemm_finish.h"

void CPU_NAME(gemm_finish)(const struct gemm *gemm, const struct gemm_tile *tile);
void CPU_NAME(gemm_finish)(const struct gemm *gemm, const struct gemm_tile *tile)
{
    finish_rows(gemm, tile, store_bf16);
}
