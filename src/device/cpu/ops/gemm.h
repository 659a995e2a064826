// Matrix products with sums in f32, by the kernels that gemm_kernel.h describes: where oneDNN has none (bf16
// below AVX-512 BF16, operands of two dtypes), or a slower one (bf16 by AVX-512 BF16, f32 by AVX-512).
#ifndef LOAM_DEVICE_CPU_OPS_GEMM_H
#define LOAM_DEVICE_CPU_OPS_GEMM_H

#include "device/cpu/cpu.h"

// A matrix as a product reads it: one of the two strides is 1.
struct gemm_operand {
    const void *data;
    int64_t row, column;   // elements from row to row, from column to column
    enum loam_dtype dtype; // f32, bf16 or f16
};

// Sums of a product: of columns that share a multiple of the context's tile columns, and of rows that are one
// thread's.
struct gemm_tile {
    const float *sums; // [rows, sums_row]; whole vectors can be read
    int64_t sums_row;
    int64_t row, rows, column, columns; // of c
};

// c [m, n] = a [m, k] b [k, n] + bias [n] + add [m, n], rounded once; or what `finish` makes of a b.
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
    // NULL: as above. Else it gets each tile once, from any thread, and may write to the tile's places of c;
    // c may be absent, and bias and add must be.
    void (*finish)(void *context, const struct gemm_tile *tile);
    void *context;
};

// Bytes of scratch for products of up to m rows, n columns and sums of k.
size_t loam_cpu_gemm_scratch(const struct cpu_context *context, const struct gemm_kernel *kernel, int64_t m,
                             int64_t n, int64_t k, int threads);
// Each element's sum runs in one order, whatever the number of threads.
void loam_cpu_gemm(const struct cpu_context *context, const struct gemm_kernel *kernel,
                   const struct gemm *gemm, void *scratch, int threads);

#endif
