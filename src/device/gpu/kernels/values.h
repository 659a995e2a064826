// Values in memory: f32, f16 and bf16, of which the halves are u16. And loam's random numbers.
#ifndef LOAM_DEVICE_GPU_KERNELS_VALUES_H
#define LOAM_DEVICE_GPU_KERNELS_VALUES_H

#include "device/gpu/kernels/dialect.h"
#include "device/gpu/kernels/params.h"

DEVICE f32 bf16_to_f32(u16 bits)
{
    return bits_float((u32)bits << 16);
}

// To nearest even; NaN stays NaN.
DEVICE u16 f32_to_bf16(f32 value)
{
    const u32 bits = float_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (u16)(bits >> 16 | 0x40u);
    return (u16)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

DEVICE f32 f16_to_f32(u16 bits)
{
    const u32 sign = (u32)(bits & 0x8000u) << 16, magnitude = bits & 0x7fffu;
    if (magnitude >= 0x7c00u) return bits_float(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
    if (magnitude >= 0x400u) return bits_float(sign | ((magnitude << 13) + (112u << 23)));
    return bits_float(sign | float_bits((f32)magnitude * 5.9604644775390625e-8f)); // a multiple of 2^-24
}

// To nearest even; NaN stays NaN.
DEVICE u16 f32_to_f16(f32 value)
{
    const u32 bits = float_bits(value), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return (u16)(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u) return (u16)(sign | 0x7c00u); // 65520 rounds to infinity
    if (magnitude >= 0x38800000u)
        return (u16)(sign | (magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13);
    // Below 2^-14: at 0.5 the last bit of an f32 is worth 2^-24, as the last of a subnormal f16.
    return (u16)(sign | (float_bits(bits_float(magnitude) + 0.5f) - float_bits(0.5f)));
}

// Element i of a tensor of a dtype that is known at run time: the same for the whole launch.
DEVICE f32 load(GLOBAL const void *x, i32 dtype, i64 i)
{
    if (dtype == DTYPE_F32) return ((GLOBAL const f32 *)x)[i];
    const u16 bits = ((GLOBAL const u16 *)x)[i];
    return dtype == DTYPE_BF16 ? bf16_to_f32(bits) : f16_to_f32(bits);
}

DEVICE void store(GLOBAL void *x, i32 dtype, i64 i, f32 value)
{
    if (dtype == DTYPE_F32)
        ((GLOBAL f32 *)x)[i] = value;
    else
        ((GLOBAL u16 *)x)[i] = dtype == DTYPE_BF16 ? f32_to_bf16(value) : f32_to_f16(value);
}

// Block `counter` of Philox4x32-10, as base/rng.c.
DEVICE void random_block(u64 seed, u64 stream, u64 counter, u32 words[4])
{
    u32 key0 = (u32)seed, key1 = (u32)(seed >> 32);
    u32 x0 = (u32)counter, x1 = (u32)(counter >> 32), x2 = (u32)stream, x3 = (u32)(stream >> 32);
    for (i32 round = 0; round < 10; round++) {
        const u64 product0 = (u64)0xD2511F53u * x0, product1 = (u64)0xCD9E8D57u * x2;
        x0 = (u32)(product1 >> 32) ^ x1 ^ key0;
        x1 = (u32)product1;
        x2 = (u32)(product0 >> 32) ^ x3 ^ key1;
        x3 = (u32)product0;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    words[0] = x0;
    words[1] = x1;
    words[2] = x2;
    words[3] = x3;
}

// `run` elements from element i on: one, or RUN that are aligned to 16 bytes and are read at once. The others, and those
// of an absent x, are 0.
DEVICE void load_run(f32 values[RUN], GLOBAL const void *x, i32 dtype, i64 i, i32 run)
{
    UNROLL_FOR (i32 e = 0; e < RUN; e++)
        values[e] = 0.0f;
    if (x == 0) return;
    if (run == 1) {
        values[0] = load(x, dtype, i);
        return;
    }
    if (dtype == DTYPE_F32) {
        const struct piece first = ((GLOBAL const struct piece *)x)[i / 4],
                           second = ((GLOBAL const struct piece *)x)[i / 4 + 1];
        UNROLL_FOR (i32 e = 0; e < 4; e++) {
            values[e] = bits_float(first.words[e]);
            values[e + 4] = bits_float(second.words[e]);
        }
        return;
    }
    const struct piece halves = ((GLOBAL const struct piece *)x)[i / 8];
    UNROLL_FOR (i32 e = 0; e < RUN; e++) {
        const u16 bits = (u16)(halves.words[e / 2] >> e % 2 * 16);
        values[e] = dtype == DTYPE_BF16 ? bf16_to_f32(bits) : f16_to_f32(bits);
    }
}

DEVICE void store_run(GLOBAL void *x, i32 dtype, i64 i, const f32 values[RUN], i32 run)
{
    if (run == 1) {
        store(x, dtype, i, values[0]);
        return;
    }
    struct piece first, second;
    if (dtype == DTYPE_F32) {
        UNROLL_FOR (i32 e = 0; e < 4; e++) {
            first.words[e] = float_bits(values[e]);
            second.words[e] = float_bits(values[e + 4]);
        }
        ((GLOBAL struct piece *)x)[i / 4] = first;
        ((GLOBAL struct piece *)x)[i / 4 + 1] = second;
        return;
    }
    UNROLL_FOR (i32 e = 0; e < 4; e++) {
        const f32 low = values[2 * e], high = values[2 * e + 1];
        first.words[e] = dtype == DTYPE_BF16 ? (u32)f32_to_bf16(low) | (u32)f32_to_bf16(high) << 16
                                             : (u32)f32_to_f16(low) | (u32)f32_to_f16(high) << 16;
    }
    ((GLOBAL struct piece *)x)[i / 8] = first;
}

// Word `index` % 4 of block `index` / 4.
DEVICE u32 random_word(u64 seed, u64 stream, u64 index)
{
    u32 words[4];
    random_block(seed, stream, index / 4, words);
    const u32 word = (u32)(index % 4);
    return word < 2 ? (word == 0 ? words[0] : words[1]) : (word == 2 ? words[2] : words[3]);
}

DEVICE i32 is_kept(u32 word, f32 p)
{
    return (f32)(word >> 8) * 5.9604644775390625e-8f >= p;
}

// What dropout multiplies element `index` by: 0, or 1 / (1 - p).
DEVICE f32 dropout_factor(struct dropout_params dropout, i64 index)
{
    if (dropout.p <= 0.0f) return 1.0f;
    const u32 word = random_word(dropout.seed, dropout.stream, dropout.counter + (u64)index);
    return is_kept(word, dropout.p) ? dropout.kept : 0.0f;
}

// Whether dropout keeps the elements `index` and the 7 after it, a bit each.
DEVICE u32 dropout_mask(struct dropout_params dropout, i64 index)
{
    const u64 first = dropout.counter + (u64)index;
    u32 mask = 0;
    if (dropout.p <= 0.0f) return 0xffu;
    NO_UNROLL_FOR (u64 block = first / 4; block <= (first + 7) / 4; block++) {
        u32 words[4];
        random_block(dropout.seed, dropout.stream, block, words);
        UNROLL_FOR (i32 i = 0; i < 4; i++) {
            const u64 bit = block * 4 + (u64)i - first; // that of an element before the first one is large
            if (bit < 8 && is_kept(words[i], dropout.p)) mask |= 1u << bit;
        }
    }
    return mask;
}

#endif
