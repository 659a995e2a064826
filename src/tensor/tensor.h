// Dtypes and strided views. A tensor is a view and owns no memory.
#ifndef LOAM_TENSOR_TENSOR_H
#define LOAM_TENSOR_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum loam_dtype {
    LOAM_DTYPE_NONE = 0,
    LOAM_F32,
    LOAM_F16,
    LOAM_BF16,
    LOAM_I32,
    LOAM_F64, // scalars of the device: sums of squares
    LOAM_DTYPE_COUNT,
};

enum { LOAM_MAX_RANK = 4 };

struct loam_tensor {
    void *data; // an address of the device; NULL: no tensor, where an argument is optional
    enum loam_dtype dtype;
    int rank;
    int64_t shape[LOAM_MAX_RANK];
    int64_t stride[LOAM_MAX_RANK]; // in elements; row-major when contiguous
};

size_t loam_dtype_size(enum loam_dtype dtype);      // bytes an element
const char *loam_dtype_name(enum loam_dtype dtype); // "f32", "f16", "bf16", "i32", "f64"

// Contiguous row-major views.
struct loam_tensor loam_tensor_1d(void *data, enum loam_dtype dtype, int64_t n);
struct loam_tensor loam_tensor_2d(void *data, enum loam_dtype dtype, int64_t rows, int64_t columns);
struct loam_tensor loam_tensor_3d(void *data, enum loam_dtype dtype, int64_t a, int64_t b, int64_t c);

bool loam_tensor_contiguous(const struct loam_tensor *tensor);
int64_t loam_tensor_count(const struct loam_tensor *tensor); // elements
size_t loam_tensor_bytes(const struct loam_tensor *tensor);  // of a contiguous tensor
// Rows [first, first + count) of the leading dimension.
struct loam_tensor loam_tensor_rows(const struct loam_tensor *tensor, int64_t first, int64_t count);

// Convert single values. f32 to bf16 and f16 rounds to nearest even; NaN stays NaN.
float loam_bf16_to_f32(uint16_t value);
uint16_t loam_f32_to_bf16(float value);
float loam_f16_to_f32(uint16_t value);
uint16_t loam_f32_to_f16(float value);

// Converts `count` contiguous elements between f32, f16 and bf16. Source and target must not overlap; the
// source may have any address.
void loam_convert(void *target, enum loam_dtype target_dtype, const void *source,
                  enum loam_dtype source_dtype, size_t count);

// Whether none of `count` contiguous f32, f16 or bf16 elements is infinite or NaN.
bool loam_all_finite(const void *data, enum loam_dtype dtype, size_t count);

#endif
