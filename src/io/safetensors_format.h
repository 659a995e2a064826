// The names of safetensors' dtypes.
#ifndef LOAM_IO_SAFETENSORS_FORMAT_H
#define LOAM_IO_SAFETENSORS_FORMAT_H

#include "tensor/format.h"

struct loam_safetensors_format {
    const char *name;
    size_t size; // bytes an element
    enum loam_format format;
};

// Rows have the order of the format's own list; data in a file has the reverse order. NULL: no such dtype.
const struct loam_safetensors_format *loam_safetensors_format_by_name(const char *name);
const struct loam_safetensors_format *loam_safetensors_format_of(enum loam_format format);

#endif
