// The formats of stored tensors. A format stores a row as blocks of elements. A plain format stores each
// element by itself, as one of the dtypes (tensor.h) that ops compute with.
#ifndef LOAM_TENSOR_FORMAT_H
#define LOAM_TENSOR_FORMAT_H

#include "tensor/tensor.h"

enum loam_format {
    LOAM_FORMAT_NONE = 0, // a format of a container that loam does not use
    LOAM_FORMAT_F32,
    LOAM_FORMAT_F16,
    LOAM_FORMAT_BF16,
    LOAM_FORMAT_I32,
    LOAM_FORMAT_F64,
    LOAM_FORMAT_COUNT,
};

struct loam_format_row {
    const char *name;
    size_t elements;       // of a block
    size_t bytes;          // of a block
    enum loam_dtype dtype; // of the elements of a plain format, else LOAM_DTYPE_NONE
    // Converts `count` elements, whole blocks, from any address. NULL: the elements are no weights.
    void (*decode)(float *restrict out, const uint8_t *restrict in, size_t count);
};
// The row of any format, LOAM_FORMAT_NONE included.
const struct loam_format_row *loam_format_row(enum loam_format format);
const char *loam_format_name(enum loam_format format); // "f32", "none"
// The plain format of a dtype.
enum loam_format loam_format_of(enum loam_dtype dtype);
// Whether the elements can be converted to f32, as those of a weight can.
bool loam_format_decodes(enum loam_format format);

// Bytes of `count` elements; false on overflow, or when the elements are not whole blocks.
bool loam_format_bytes(enum loam_format format, size_t count, size_t *bytes);
// Elements in `bytes` bytes.
size_t loam_format_elements(enum loam_format format, size_t bytes);
// Where element `index`, the first of a block, lies in `data`.
const uint8_t *loam_format_at(enum loam_format format, const uint8_t *data, size_t index);

// Converts `count` contiguous elements, whole blocks, of a format that decodes. `dtype` is f32, f16 or bf16.
// Source and target must not overlap; the source may have any address.
void loam_format_convert(void *target, enum loam_dtype dtype, const void *source, enum loam_format format,
                         size_t count);

#endif
