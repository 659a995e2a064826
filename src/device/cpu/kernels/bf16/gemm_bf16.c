// Products of bf16 by AVX-512 BF16, whose instructions multiply two pairs of bf16 and add both products to a
// sum of f32. Packing only brings the pairs together; nothing is rounded, and no unit is needed.
#include "device/cpu/kernels/bf16/tile_bf16.h"
#include "device/cpu/kernels/gemm_tile.h"

// `count` elements that are LANES or fewer, each in a lane of its own.
INLINE vec_int spread(const uint16_t *elements, int64_t count)
{
    uint16_t some[LANES] = {0};
    if (count < LANES) {
        memcpy(some, elements, (size_t)count * sizeof some[0]);
        elements = some;
    }
    return (vec_int)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i_u *)elements));
}

INLINE vec_int column_words(const struct gemm_lines *lines, int64_t word, int64_t j, int64_t count)
{
    const uint16_t *row = (const uint16_t *)lines->first + 2 * word * lines->element + j;
    vec_int pairs = splat_int(0);
    if (2 * word < lines->depth) pairs = spread(row, count);
    if (2 * word + 1 < lines->depth) pairs |= spread(row + lines->element, count) << 16;
    return pairs;
}

INLINE vec multiply_add(vec sum, vec_int left, vec_int right)
{
    return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)left, (__m512bh)right);
}

#include "device/cpu/kernels/gemm_plain.h"

const struct gemm_kernel CPU_NAME(gemm_bf16) = {1, pack, tile};
