// CUDA C++, by nvcc or NVRTC, without any header of the toolkit.
#ifndef LOAM_DEVICE_GPU_KERNELS_DIALECT_CUDA_H
#define LOAM_DEVICE_GPU_KERNELS_DIALECT_CUDA_H

#include "device/gpu/kernels/params.h"

extern __shared__ __align__(16) char loam_shared_memory[];

#define KERNEL(name) extern "C" __global__ void loam_kernel_##name
#define KERNEL_OF(name, blocks)                                                                              \
    extern "C" __global__ void __launch_bounds__(BLOCK_THREADS, blocks) loam_kernel_##name
#define BUFFER(name) void *name##_buffer
#define PARAMS(name)                                                                                         \
    const __grid_constant__ struct name##_params p // __grid_constant__: an index needs no copy
#define BUFFER_ADDRESS(name) name##_buffer
#define SHARED_MEMORY loam_shared_memory
#define GLOBAL
#define LOCAL
#define DEVICE static __device__ __forceinline__
#define THREAD ((i32)threadIdx.x)
#define BLOCK_X ((i32)blockIdx.x)
#define BLOCK_Y ((i32)blockIdx.y)
#define BLOCK_Z ((i32)blockIdx.z)
#define BARRIER() __syncthreads()
#define HAS_WARPS 1
#define UNROLL_FOR _Pragma("unroll") for
#define NO_UNROLL_FOR _Pragma("unroll 1") for
#define READ_AGAIN(index) asm volatile("" : "+r"(index))
#define INFINITE bits_float(0x7f800000u)

DEVICE u32 float_bits(f32 value)
{
    return __float_as_uint(value);
}

DEVICE f32 bits_float(u32 bits)
{
    return __uint_as_float(bits);
}

DEVICE f32 shuffle_xor(f32 value, i32 mask)
{
    return __shfl_xor_sync(0xffffffffu, value, mask);
}

// Two products over 8 of the 16 make the whole where the instruction of 16 does not exist.
DEVICE void mma_16x8x16_f16(f32 c[4], const u32 a[4], const u32 b[2])
{
#if __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    for (i32 i = 0; i < 2; i++)
        asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
                     "{%0,%1,%2,%3};"
                     : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                     : "r"(a[2 * i]), "r"(a[2 * i + 1]), "r"(b[i]));
#endif
}

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define HAS_BF16_PRODUCTS 1
DEVICE void mma_16x8x16_bf16(f32 c[4], const u32 a[4], const u32 b[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#else
#define HAS_BF16_PRODUCTS 0
#endif

DEVICE u32 shared_address(const void *address)
{
    return (u32)__cvta_generic_to_shared(address);
}

DEVICE void load_matrices(u32 out[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(shared_address(row))
                 : "memory");
}

DEVICE void load_matrices_transposed(u32 out[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(shared_address(row))
                 : "memory");
}

DEVICE u32 pair_f16(f32 low, f32 high)
{
    u32 pair;
#if __CUDA_ARCH__ >= 800
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
#else
    asm("{\n.reg .f16 low, high;\ncvt.rn.f16.f32 low, %1;\ncvt.rn.f16.f32 high, %2;\nmov.b32 %0, {low, "
        "high};\n}"
        : "=r"(pair)
        : "f"(low), "f"(high));
#endif
    return pair;
}

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
DEVICE u32 pair_bf16(f32 low, f32 high)
{
    u32 pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}
#endif

DEVICE f32 power_of_2(f32 x)
{
    f32 power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
    return power;
}

DEVICE f32 reciprocal(f32 x)
{
    f32 inverse;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(x));
    return inverse;
}

DEVICE void copy_async(void *to, const void *from)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from) : "memory");
#else
    *(uint4 *)to = *(const uint4 *)from;
#endif
}

DEVICE void copy_start(struct piece *held, void *to, const void *from, i32 bytes)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
                 "r"(bytes)
                 : "memory");
#else
    held->words[0] = held->words[1] = held->words[2] = held->words[3] = 0;
    if (bytes == 16)
        *held = *(const struct piece *)from;
    else
        UNROLL_FOR (i32 i = 0; i < 8; i++)
            if (2 * i < bytes) held->words[i / 2] |= (u32)((const u16 *)from)[i] << i % 2 * 16;
#endif
}

DEVICE void copy_finish(const struct piece *held, void *to)
{
#if __CUDA_ARCH__ < 800
    *(struct piece *)to = *held;
#endif
}

DEVICE void copy_async_commit(void)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

#if __CUDA_ARCH__ >= 800
#define copy_async_wait(groups) asm volatile("cp.async.wait_group %0;" ::"n"(groups) : "memory")
#else
#define copy_async_wait(groups) ((void)(groups))
#endif

#endif
