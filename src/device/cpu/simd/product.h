// Matrix products as the ops ask for them: by oneDNN, or by gemm.c where it has none.
#ifndef LOAM_DEVICE_CPU_SIMD_PRODUCT_H
#define LOAM_DEVICE_CPU_SIMD_PRODUCT_H

#include "device/cpu/simd/gemm.h"

#define cpu_product CPU_JOIN(product, CPU_LEVEL)

// A matrix as it is, and transposed.
static inline struct gemm_operand cpu_operand(const struct loam_tensor *tensor)
{
    return (struct gemm_operand){tensor->data, tensor->stride[0], 1, tensor->dtype};
}
static inline struct gemm_operand cpu_transposed(const struct loam_tensor *tensor)
{
    return (struct gemm_operand){tensor->data, 1, tensor->stride[0], tensor->dtype};
}

// Whether a product of operands of these dtypes is gemm.c's: they differ, or are bf16 and the processor has
// no product of that.
static inline bool cpu_product_is_ours(const struct loam_device *device, enum loam_dtype a, enum loam_dtype b)
{
    return a != b || (a == LOAM_BF16 && !device->native_bf16);
}

// Bytes of scratch for a product a [m, k] b [k, n]; none where it is oneDNN's.
static inline size_t cpu_product_scratch(const struct loam_device *device, enum loam_dtype a,
                                         enum loam_dtype b, int64_t m, int64_t n, int64_t k)
{
    return cpu_product_is_ours(device, a, b) ? cpu_gemm_scratch(m, n, k, device->threads) : 0;
}

// A failure is the stream's as well.
enum loam_status cpu_product(struct loam_stream *stream, const struct gemm *product, void *scratch);

#endif
