// Products of f32 by multiply-adds, for the levels at which oneDNN is slower.
#include "device/cpu/kernels/gemm_tile.h"

INLINE vec_int column_words(const struct gemm_lines *lines, int64_t word, int64_t j, int64_t count)
{
    if (2 * word >= lines->depth) return splat_int(0);
    return (vec_int)load((const float *)lines->first + word * lines->element + j, 0, count, false);
}

INLINE vec multiply_add(vec sum, vec_int left, vec_int right)
{
    return sum + (vec)left * (vec)right;
}

#include "device/cpu/kernels/gemm_plain.h"

const struct gemm_kernel CPU_NAME(gemm_f32) = {2, pack, tile};
