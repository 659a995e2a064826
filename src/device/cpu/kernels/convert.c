// Weights on their way from a file into memory: f16, bf16 and f32 to f32 or bf16. The threads share the
// elements out as they touch the target for the first time, so they share its page faults too.
#include "device/cpu/kernels/vector.h"

enum { BLOCK = 1 << 16 }; // elements of a task

INLINE vec load_as(const char *source, int64_t i, enum loam_dtype dtype)
{
    if (dtype == LOAM_F32) return load_f32((const float *)source + i);
    const uint16_t *halves = (const uint16_t *)source + i;
    return dtype == LOAM_F16 ? load_f16(halves) : load_bf16(halves);
}

// Whole vectors; the return is how many elements they were.
INLINE int64_t convert_vectors(char *target, enum loam_dtype to, const char *source, enum loam_dtype from,
                               int64_t n)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const vec v = load_as(source, i, from);
        if (to == LOAM_BF16) store_bf16_exactly((uint16_t *)target + i, v);
        if (to == LOAM_F32) store_f32((float *)target + i, v);
    }
    return i;
}

static void convert_block(char *target, enum loam_dtype to, const char *source, enum loam_dtype from,
                          int64_t n)
{
    int64_t done = 0;
    if (to == LOAM_F32 && from == LOAM_BF16) done = convert_vectors(target, LOAM_F32, source, LOAM_BF16, n);
    if (to == LOAM_F32 && from == LOAM_F16) done = convert_vectors(target, LOAM_F32, source, LOAM_F16, n);
    if (to == LOAM_BF16 && from == LOAM_F32) done = convert_vectors(target, LOAM_BF16, source, LOAM_F32, n);
    if (to == LOAM_BF16 && from == LOAM_F16) done = convert_vectors(target, LOAM_BF16, source, LOAM_F16, n);
    // The remaining elements, and pairs of dtypes that loading never needs.
    loam_convert(target + done * (int64_t)loam_dtype_size(to), to,
                 source + done * (int64_t)loam_dtype_size(from), from, (size_t)(n - done));
}

cpu_convert CPU_NAME(convert);
void CPU_NAME(convert)(void *target, enum loam_dtype to, const void *source, enum loam_dtype from,
                       int64_t count, int threads)
{
    const int64_t target_size = (int64_t)loam_dtype_size(to), source_size = (int64_t)loam_dtype_size(from);
#pragma omp parallel for schedule(static) if (count > BLOCK) num_threads(threads)
    for (int64_t first = 0; first < count; first += BLOCK)
        convert_block((char *)target + first * target_size, to, (const char *)source + first * source_size,
                      from, count - first < BLOCK ? count - first : BLOCK);
}
