// Dropout by counters, many at a time: the numbers of loam_rng_uniform (base/rng.h), so that what was dropped
// in a forward pass is found again in the backward, whatever part of it is asked for.
#ifndef LOAM_DEVICE_CPU_SIMD_DROPOUT_H
#define LOAM_DEVICE_CPU_SIMD_DROPOUT_H

#include "device/cpu/simd/vector.h"
#include "device/ops.h"

enum { DROPOUT_WORDS = 4 * LANES }; // random words made at a time: LANES blocks of four

// Philox4x32-10 of the counters block, block + 1, ...; words [LANES][4].
INLINE void dropout_words(const struct loam_dropout *dropout, uint64_t block, uint32_t words[DROPOUT_WORDS])
{
    uint32_t x0[LANES], x1[LANES], x2[LANES], x3[LANES];
    for (int i = 0; i < LANES; i++) {
        x0[i] = (uint32_t)(block + (uint64_t)i);
        x1[i] = (uint32_t)((block + (uint64_t)i) >> 32);
        x2[i] = (uint32_t)dropout->stream;
        x3[i] = (uint32_t)(dropout->stream >> 32);
    }
    uint32_t key0 = (uint32_t)dropout->seed, key1 = (uint32_t)(dropout->seed >> 32);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < LANES; i++) {
            const uint64_t product0 = (uint64_t)x0[i] * 0xD2511F53u, product1 = (uint64_t)x2[i] * 0xCD9E8D57u;
            x0[i] = (uint32_t)(product1 >> 32) ^ x1[i] ^ key0;
            x1[i] = (uint32_t)product1;
            x2[i] = (uint32_t)(product0 >> 32) ^ x3[i] ^ key1;
            x3[i] = (uint32_t)product0;
        }
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
    uint32_t words[DROPOUT_WORDS];
    for (int64_t done = 0; done < n;) {
        const uint64_t at = index + (uint64_t)done;
        const int64_t skip = (int64_t)(at % 4), fresh = DROPOUT_WORDS - skip;
        const int64_t count = fresh < n - done ? fresh : n - done;
        dropout_words(dropout, at / 4, words);
        for (int64_t i = 0; i < count; i++) {
            const float uniform = (float)(int32_t)(words[skip + i] >> 8) * 0x1p-24f;
            values[done + i] = uniform >= dropout->p ? values[done + i] * scale : 0.0f;
        }
        done += count;
    }
}

#endif
