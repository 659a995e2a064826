// OpenCL C 1.2. A buffer is a memory object and an offset into it. Local memory is aligned as the type of its argument is.
#ifndef LOAM_DEVICE_GPU_KERNELS_DIALECT_OPENCL_H
#define LOAM_DEVICE_GPU_KERNELS_DIALECT_OPENCL_H

#include "device/gpu/kernels/params.h"

#pragma OPENCL FP_CONTRACT OFF

#define KERNEL(name)                                                                                         \
    __kernel __attribute__((reqd_work_group_size(BLOCK_THREADS, 1, 1))) void loam_kernel_##name
#define KERNEL_OF(name, blocks) KERNEL(name)
#define BUFFER(name) __global char *name##_buffer, ulong name##_offset
#define PARAMS(name) const struct name##_params p, __local float4 *shared_memory
#define BUFFER_ADDRESS(name) (name##_buffer != 0 ? name##_buffer + name##_offset : 0)
#define SHARED_MEMORY ((__local char *)shared_memory)
#define GLOBAL __global
#define LOCAL __local
#define DEVICE static inline
#define THREAD ((i32)get_local_id(0))
#define BLOCK_X ((i32)get_group_id(0))
#define BLOCK_Y ((i32)get_group_id(1))
#define BLOCK_Z ((i32)get_group_id(2))
#define BARRIER() barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE)
#define HAS_WARPS 0
#define HAS_BF16_PRODUCTS 0
#define UNROLL_FOR for
#define NO_UNROLL_FOR for

#define float_bits(value) as_uint(value)
#define bits_float(value) as_float(value)
#define expf exp
#define logf log
#define log1pf log1p
#define erfcf erfc
#define sqrtf sqrt
#define sinf sin
#define cosf cos
#define fmaxf fmax
#define fminf fmin
#define INFINITE INFINITY

// OpenCL allows tanh an error of 5 units in the last place, also where it is 1: a GELU of a large negative x would be -3e-8 x.
DEVICE f32 tanhf(f32 x)
{
    return fabs(x) > 9.1f ? copysign(1.0f, x) : tanh(x);
}

#endif
