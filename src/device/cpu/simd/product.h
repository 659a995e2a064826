// Matrix products as the ops ask for them: by oneDNN, or by gemm.c where the processor has no bf16 product.
#ifndef LOAM_DEVICE_CPU_SIMD_PRODUCT_H
#define LOAM_DEVICE_CPU_SIMD_PRODUCT_H

#include "device/cpu/simd/gemm.h"

#define cpu_product CPU_JOIN(product, CPU_LEVEL)

// A matrix as it is, and transposed.
static inline struct gemm_operand cpu_operand(const struct loam_tensor *tensor)
{
    return (struct gemm_operand){tensor->data, tensor->stride[0], 1, tensor->dtype == LOAM_BF16};
}
static inline struct gemm_operand cpu_transposed(const struct loam_tensor *tensor)
{
    return (struct gemm_operand){tensor->data, 1, tensor->stride[0], tensor->dtype == LOAM_BF16};
}

// Whether operands of which one is `dtype` are widened: then both may be of either dtype, else they must
// agree.
static inline bool cpu_widens(const struct loam_device *device, enum loam_dtype dtype)
{
    return dtype == LOAM_BF16 && !device->native_bf16;
}

// Bytes of scratch for a product of m rows and n columns; none without widening.
static inline size_t cpu_product_scratch(const struct loam_device *device, enum loam_dtype dtype, int64_t m,
                                         int64_t n)
{
    return cpu_widens(device, dtype) ? cpu_gemm_scratch(m, n, device->threads) : 0;
}

// A failure is the stream's as well.
enum loam_status cpu_product(struct loam_stream *stream, const struct gemm *product, void *scratch);

#endif
