// The dialect of the kernels: one source for nvcc, NVRTC, OpenCL C 1.2 and gcc. It is the C that all four accept.
//
// A kernel is written as
//
//     KERNEL(name)(BUFFER(x), BUFFER(y), PARAMS(name))
//     {
//         READ(f32, x);   // x, a pointer to GLOBAL const f32
//         WRITE(void, y); // y, an address for load() and store(), whose dtype is a parameter
//         SHARED(f32, tile, 0);
//         ... p.columns ...
//     }
//
// with a row in kernel_list.def and struct name_params in params.h. KERNEL_OF(name, blocks) leaves registers for that
// number of blocks on a processor. READ and WRITE give 0 for a buffer that is absent. Where the device's memory has
// handles instead of addresses, BUFFER is a handle and an offset.
//
//     THREAD, BLOCK_X, BLOCK_Y, BLOCK_Z   ids; blocks have one dimension
//     BARRIER()                           every thread of the block, at this very place
//     GLOBAL, LOCAL                       address spaces: the device's memory, and the block's shared memory
//     DEVICE                              in front of a function that kernels call
//     float_bits(f), bits_float(u)        the bits of an f32
//     UNROLL_FOR (...)                    a loop whose index selects elements of an array in registers
//     NO_UNROLL_FOR (...)                 a loop whose copies would only take time to compile
//
// Where HAS_WARPS is 1 (and HAS_BF16_PRODUCTS for products in bf16), warps of 32 threads run these in lockstep:
//
//     READ_AGAIN(index)                   registers do not keep parameters of this index that are read behind it
//     shuffle_xor(value, mask)            the value of lane (lane ^ mask)
//     mma_16x8x16_f16, _bf16(c, a, b)     c [16, 8] += a [16, 16] b [8, 16]T: c 4 f32, a 4 and b 2 pairs a lane
//     load_matrices(out, row)             four 8x8 matrices of 16-bit numbers; lane l has row l % 8 of matrix l / 8
//     load_matrices_transposed(out, row)  the same, and each matrix is transposed
//     pair_f16(low, high), pair_bf16      two f32, rounded, as a pair of 16-bit numbers
//     power_of_2(x), reciprocal(x)        2^x and 1 / x to a few units of the last place
//     copy_async(to, from)                16 bytes to shared memory, both aligned to them
//     copy_start(held, to, from, bytes)   the same of the first `bytes` only, an even number; the rest is zeroed.
//     copy_finish(held, to)               Without asynchronous copies the bytes stay in struct piece `held` until
//                                         copy_finish, so that what runs between them hides the wait for memory.
//     copy_async_commit(), copy_async_wait(groups)   of both kinds of copies
//
// Element layouts of mma and load_matrices are those of PTX. Kernels keep to these rules: sums have a fixed order,
// no atomics on floats, no double, no pointers in params, no recursion, no variadic macros.
#ifndef LOAM_DEVICE_GPU_KERNELS_DIALECT_H
#define LOAM_DEVICE_GPU_KERNELS_DIALECT_H

#include "device/gpu/kernels/types.h"

// 16 bytes that are aligned to them, read and written at once.
struct __attribute__((aligned(16))) piece {
    u32 words[4];
};

#if defined(__OPENCL_C_VERSION__)
#include "device/gpu/kernels/dialect_opencl.h"
#elif defined(__CUDACC__) || defined(__CUDACC_RTC__)
#include "device/gpu/kernels/dialect_cuda.h"
#else
#include "device/gpu/kernels/dialect_fiber.h"
#endif

#define READ(type, name) GLOBAL const type *const name = (GLOBAL const type *)BUFFER_ADDRESS(name)
#define WRITE(type, name) GLOBAL type *const name = (GLOBAL type *)BUFFER_ADDRESS(name)
#define SHARED(type, name, first_byte) LOCAL type *const name = (LOCAL type *)(SHARED_MEMORY + (first_byte))

#endif
