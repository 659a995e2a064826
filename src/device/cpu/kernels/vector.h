// Vectors of f32 by the compilers' vector types, for the files of this directory, which are compiled once for
// each level of instructions (cmake/LoamCpu.cmake).
#ifndef LOAM_DEVICE_CPU_KERNELS_VECTOR_H
#define LOAM_DEVICE_CPU_KERNELS_VECTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "device/cpu/kernels/level.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

typedef float vec __attribute__((vector_size(LANES * 4)));
typedef int32_t vec_int __attribute__((vector_size(LANES * 4)));
typedef uint32_t vec_uint __attribute__((vector_size(LANES * 4)));
typedef uint16_t vec_half __attribute__((vector_size(LANES * 2)));

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
INLINE vec_int splat_int(int32_t value)
{
    return value - (vec_int){0};
}
INLINE vec to_float(vec_int v)
{
    return __builtin_convertvector(v, vec);
}
// a > b ? a : b and a < b ? a : b, so b where either is NaN.
INLINE vec larger_vec(vec a, vec b)
{
#if defined(__AVX512F__)
    return (vec)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vec)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return select_vec(a > b, a, b);
#endif
}
INLINE vec smaller_vec(vec a, vec b)
{
#if defined(__AVX512F__)
    return (vec)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vec)_mm256_min_ps((__m256)a, (__m256)b);
#else
    return select_vec(a < b, a, b);
#endif
}
INLINE vec_int larger_int(vec_int a, vec_int b)
{
#if defined(__AVX512F__)
    return (vec_int)_mm512_max_epi32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (vec_int)_mm256_max_epi32((__m256i)a, (__m256i)b);
#else
    const vec_int mask = a > b;
    return (mask & a) | (~mask & b);
#endif
}
INLINE float sum_lanes(vec v)
{
    typedef float quad __attribute__((vector_size(16)));
    quad parts[LANES / 4];
    memcpy(parts, &v, sizeof v);
    for (int i = 1; i < LANES / 4; i++)
        parts[0] += parts[i];
    return (parts[0][0] + parts[0][2]) + (parts[0][1] + parts[0][3]);
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
INLINE vec_int load_int(const int32_t *source)
{
    vec_int v;
    memcpy(&v, source, sizeof v);
    return v;
}
INLINE void store_f32(float *target, vec v)
{
    memcpy(target, &v, sizeof v);
}
INLINE vec load_bf16(const uint16_t *source)
{
#if defined(__AVX512F__)
    const vec_uint wide = (vec_uint)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i_u *)source));
#elif defined(__AVX2__)
    const vec_uint wide = (vec_uint)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i_u *)source));
#else
    vec_half v;
    memcpy(&v, source, sizeof v);
    const vec_uint wide = __builtin_convertvector(v, vec_uint);
#endif
    return (vec)(wide << 16);
}
INLINE vec load_f16(const uint16_t *source)
{
#if defined(__AVX512F__)
    return (vec)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i_u *)source));
#elif defined(__AVX2__)
    return (vec)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i_u *)source));
#else
    vec v;
    loam_convert(&v, LOAM_F32, source, LOAM_F16, LANES);
    return v;
