// Sums of a block in a fixed order, and sums of f64 by whole numbers, because kernels have no double.
#ifndef LOAM_DEVICE_GPU_KERNELS_SUMS_H
#define LOAM_DEVICE_GPU_KERNELS_SUMS_H

#include "device/gpu/kernels/values.h"

// The threads of a block in a square: the first ones combine a column each, and every thread the columns.
enum { SQUARE = 16 };

// How the values of a block's threads are combined: a constant in each call of block_combine.
enum { ADD_F32, MOST_F32, ADD_I32, LEAST_I32 };

// Combines two values, given by their bits.
DEVICE u32 combine(u32 a, u32 b, i32 how)
{
    if (how == ADD_F32) return float_bits(bits_float(a) + bits_float(b));
    if (how == MOST_F32) return float_bits(fmaxf(bits_float(a), bits_float(b)));
    if (how == ADD_I32) return a + b;
    return (i32)b < (i32)a ? b : a;
}

// Combines the values of the BLOCK_THREADS threads of the block, for each of them; `shared` has a place for each.
DEVICE u32 block_combine(u32 value, LOCAL u32 *shared, i32 how)
{
    shared[THREAD] = value;
    BARRIER();
    for (i32 i = 1; i < SQUARE && THREAD < SQUARE; i++)
        shared[THREAD] = combine(shared[THREAD], shared[i * SQUARE + THREAD], how);
    BARRIER();
    u32 all = shared[0];
    for (i32 i = 1; i < SQUARE; i++)
        all = combine(all, shared[i], how);
    BARRIER();
    return all;
}

DEVICE f32 block_sum(f32 value, LOCAL void *shared)
{
    return bits_float(block_combine(float_bits(value), (LOCAL u32 *)shared, ADD_F32));
}

DEVICE f32 block_max(f32 value, LOCAL void *shared)
{
    return bits_float(block_combine(float_bits(value), (LOCAL u32 *)shared, MOST_F32));
}

DEVICE i32 block_count(i32 value, LOCAL void *shared)
{
    return (i32)block_combine((u32)value, (LOCAL u32 *)shared, ADD_I32);
}

DEVICE i32 block_least(i32 value, LOCAL void *shared)
{
    return (i32)block_combine((u32)value, (LOCAL u32 *)shared, LEAST_I32);
}

// ---- f64, as its bits ----

#define F64_HIDDEN ((u64)1 << 52) // the bit of the significand that is not stored
#define F64_SIGN ((u64)1 << 63)
#define F64_INFINITE ((u64)0x7ff << 52)

// x^2, exact; infinite or NaN where x is.
DEVICE u64 f64_square(f32 x)
{
    const u32 bits = float_bits(x) & 0x7fffffffu;
    if (bits >= 0x7f800000u) return F64_INFINITE | (u64)(bits & 0x7fffffu);
    if (bits == 0) return 0;
    u32 significand = bits & 0x7fffffu;
    i32 exponent = (i32)(bits >> 23) - 150; // x = significand 2^exponent
    if (bits >= 0x800000u)
        significand |= 0x800000u;
    else
        exponent++;
    while (significand < 0x800000u) {
        significand <<= 1;
        exponent--;
    }
    u64 square = (u64)significand * significand << 5; // in [2^51, 2^53)
    exponent = 2 * exponent - 5;
    if (square < F64_HIDDEN) {
        square <<= 1;
        exponent--;
    }
    return ((u64)(exponent + 1075) << 52) + (square - F64_HIDDEN);
}

// The significand with three more bits for the rounding.
DEVICE u64 f64_significand(u64 bits)
{
    return ((bits & (F64_HIDDEN - 1)) + ((bits & ~F64_SIGN) >= F64_HIDDEN ? F64_HIDDEN : 0)) << 3;
}

// The significand `sum` with three more bits, rounded to nearest even, times a power of 2.
DEVICE u64 f64_round(u64 sum, u64 exponent)
{
    if (sum >= F64_HIDDEN << 4) {
        sum = sum >> 1 | (sum & 1);
        exponent++;
    }
    while (sum < F64_HIDDEN << 3 && exponent > 1) {
        sum <<= 1;
        exponent--;
    }
    const u64 rest = sum & 7;
    sum >>= 3;
    if (rest > 4 || (rest == 4 && (sum & 1) != 0)) sum++;
    const u64 result = (exponent << 52) + sum - F64_HIDDEN;
    return result < F64_INFINITE ? result : F64_INFINITE;
}

// a + b
DEVICE u64 f64_add(u64 a, u64 b)
{
    const i32 ordered = (a & ~F64_SIGN) >= (b & ~F64_SIGN);
    const u64 large = ordered ? a : b, small = ordered ? b : a;
    const u64 sign = large & F64_SIGN, differ = (large ^ small) & F64_SIGN;
    if ((large & F64_INFINITE) == F64_INFINITE)
        return differ && (large ^ small) == F64_SIGN ? F64_INFINITE | 1 : large;
    u64 exponent = (large & ~F64_SIGN) >> 52, from = (small & ~F64_SIGN) >> 52;
    if (exponent == 0) exponent = 1;
    if (from == 0) from = 1;
    const u64 shift = exponent - from, sum = f64_significand(large);
    u64 added = f64_significand(small);
    if (shift > 58)
        added = added != 0;
    else
        added = added >> shift | ((added & (((u64)1 << shift) - 1)) != 0);
    if (differ && sum == added) return 0;
    return sign | f64_round(differ ? sum - added : sum + added, exponent);
}

DEVICE i32 f64_is_finite(u64 bits)
{
    return (bits & F64_INFINITE) != F64_INFINITE;
}

// sqrt(x) in f32; x is not negative.
DEVICE f32 f64_sqrt(u64 bits)
{
    if (bits >= F64_INFINITE) return bits_float(bits > F64_INFINITE ? 0x7fc00000u : 0x7f800000u);
    i32 exponent = (i32)(bits >> 52) - 1023;
    f32 significand = 1.0f + (f32)(bits & (F64_HIDDEN - 1)) * 2.220446049250313e-16f; // 2^-52
    if ((exponent & 1) != 0) {
        significand *= 2.0f;
        exponent--;
    }
    exponent /= 2;
    if (exponent < -126) return 0.0f;
    return sqrtf(significand) * bits_float(exponent > 127 ? 0x7f800000u : (u32)(exponent + 127) << 23);
}

#endif
