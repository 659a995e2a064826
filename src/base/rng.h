// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// 2011). A value depends on (seed, stream, counter) alone, never on the order of calls, so initialisation,
// dropout and shuffling repeat exactly at any thread count and after a resume.
#ifndef LOAM_BASE_RNG_H
#define LOAM_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

// Each use of a seed has its own stream. The low 32 bits of a stream hold an index, such as an epoch.
enum loam_rng_use {
    LOAM_RNG_INIT = 1,    // weights of `loam init`; index: the tensor
    LOAM_RNG_LORA = 2,    // LoRA A; index: the adapted linear
    LOAM_RNG_DROPOUT = 3, // index: the adapted linear
    LOAM_RNG_SHUFFLE = 4, // index: the epoch
    LOAM_RNG_SAMPLE = 5,  // generation
    LOAM_RNG_BENCH = 6,   // generated examples; index: the example
    LOAM_RNG_MIXTURE = 7, // records of a source that an epoch takes in part; index: the pass over it
    LOAM_RNG_LOOK = 8,    // records that preflight looks at
};
static inline uint64_t loam_rng_stream(enum loam_rng_use use, uint32_t index)
{
    return ((uint64_t)use << 32) | index;
}

void loam_rng_block(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4]);

// Element `index` of the stream. Uniform: in [0, 1) with 24 bits, from word i mod 4 of block i / 4. Normal:
// standard normal by Box-Muller, from a pair of words of that block.
float loam_rng_uniform(uint64_t seed, uint64_t stream, uint64_t index);
float loam_rng_normal(uint64_t seed, uint64_t stream, uint64_t index);
// out[i] = loam_rng_normal(seed, stream, first + i), computed by blocks of four.
void loam_rng_fill_normal(uint64_t seed, uint64_t stream, uint64_t first, float *out, size_t count);

// Shuffles order[0..count) (Fisher-Yates with unbiased bounded draws). `count` must be below 2^32.
void loam_rng_shuffle(uint64_t seed, uint64_t stream, uint32_t *order, size_t count);
// Fills order[0..count) with 0..count-1 and shuffles it.
void loam_rng_permutation(uint64_t seed, uint64_t stream, uint32_t *order, size_t count);

#endif