#endif
}
// To nearest even; a NaN keeps a bit of its payload.
INLINE void store_bf16_exactly(uint16_t *target, vec v)
{
#if defined(__AVX512F__)
    const __m512i bits = (__m512i)v;
    const __mmask16 odd = _mm512_test_epi32_mask(bits, _mm512_set1_epi32(0x10000)),
                    nan = _mm512_cmp_ps_mask((__m512)v, (__m512)v, _CMP_UNORD_Q);
    __m512i rounded = _mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF));
    rounded = _mm512_mask_add_epi32(rounded, odd, bits, _mm512_set1_epi32(0x8000));
    rounded = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
    const __m512i upper = _mm512_set_epi16(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 31, 29, 27, 25, 23,
                                           21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    _mm256_storeu_si256((__m256i_u *)target,
                        _mm512_castsi512_si256(_mm512_permutexvar_epi16(upper, rounded)));
#else
    const vec_uint bits = (vec_uint)v, rounded = bits + 0x7FFF + ((bits >> 16) & 1);
    const vec_uint nan = (vec_uint)(v != v);
    const vec_half half =
        __builtin_convertvector(((nan & (bits | 0x400000)) | (~nan & rounded)) >> 16, vec_half);
    memcpy(target, &half, sizeof half);
#endif
}
// Stores LANES elements as bf16, rounded to nearest even. The instruction of AVX-512 BF16 makes subnormal numbers zeros.
INLINE void store_bf16(uint16_t *target, vec v)
{
#if defined(__AVX512BF16__)
    _mm256_storeu_si256((__m256i_u *)target, (__m256i)_mm512_cvtneps_pbh((__m512)v));
#else
    store_bf16_exactly(target, v);
#endif
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
// Elements [i, i + LANES) of an array of n in f32, bf16 or f16; lanes past the end read 0.
INLINE vec load_any(const void *array, int64_t i, int64_t n, enum loam_dtype dtype)
{
    if (dtype != LOAM_F16) return load(array, i, n, dtype == LOAM_BF16);
    if (n - i >= LANES) return load_f16((const uint16_t *)array + i);
    uint16_t halves[LANES] = {0};
    memcpy(halves, (const uint16_t *)array + i, (size_t)(n - i) * sizeof(uint16_t));
    return load_f16(halves);
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

// rows[i][j] <- rows[j][i], for LANES rows: pairs of rows are interleaved by one element, by two, by four...
INLINE void transpose_vec(vec rows[LANES])
{
#if defined(__AVX512F__)
    __m512 a[LANES], b[LANES];
    for (int i = 0; i < LANES; i += 2) {
        a[i] = _mm512_unpacklo_ps((__m512)rows[i], (__m512)rows[i + 1]);
        a[i + 1] = _mm512_unpackhi_ps((__m512)rows[i], (__m512)rows[i + 1]);
    }
    for (int i = 0; i < LANES; i += 4)
        for (int j = 0; j < 2; j++) {
            const __m512d low = (__m512d)a[i + j], high = (__m512d)a[i + j + 2];
            b[i + 2 * j] = (__m512)_mm512_unpacklo_pd(low, high);
            b[i + 2 * j + 1] = (__m512)_mm512_unpackhi_pd(low, high);
        }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 2; j++) {
            a[i + 8 * j] = _mm512_shuffle_f32x4(b[i + 8 * j], b[i + 8 * j + 4], 0x88);
            a[i + 8 * j + 4] = _mm512_shuffle_f32x4(b[i + 8 * j], b[i + 8 * j + 4], 0xDD);
        }
    for (int i = 0; i < 8; i++) {
        rows[i] = (vec)_mm512_shuffle_f32x4(a[i], a[i + 8], 0x88);
        rows[i + 8] = (vec)_mm512_shuffle_f32x4(a[i], a[i + 8], 0xDD);
    }
#elif defined(__AVX2__)
    __m256 a[LANES], b[LANES];
    for (int i = 0; i < LANES; i += 2) {
        a[i] = _mm256_unpacklo_ps((__m256)rows[i], (__m256)rows[i + 1]);
        a[i + 1] = _mm256_unpackhi_ps((__m256)rows[i], (__m256)rows[i + 1]);
    }
    for (int i = 0; i < LANES; i += 4)
        for (int j = 0; j < 2; j++) {
            b[i + 2 * j] = _mm256_shuffle_ps(a[i + j], a[i + j + 2], 0x44);
            b[i + 2 * j + 1] = _mm256_shuffle_ps(a[i + j], a[i + j + 2], 0xEE);
        }
    for (int i = 0; i < 4; i++) {
        rows[i] = (vec)_mm256_permute2f128_ps(b[i], b[i + 4], 0x20);
        rows[i + 4] = (vec)_mm256_permute2f128_ps(b[i], b[i + 4], 0x31);
    }
#else
    float block[LANES][LANES], transposed[LANES][LANES];
    memcpy(block, rows, sizeof block);
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < LANES; j++)
            transposed[j][i] = block[i][j];
    memcpy(rows, transposed, sizeof block);
#endif
}

struct vec_pair {
    vec first, second;
};

// Of two vectors one after the other, the elements at even places, and those at odd places.
INLINE struct vec_pair split_places(struct vec_pair v)
{
#if defined(__AVX512F__)
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_or_epi32(even, _mm512_set1_epi32(1));
    return (struct vec_pair){(vec)_mm512_permutex2var_ps((__m512)v.first, even, (__m512)v.second),
                             (vec)_mm512_permutex2var_ps((__m512)v.first, odd, (__m512)v.second)};
#elif defined(__AVX2__)
    const __m256 even = _mm256_shuffle_ps((__m256)v.first, (__m256)v.second, 0x88),
                 odd = _mm256_shuffle_ps((__m256)v.first, (__m256)v.second, 0xDD);
    return (struct vec_pair){(vec)_mm256_permute4x64_pd((__m256d)even, 0xD8),
                             (vec)_mm256_permute4x64_pd((__m256d)odd, 0xD8)};
#else
    float places[2 * LANES], even[LANES], odd[LANES];
    memcpy(places, &v, sizeof places);
    for (int i = 0; i < LANES; i++) {
        even[i] = places[2 * i];
        odd[i] = places[2 * i + 1];
    }
    return (struct vec_pair){load_f32(even), load_f32(odd)};
#endif
}
// The inverse.
INLINE struct vec_pair join_places(struct vec_pair v)
{
#if defined(__AVX512F__)
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
    return (struct vec_pair){(vec)_mm512_permutex2var_ps((__m512)v.first, low, (__m512)v.second),
                             (vec)_mm512_permutex2var_ps((__m512)v.first, high, (__m512)v.second)};
#elif defined(__AVX2__)
    const __m256 low = _mm256_unpacklo_ps((__m256)v.first, (__m256)v.second),
                 high = _mm256_unpackhi_ps((__m256)v.first, (__m256)v.second);
    return (struct vec_pair){(vec)_mm256_permute2f128_ps(low, high, 0x20),
                             (vec)_mm256_permute2f128_ps(low, high, 0x31)};
#else
    float places[2 * LANES];
    for (int i = 0; i < LANES; i++) {
        places[2 * i] = v.first[i];
        places[2 * i + 1] = v.second[i];
    }
    return (struct vec_pair){load_f32(places), load_f32(places + LANES)};
#endif
}

