// Numbers of fixed size in every dialect of the kernels, and on the host.
#ifndef LOAM_DEVICE_GPU_KERNELS_TYPES_H
#define LOAM_DEVICE_GPU_KERNELS_TYPES_H

typedef int i32;
typedef unsigned u32;
typedef unsigned short u16;
typedef float f32;
#if defined(__OPENCL_C_VERSION__)
typedef long i64;
typedef ulong u64;
#else
typedef long long i64;
typedef unsigned long long u64;
#endif

#endif
