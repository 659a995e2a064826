// Matrix products as the ops ask for them: by gemm.c where it is the faster, else by oneDNN.
#ifndef LOAM_DEVICE_CPU_OPS_PRODUCT_H
#define LOAM_DEVICE_CPU_OPS_PRODUCT_H

#include "device/cpu/ops/gemm.h"

// A matrix as it is, and transposed.
static inline struct gemm_operand cpu_operand(const struct loam_tensor *tensor)
{
    return (struct gemm_operand){tensor->data, tensor->stride[0], 1, tensor->dtype};
}
static inline struct gemm_operand cpu_transposed(const struct loam_tensor *tensor)
{
    return (struct gemm_operand){tensor->data, 1, tensor->stride[0], tensor->dtype};
}

// Bytes of scratch for a product a [m, k] b [k, n]; none where it is oneDNN's, which may need some for a
// product that is finished by `finish`.
size_t loam_cpu_product_scratch(const struct loam_device *device, enum loam_dtype a, enum loam_dtype b,
                                int64_t m, int64_t n, int64_t k);
size_t loam_cpu_product_finish_scratch(const struct loam_device *device, enum loam_dtype a, enum loam_dtype b,
                                       int64_t m, int64_t n, int64_t k);

// A failure fails the stream, too.
enum loam_status loam_cpu_product(struct loam_stream *stream, const struct gemm *product, void *scratch);

#endif
