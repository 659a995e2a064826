// Vectors of f32 for the files of this directory, which are compiled once for each level of instructions
// (portable, avx2, avx512: cmake/LoamCpu.cmake) by the compilers' vector types; cpu.c picks a level at run
// time.
#ifndef LOAM_DEVICE_CPU_SIMD_VECTOR_H
#define LOAM_DEVICE_CPU_SIMD_VECTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "tensor/tensor.h"

#if defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX2__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif

typedef float vec __attribute__((vector_size(LANES * 4)));
typedef int32_t vec_int __attribute__((vector_size(LANES * 4)));
typedef uint32_t vec_uint __attribute__((vector_size(LANES * 4)));
typedef uint16_t vec_half __attribute__((vector_size(LANES * 2)));
typedef double vec_double __attribute__((vector_size(LANES * 8)));

#define INLINE static inline __attribute__((always_inline))

INLINE vec splat(float value)
{
    return value - (vec){0};
}
INLINE vec select_vec(vec_int mask, vec yes,
                      vec no) // mask: a comparison's, all ones or all zeros in each lane
{
    return (vec)((mask & (vec_int)yes) | (~mask & (vec_int)no));
}
INLINE vec max_vec(vec a, vec b) // a where b is NaN
{
    return select_vec(a < b, b, a);
}
INLINE float sum_lanes(vec v)
{
    float sum = 0;
    for (int i = 0; i < LANES; i++)
        sum += v[i];
    return sum;
}
INLINE vec_int lane_index(void)
{
    vec_int index;
    for (int i = 0; i < LANES; i++)
        index[i] = i;
    return index;
}

INLINE vec load_f32(const float *source)
{
    vec v;
    memcpy(&v, source, sizeof v);
    return v;
}
INLINE void store_f32(float *target, vec v)
{
    memcpy(target, &v, sizeof v);
}
INLINE vec load_bf16(const uint16_t *source)
{
    vec_half v;
    memcpy(&v, source, sizeof v);
    return (vec)(__builtin_convertvector(v, vec_uint) << 16);
}
INLINE void store_bf16(uint16_t *target, vec v) // to nearest even; a NaN keeps a bit of its payload
{
    const vec_uint bits = (vec_uint)v, rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
    const vec_uint nan = (vec_uint)(v != v);
    const vec_half half = __builtin_convertvector((nan & ((bits >> 16) | 0x40)) | (~nan & rounded), vec_half);
    memcpy(target, &half, sizeof half);
}

// Elements [i, i + LANES) of an array of n; lanes past the end read 0 and are not written.
INLINE vec load(const void *array, int64_t i, int64_t n, bool bf16)
{
    if (n - i >= LANES)
        return bf16 ? load_bf16((const uint16_t *)array + i) : load_f32((const float *)array + i);
    float lanes[LANES] = {0};
    uint16_t halves[LANES] = {0};
    if (!bf16) memcpy(lanes, (const float *)array + i, (size_t)(n - i) * sizeof(float));
    if (bf16) memcpy(halves, (const uint16_t *)array + i, (size_t)(n - i) * sizeof(uint16_t));
    return bf16 ? load_bf16(halves) : load_f32(lanes);
}
INLINE void store(void *array, int64_t i, int64_t n, vec v, bool bf16)
{
    if (n - i >= LANES) {
        if (bf16) store_bf16((uint16_t *)array + i, v);
        if (!bf16) store_f32((float *)array + i, v);
        return;
    }
    float lanes[LANES];
    uint16_t halves[LANES];
    if (bf16) store_bf16(halves, v);
    if (!bf16) store_f32(lanes, v);
    if (bf16) memcpy((uint16_t *)array + i, halves, (size_t)(n - i) * sizeof(uint16_t));
    if (!bf16) memcpy((float *)array + i, lanes, (size_t)(n - i) * sizeof(float));
}

// n elements to f32.
INLINE void widen(float *target, const void *source, int64_t n, bool bf16)
{
    for (int64_t i = 0; i < n; i += LANES)
        store(target, i, n, load(source, i, n, bf16), false);
}

// exp(x) to 2 units in the last place: x = n ln 2 + r with |r| <= ln 2 / 2, exp(r) by its series. Below -87
// it ends at 1e-38 instead of 0, above 88 at 1.7e38.
INLINE vec exp_vec(vec x)
{
    x = select_vec(x < -87.0f, splat(-87.0f), x);
    x = select_vec(x > 88.0f, splat(88.0f), x);
    const vec magic = splat(12582912.0f); // 1.5 * 2^23: adding it rounds to an integer, held in the low bits
    const vec shifted = x * 1.44269504f + magic, n = shifted - magic;
    const vec r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    vec p = splat(1.0f / 5040);
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    const vec_uint exponent = ((vec_uint)shifted + 127) << 23; // the bits of magic are shifted out
    return p * (vec)exponent;
}

#endif
