// C11 on the CPU: each thread of a block is a fiber of fiber/, which switches at the functions below.
#ifndef LOAM_DEVICE_GPU_KERNELS_DIALECT_FIBER_H
#define LOAM_DEVICE_GPU_KERNELS_DIALECT_FIBER_H

#include <math.h>
#include <string.h>

#include "device/gpu/kernels/params.h"

// The ids of the thread that runs, and the memory that its block shares.
struct loam_fiber_ids {
    i32 thread;
    i32 block[3];
    char *shared;
};
extern _Thread_local struct loam_fiber_ids loam_fiber_ids;

#define KERNEL(name) void loam_kernel_##name
#define KERNEL_OF(name, blocks) KERNEL(name)
#define BUFFER(name) void *name##_buffer
#define PARAMS(name) const struct name##_params p
#define BUFFER_ADDRESS(name) name##_buffer
#define SHARED_MEMORY loam_fiber_ids.shared
#define GLOBAL
#define LOCAL
#define DEVICE static inline
#define THREAD (loam_fiber_ids.thread)
#define BLOCK_X (loam_fiber_ids.block[0])
#define BLOCK_Y (loam_fiber_ids.block[1])
#define BLOCK_Z (loam_fiber_ids.block[2])
#define HAS_WARPS 1
#define HAS_BF16_PRODUCTS 1
#define UNROLL_FOR for
#define NO_UNROLL_FOR for
#define READ_AGAIN(index) ((void)(index))
#define INFINITE INFINITY

// `line` tells one barrier, or one step of a warp, from another.
void loam_fiber_barrier(i32 line);
f32 loam_fiber_shuffle_xor(f32 value, i32 mask, i32 line);
void loam_fiber_mma(f32 c[4], const u32 a[4], const u32 b[2], f32 (*widen)(u16 bits), i32 line);
void loam_fiber_load_matrices(u32 out[4], const void *row, i32 transposed, i32 line);
// The copy takes place when the thread waits for it, so that a missing wait shows.
void loam_fiber_copy_async(void *to, const void *from);
void loam_fiber_copy_start(struct piece *held, void *to, const void *from, i32 bytes);
void loam_fiber_copy_finish(const struct piece *held, void *to);
void loam_fiber_copy_async_commit(void);
void loam_fiber_copy_async_wait(i32 groups);

#define BARRIER() loam_fiber_barrier(__LINE__)
#define shuffle_xor(value, mask) loam_fiber_shuffle_xor(value, mask, __LINE__)
#define mma_16x8x16_f16(c, a, b) loam_fiber_mma(c, a, b, f16_to_f32, __LINE__)
#define mma_16x8x16_bf16(c, a, b) loam_fiber_mma(c, a, b, bf16_to_f32, __LINE__)
#define load_matrices(out, row) loam_fiber_load_matrices(out, row, 0, __LINE__)
#define load_matrices_transposed(out, row) loam_fiber_load_matrices(out, row, 1, __LINE__)
#define pair_f16(low, high) ((u32)f32_to_f16(low) | (u32)f32_to_f16(high) << 16)
#define pair_bf16(low, high) ((u32)f32_to_bf16(low) | (u32)f32_to_bf16(high) << 16)
#define power_of_2(x) exp2f(x)
#define reciprocal(x) (1.0f / (x))
#define copy_async(to, from) loam_fiber_copy_async(to, from)
#define copy_start(held, to, from, bytes) loam_fiber_copy_start(held, to, from, bytes)
#define copy_finish(held, to) loam_fiber_copy_finish(held, to)
#define copy_async_commit() loam_fiber_copy_async_commit()
#define copy_async_wait(groups) loam_fiber_copy_async_wait(groups)

static inline u32 float_bits(f32 value)
{
    u32 bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline f32 bits_float(u32 bits)
{
    f32 value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// Each kernel as a function of its buffers and its parameters.
#define LOAM_BUFFERS_1 void *
#define LOAM_BUFFERS_2 LOAM_BUFFERS_1, void *
#define LOAM_BUFFERS_3 LOAM_BUFFERS_2, void *
#define LOAM_BUFFERS_4 LOAM_BUFFERS_3, void *
#define LOAM_BUFFERS_5 LOAM_BUFFERS_4, void *
#define LOAM_BUFFERS_6 LOAM_BUFFERS_5, void *
#define LOAM_BUFFERS_7 LOAM_BUFFERS_6, void *
#define LOAM_BUFFERS_8 LOAM_BUFFERS_7, void *
#define LOAM_BUFFERS_9 LOAM_BUFFERS_8, void *
#define LOAM_BUFFERS_10 LOAM_BUFFERS_9, void *
#define LOAM_BUFFERS_11 LOAM_BUFFERS_10, void *
#define LOAM_BUFFERS_12 LOAM_BUFFERS_11, void *
#define LOAM_BUFFERS_15 LOAM_BUFFERS_12, LOAM_BUFFERS_3
#define LOAM_BUFFERS_21 LOAM_BUFFERS_15, LOAM_BUFFERS_6
#define LOAM_KERNEL(name, buffers) void loam_kernel_##name(LOAM_BUFFERS_##buffers, struct name##_params p);
#include "device/gpu/kernels/kernel_list.def"
#undef LOAM_KERNEL

#endif
