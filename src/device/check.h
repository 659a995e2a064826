// What the `refuses` functions of the backends ask about an argument.
#ifndef LOAM_DEVICE_CHECK_H
#define LOAM_DEVICE_CHECK_H

#include "tensor/tensor.h"

// An activation: f32 or bf16.
static inline bool loam_check_activation(const struct loam_tensor *tensor)
{
    return tensor->dtype == LOAM_F32 || tensor->dtype == LOAM_BF16;
}

// A weight [rows, columns] as activations of `dtype` are multiplied with it: f32 goes with halves as well.
static inline bool loam_check_weight(const struct loam_tensor *weight, enum loam_dtype dtype, int64_t rows,
                                     int64_t columns)
{
    const bool half = weight->dtype == LOAM_BF16 || weight->dtype == LOAM_F16;
    return (weight->dtype == dtype || (dtype == LOAM_F32 && half)) && weight->rank == 2 &&
           weight->shape[0] == rows && weight->shape[1] == columns && weight->stride[1] == 1;
}

// `count` contiguous elements, whatever the rank.
static inline bool loam_check_vector(const struct loam_tensor *tensor, enum loam_dtype dtype, int64_t count)
{
    return tensor->dtype == dtype && loam_tensor_contiguous(tensor) && loam_tensor_count(tensor) == count;
}

static inline bool loam_check_optional_vector(const struct loam_tensor *tensor, enum loam_dtype dtype,
                                              int64_t count)
{
    return tensor->data == NULL || loam_check_vector(tensor, dtype, count);
}

// [rows, columns] with contiguous rows that may be strided.
static inline bool loam_check_strided(const struct loam_tensor *tensor, enum loam_dtype dtype, int64_t rows,
                                      int64_t columns)
{
    return tensor->dtype == dtype && tensor->rank == 2 && tensor->shape[0] == rows &&
           tensor->shape[1] == columns && tensor->stride[1] == 1;
}

// [rows, columns], contiguous.
static inline bool loam_check_matrix(const struct loam_tensor *tensor, enum loam_dtype dtype, int64_t rows,
                                     int64_t columns)
{
    return loam_check_strided(tensor, dtype, rows, columns) && loam_tensor_contiguous(tensor);
}

static inline bool loam_check_optional_matrix(const struct loam_tensor *tensor, enum loam_dtype dtype,
                                              int64_t rows, int64_t columns)
{
    return tensor->data == NULL || loam_check_matrix(tensor, dtype, rows, columns);
}

// [rows, heads, size] whose rows and heads may be strided.
static inline bool loam_check_heads(const struct loam_tensor *tensor, enum loam_dtype dtype, int64_t rows,
                                    int64_t heads, int64_t size)
{
    return tensor->dtype == dtype && tensor->rank == 3 && tensor->shape[0] == rows &&
           tensor->shape[1] == heads && tensor->shape[2] == size && tensor->stride[2] == 1;
}

#endif
