// How safetensors names its dtypes.
#ifndef LOAM_IO_SAFETENSORS_DTYPE_H
#define LOAM_IO_SAFETENSORS_DTYPE_H

#include "tensor/tensor.h"

struct loam_safetensors_dtype {
    const char *name;
    size_t size;           // bytes an element
    enum loam_dtype dtype; // LOAM_DTYPE_NONE: known to the format, of no use to loam
};

// In the order of the format's own list, which is also the order (reversed) of data in a file. NULL: no such
// dtype.
const struct loam_safetensors_dtype *loam_safetensors_dtype_by_name(const char *name);
const struct loam_safetensors_dtype *loam_safetensors_dtype_of(enum loam_dtype dtype);

#endif
