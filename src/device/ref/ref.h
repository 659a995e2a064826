// The reference ops: each the plain formula of ops.h, element by element, one thread. Arithmetic and sums are
// f64 and rounded once, where a result is stored: what an op differs from it by is that op's own rounding.
#ifndef LOAM_DEVICE_REF_REF_H
#define LOAM_DEVICE_REF_REF_H

#include "device/device.h"

#define LOAM_FUSED_OP(name)
#define LOAM_OP(name)                                                                                        \
    enum loam_status loam_ref_##name(struct loam_stream *stream, const struct loam_##name##_args *args);
#include "device/op_list.def"
#undef LOAM_OP

size_t loam_ref_lora_backward_scratch(const struct loam_device *device,
                                      const struct loam_lora_backward_args *args);
size_t loam_ref_attention_forward_scratch(const struct loam_device *device,
                                          const struct loam_attention_forward_args *args);
size_t loam_ref_attention_backward_scratch(const struct loam_device *device,
                                           const struct loam_attention_backward_args *args);
size_t loam_ref_linear_cross_entropy_scratch(const struct loam_device *device,
                                             const struct loam_linear_cross_entropy_args *args);

// What dropout multiplies element (t, k) of x [T, K] by: 0 or 1 / (1 - p).
double ref_dropout_factor(const struct loam_dropout *dropout, int64_t t, int64_t k, int64_t k_count);

// Elements of f32, bf16 and f16 tensors, by offset from the tensor's first one.
static inline double ref_load(const struct loam_tensor *tensor, int64_t offset)
{
    if (tensor->dtype == LOAM_BF16) return loam_bf16_to_f32(((const uint16_t *)tensor->data)[offset]);
    if (tensor->dtype == LOAM_F16) return loam_f16_to_f32(((const uint16_t *)tensor->data)[offset]);
    return ((const float *)tensor->data)[offset];
}

static inline void ref_store(const struct loam_tensor *tensor, int64_t offset, double value)
{
    if (tensor->dtype == LOAM_BF16) {
        ((uint16_t *)tensor->data)[offset] = loam_f32_to_bf16((float)value);
    } else if (tensor->dtype == LOAM_F16) {
        ((uint16_t *)tensor->data)[offset] = loam_f32_to_f16((float)value);
    } else {
        ((float *)tensor->data)[offset] = (float)value;
    }
}

static inline void ref_add(const struct loam_tensor *tensor, int64_t offset, double value)
{
    ref_store(tensor, offset, ref_load(tensor, offset) + value);
}

// Offsets of [i, j] and [i, j, 0].
static inline int64_t ref_at(const struct loam_tensor *tensor, int64_t i, int64_t j)
{
    return i * tensor->stride[0] + j * tensor->stride[1];
}

// Element [n, k] of a weight.
static inline double ref_weight(const struct loam_weight *w, int64_t n, int64_t k)
{
    return ref_load(&w->tensor, w->transposed ? ref_at(&w->tensor, k, n) : ref_at(&w->tensor, n, k));
}

static inline int32_t ref_index(const struct loam_tensor *tensor, int64_t i)
{
    return ((const int32_t *)tensor->data)[i];
}

#endif