// ---- pairs of 16-bit numbers, two to a lane ----

INLINE vec_int load_pairs(const void *source)
{
    vec_int v;
    memcpy(&v, source, sizeof v);
    return v;
}
INLINE vec_half load_half(const void *source)
{
    vec_half v;
    memcpy(&v, source, sizeof v);
    return v;
}
INLINE vec_half larger_half(vec_half a, vec_half b)
{
#if defined(__AVX512F__)
    return (vec_half)_mm256_max_epu16((__m256i)a, (__m256i)b);
#elif defined(__AVX2__)
    return (vec_half)_mm_max_epu16((__m128i)a, (__m128i)b);
#else
    const vec_half mask = (vec_half)(a > b);
    return (mask & a) | (~mask & b);
#endif
}
// The low halves of the lanes of both.
INLINE vec_int join_halves(vec_int low, vec_int high)
{
#if defined(__AVX2__) && !defined(__AVX512F__)
    return (vec_int)_mm256_blend_epi16((__m256i)low, (__m256i)(high << 16), 0xAA);
#else
    return (low & 0xFFFF) | (high << 16);
#endif
}
// Of two numbers that are not negative in each lane.
INLINE vec_int larger_halves(vec_int a, vec_int b)
{
#if defined(__AVX512F__)
    return (vec_int)_mm512_max_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (vec_int)_mm256_max_epi16((__m256i)a, (__m256i)b);
#else
    const vec_int high = (a >> 16) > (b >> 16), low = (a & 0xFFFF) > (b & 0xFFFF);
    return (((high & a) | (~high & b)) & (int32_t)0xFFFF0000) | (((low & a) | (~low & b)) & 0xFFFF);
#endif
}
// Numbers of 16 bits, those of `low` before those of `high`.
INLINE vec_int pack_halves(vec_int low, vec_int high)
{
#if defined(__AVX512F__)
    const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    return (vec_int)_mm512_permutexvar_epi64(order, _mm512_packs_epi32((__m512i)low, (__m512i)high));
#elif defined(__AVX2__)
    return (vec_int)_mm256_permute4x64_epi64(_mm256_packs_epi32((__m256i)low, (__m256i)high), 0xD8);
#else
    int16_t halves[2 * LANES];
    for (int i = 0; i < LANES; i++) {
        halves[i] = (int16_t)low[i];
        halves[LANES + i] = (int16_t)high[i];
    }
    vec_int pairs;
    memcpy(&pairs, halves, sizeof pairs);
    return pairs;
#endif
}
// sum + a.low b.low + a.high b.high in each lane.
INLINE vec_int add_products(vec_int sum, vec_int a, vec_int b)
{
#if defined(__AVX512F__)
    return sum + (vec_int)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return sum + (vec_int)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#else
    return sum + (a >> 16) * (b >> 16) + ((a << 16) >> 16) * ((b << 16) >> 16);
#endif
}

// exp(x) to 2 units in the last place: x = n ln 2 + r with |r| <= ln 2 / 2, exp(r) by a polynomial that is
// off by 3e-9 at most. Below -87 it ends at 1e-38 instead of 0, above 88 at 1.7e38; NaN stays NaN.
INLINE vec exp_vec(vec x)
{
    x = smaller_vec(splat(88.0f), larger_vec(splat(-87.0f), x));
    const vec magic = splat(12582912.0f); // 1.5 * 2^23: adding it rounds to an integer, held in the low bits
    const vec shifted = x * 1.44269504f + magic, n = shifted - magic;
    const vec r = (x - n * 0.693359375f) + n * 2.12194440e-4f, square = r * r;
    const vec high = (r * 0.00836879667f + 0.0416683964f) + square * 0.00138144323f;
    const vec p = (r + 1.0f) + square * ((r * 0.166665196f + 0.49999994f) + square * high);
    const vec_uint exponent = ((vec_uint)shifted + 127) << 23; // the bits of magic are shifted out
    return p * (vec)exponent;
}

// tanh(x) to 2 units in the last place: near 0 by a polynomial (Cephes' tanhf), elsewhere from exp(2 |x|).
INLINE vec tanh_vec(vec x)
{
    const vec square = x * x, magnitude = (vec)((vec_int)x & 0x7FFFFFFF);
    vec p = square * -5.70498872745e-3f + 2.06390887954e-2f;
    p = p * square - 5.37397155531e-2f;
    p = p * square + 1.33314422036e-1f;
    p = p * square - 3.33332819422e-1f;
    const vec far = 1.0f - 2.0f / (exp_vec(2.0f * magnitude) + 1.0f);
    const vec signed_far = (vec)((vec_int)far | ((vec_int)x & INT32_MIN));
    return select_vec(magnitude < 0.625f, x + x * (square * p), signed_far);
}

#endif
