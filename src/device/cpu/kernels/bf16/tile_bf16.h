// Small matrix products of pairs of bf16, by AVX-512 BF16.
#ifndef LOAM_DEVICE_CPU_KERNELS_BF16_TILE_BF16_H
#define LOAM_DEVICE_CPU_KERNELS_BF16_TILE_BF16_H

#include "device/cpu/kernels/tile.h"

INLINE vec tile_add_bf16(vec sum, vec a, vec b)
{
    return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}

// Rounded, and paired lane by lane.
INLINE vec pair_bf16(vec even, vec odd)
{
    const __m512i order = (__m512i)(lane_index() * 0x10001 + 0x100000); // 0, 16, 1, 17...
    return (vec)_mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh((__m512)odd, (__m512)even));
}

static inline void small_matmul_bf16(const struct small_matmul *mm, const float *factor, int64_t m, int64_t n,
                                     int64_t k)
{
    tile_columns(mm, factor, m, n, k, tile_add_bf16);
}

#endif
