// The limits of this level's instructions: multiply-adds in registers, and the rate of reading memory.
#include "device/probe.h"

#include "device/cpu/kernels/vector.h"

enum {
    CHAINS = 12, // independent sums, enough to cover the latency of a multiply-add; they fit the registers
    STEPS = 1024,
    READ_BLOCK = 1 << 20, // bytes of a task
    STREAMS = 4,          // of a task that are read side by side: the processor fetches ahead on each
    READ_CHAINS = 4,
};

// sum = sum factor + term, whose limit is 2: neither large nor tiny.
static float chains_f32(int64_t rounds)
{
    const vec factor = splat(0.5f), term = splat(1.0f);
    vec sum[CHAINS];
    for (int i = 0; i < CHAINS; i++)
        sum[i] = splat((float)(3 + i)); // not the limit, which stays as it is
    for (int64_t round = 0; round < rounds * STEPS; round++)
        for (int i = 0; i < CHAINS; i++)
            sum[i] = sum[i] * factor + term;
    vec all = splat(0);
    for (int i = 0; i < CHAINS; i++)
        all += sum[i];
    return sum_lanes(all);
}

#if defined(__AVX512BF16__)
static float chains_bf16(int64_t rounds)
{
    __m512 sum[CHAINS];
    const __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0x1p-10f), _mm512_set1_ps(0x1p-10f));
    for (int i = 0; i < CHAINS; i++)
        sum[i] = _mm512_set1_ps((float)i);
    for (int64_t round = 0; round < rounds * STEPS; round++)
        for (int i = 0; i < CHAINS; i++)
            sum[i] = _mm512_dpbf16_ps(sum[i], a, a);
    __m512 all = _mm512_setzero_ps();
    for (int i = 0; i < CHAINS; i++)
        all = _mm512_add_ps(all, sum[i]);
    return _mm512_reduce_add_ps(all);
}

static bool multiplies_bf16(void)
{
    return true;
}
#else
static float chains_bf16(int64_t rounds)
{
    (void)rounds;
    return 0;
}

static bool multiplies_bf16(void)
{
    return false;
}
#endif

static double multiply_add(int threads, enum loam_dtype dtype, int64_t rounds)
{
    const bool bf16 = dtype == LOAM_BF16;
    const int pairs = bf16 ? 2 : 1; // products that one lane adds up
    double operations = 0, sums = 0;
    if (bf16 && !multiplies_bf16()) return 0;
#pragma omp parallel num_threads(threads) reduction(+ : operations, sums)
    {
        sums += (double)(bf16 ? chains_bf16(rounds) : chains_f32(rounds));
        operations += 2.0 * pairs * LANES * CHAINS * STEPS * (double)rounds;
    }
    return sums > 0 ? operations : 0; // the compiler must not remove the sums
}

// By itself: an array of vectors that is copied at once goes through memory, and waits there.
INLINE vec_uint load_words(const char *source)
{
    vec_uint words;
    memcpy(&words, source, sizeof words);
    return words;
}

static uint32_t read_block(const char *data)
{
    enum { STREAM = READ_BLOCK / STREAMS };
    vec_uint sum[READ_CHAINS] = {0};
    for (size_t i = 0; i < STREAM; i += sizeof sum)
        for (int stream = 0; stream < STREAMS; stream++)
            for (int j = 0; j < READ_CHAINS; j++)
                sum[j] += load_words(data + stream * STREAM + i + (size_t)j * sizeof(vec_uint));
    const vec_uint all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    uint32_t total = 0;
    for (int lane = 0; lane < LANES; lane++)
        total += all[lane];
    return total;
}

static uint64_t read_all(int threads, const void *data, size_t bytes)
{
    const int64_t blocks = (int64_t)(bytes / READ_BLOCK);
    uint64_t total = 0;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(+ : total)
    for (int64_t i = 0; i < blocks; i++)
        total += read_block((const char *)data + i * READ_BLOCK);
    return total;
}

const struct loam_limits CPU_NAME(limits) = {.multiply_add = multiply_add, .read = read_all};
