// Matrix products with sums in f32, by the kernels of gemm_kernel.h: where oneDNN has none (bf16 below
// AVX-512 BF16, operands of two dtypes), or a slower one (bf16 by AVX-512 BF16, f32 by AVX-512).
#ifndef LOAM_DEVICE_CPU_SIMD_GEMM_H
#define LOAM_DEVICE_CPU_SIMD_GEMM_H

#include "device/cpu/simd/level.h"

struct gemm_kernel;

// A matrix as a product reads it: one of the two strides is 1.
struct gemm_operand {
    const void *data;
    int64_t row, column;   // elements from row to row, from column to column
    enum loam_dtype dtype; // f32, bf16 or f16
};

// c [m, n] = a [m, k] b [k, n] + bias [n] + add [m, n], rounded once.
struct gemm {
    int64_t m, n, k;
    struct gemm_operand a;
    struct gemm_operand b;
    const void *bias; // NULL: none
    bool bias_bf16;
    const void *add; // NULL: none; rows add_row apart, dtype of c; may be c itself
    int64_t add_row;
    void *c;
    int64_t c_row;
    bool c_bf16;
};

#define cpu_gemm CPU_JOIN(gemm, CPU_LEVEL)
#define cpu_gemm_scratch CPU_JOIN(gemm_scratch, CPU_LEVEL)

// Bytes of scratch for products of up to m rows, n columns and sums of k.
size_t cpu_gemm_scratch(const struct gemm_kernel *kernel, int64_t m, int64_t n, int64_t k, int threads);
// Each element's sum runs in one order, whatever the number of threads.
void cpu_gemm(const struct gemm *gemm, const struct gemm_kernel *kernel, void *scratch, int threads);

#endif
