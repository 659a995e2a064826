// The dtype that a config.json declares.
#ifndef LOAM_MODEL_CONFIG_DTYPE_H
#define LOAM_MODEL_CONFIG_DTYPE_H

#include "base/bytes.h"
#include "tensor/tensor.h"

// Appends `text`, a config.json, to `out` with its "dtype" or "torch_dtype" (transformers' names of two ages)
// set to `dtype` (f32, f16 or bf16), and nothing else changed; where it has neither, the older one is added.
enum loam_status loam_config_set_dtype(struct loam_bytes *out, const char *text, size_t size,
                                       enum loam_dtype dtype, struct loam_error *error);

#endif
