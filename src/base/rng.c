#include "base/rng.h"

#include <math.h>

// Philox4x32-10 (Salmon et al. 2011, section 3.3): ten rounds, each of two 32x32-bit products.
void loam_rng_block(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4])
{
    uint32_t key0 = (uint32_t)seed;
    uint32_t key1 = (uint32_t)(seed >> 32);
    uint32_t x0 = (uint32_t)counter;
    uint32_t x1 = (uint32_t)(counter >> 32);
    uint32_t x2 = (uint32_t)stream;
    uint32_t x3 = (uint32_t)(stream >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t product0 = (uint64_t)0xD2511F53u * x0;
        uint64_t product1 = (uint64_t)0xCD9E8D57u * x2;
        x0 = (uint32_t)(product1 >> 32) ^ x1 ^ key0;
        x1 = (uint32_t)product1;
        x2 = (uint32_t)(product0 >> 32) ^ x3 ^ key1;
        x3 = (uint32_t)product0;
        key0 += 0x9E3779B9u; // Weyl sequences by the golden ratio and sqrt(3) - 1
        key1 += 0xBB67AE85u;
    }
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}

float loam_rng_uniform(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t words[4];
    loam_rng_block(seed, stream, index / 4, words);
    return (float)(words[index % 4] >> 8) * 0x1p-24f;
}

// Box-Muller: r = sqrt(-2 ln u), u in (0, 1]; r cos(2 pi v) and r sin(2 pi v) are independent N(0, 1).
static void normal_pair(const uint32_t words[2], float out[2])
{
    float u = ((float)words[0] + 1.0f) * 0x1p-32f;
    float angle = (float)(words[1] >> 8) * (0x1p-24f * 6.28318530717958647692f);
    float radius = sqrtf(-2.0f * logf(u));
    out[0] = radius * cosf(angle);
    out[1] = radius * sinf(angle);
}

float loam_rng_normal(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t words[4];
    float pair[2];
    loam_rng_block(seed, stream, index / 4, words);
    normal_pair(words + (index % 4 / 2) * 2, pair);
    return pair[index % 2];
}

void loam_rng_fill_normal(uint64_t seed, uint64_t stream, uint64_t first, float *out, size_t count)
{
    size_t done = 0;
    for (; done < count && (first + done) % 4 != 0; done++)
        out[done] = loam_rng_normal(seed, stream, first + done);
    for (; count - done >= 4; done += 4) {
        uint32_t words[4];
        loam_rng_block(seed, stream, (first + done) / 4, words);
        normal_pair(words, out + done);
        normal_pair(words + 2, out + done + 2);
    }
    for (; done < count; done++)
        out[done] = loam_rng_normal(seed, stream, first + done);
}

// A sequence of the words of a stream.
struct word_source {
    uint64_t seed;
    uint64_t stream;
    uint64_t next;
    uint32_t words[4];
};

static uint32_t next_word(struct word_source *source)
{
    if (source->next % 4 == 0) loam_rng_block(source->seed, source->stream, source->next / 4, source->words);
    return source->words[source->next++ % 4];
}

// A uniform whole number in [0, bound). Products whose low half falls into the short first interval are drawn
// again (Lemire, "Fast random integer generation in an interval", 2019).
static uint32_t draw_below(struct word_source *source, uint32_t bound)
{
    uint32_t short_interval = (0u - bound) % bound;
    uint64_t product;
    do {
        product = (uint64_t)next_word(source) * bound;
    } while ((uint32_t)product < short_interval);
    return (uint32_t)(product >> 32);
}

void loam_rng_shuffle(uint64_t seed, uint64_t stream, uint32_t *order, size_t count)
{
    struct word_source source = {.seed = seed, .stream = stream};
    for (size_t i = count; i > 1; i--) {
        uint32_t j = draw_below(&source, (uint32_t)i);
        uint32_t swap = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swap;
    }
}

void loam_rng_permutation(uint64_t seed, uint64_t stream, uint32_t *order, size_t count)
{
    for (size_t i = 0; i < count; i++)
        order[i] = (uint32_t)i;
    loam_rng_shuffle(seed, stream, order, count);
}
