// Dropout by counters, many at a time: the numbers of loam_rng_uniform (base/rng.h), so that what was dropped
// in a forward pass is found again in the backward, whatever part of it is asked for.
#ifndef LOAM_DEVICE_CPU_KERNELS_DROPOUT_H
#define LOAM_DEVICE_CPU_KERNELS_DROPOUT_H

#include "device/cpu/kernels/vector.h"
#include "device/ops.h"

enum { DROPOUT_WORDS = 4 * LANES }; // random words made at a time: LANES blocks of four

// The high and low halves of the products x factor.
INLINE void multiply_wide(vec_uint x, uint32_t factor, vec_uint *high, vec_uint *low)
{
#if defined(__AVX512F__)
    const __m512i factors = _mm512_set1_epi64(factor), even = _mm512_mul_epu32((__m512i)x, factors);
    const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64((__m512i)x, 32), factors);
    *high = (vec_uint)_mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd);
    *low = (vec_uint)_mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32));
#elif defined(__AVX2__)
    const __m256i factors = _mm256_set1_epi64x(factor), even = _mm256_mul_epu32((__m256i)x, factors);
    const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64((__m256i)x, 32), factors);
    *high = (vec_uint)_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
    *low = (vec_uint)_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
#else
    for (int i = 0; i < LANES; i++) {
        const uint64_t product = (uint64_t)x[i] * factor;
        (*high)[i] = (uint32_t)(product >> 32);
        (*low)[i] = (uint32_t)product;
    }
#endif
}

// Philox4x32-10 of the counters block, block + 1, ...; words [LANES][4].
INLINE void dropout_words(const struct loam_dropout *dropout, uint64_t block, uint32_t words[DROPOUT_WORDS])
{
    vec_uint x0, x1, x2 = {0}, x3 = {0};
    for (int i = 0; i < LANES; i++) {
        x0[i] = (uint32_t)(block + (uint64_t)i);
        x1[i] = (uint32_t)((block + (uint64_t)i) >> 32);
    }
    x2 += (uint32_t)dropout->stream;
    x3 += (uint32_t)(dropout->stream >> 32);
    uint32_t key0 = (uint32_t)dropout->seed, key1 = (uint32_t)(dropout->seed >> 32);
    for (int round = 0; round < 10; round++) {
        vec_uint high0, low0, high1, low1;
        multiply_wide(x0, 0xD2511F53u, &high0, &low0);
        multiply_wide(x2, 0xCD9E8D57u, &high1, &low1);
        x0 = high1 ^ x1 ^ key0;
        x1 = low1;
        x2 = high0 ^ x3 ^ key1;
        x3 = low0;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    for (int i = 0; i < LANES; i++) {
        words[4 * i] = x0[i];
        words[4 * i + 1] = x1[i];
        words[4 * i + 2] = x2[i];
        words[4 * i + 3] = x3[i];
    }
}

// Drops from n values, the first of which has the given index: kept ones are scaled by 1 / (1 - p), others
// zero.
static inline void dropout_apply(const struct loam_dropout *dropout, uint64_t index, float *values, int64_t n)
{
    const float scale = 1.0f / (1.0f - dropout->p);
    uint32_t words[DROPOUT_WORDS + LANES] = {0}; // the last vector may begin anywhere
    for (int64_t done = 0; done < n;) {
        const uint64_t at = index + (uint64_t)done;
        const int64_t skip = (int64_t)(at % 4), fresh = DROPOUT_WORDS - skip;
        const int64_t count = fresh < n - done ? fresh : n - done;
        dropout_words(dropout, at / 4, words);
        for (int64_t i = 0; i < count; i += LANES) {
            vec_uint word;
            memcpy(&word, words + skip + i, sizeof word);
            const vec uniform = __builtin_convertvector((vec_int)(word >> 8), vec) * 0x1p-24f;
            const vec kept = load(values + done, i, count, false) * scale;
            store(values + done, i, count, select_vec(uniform >= dropout->p, kept, splat(0)), false);
        }
        done += count;
    }
}

#endif
