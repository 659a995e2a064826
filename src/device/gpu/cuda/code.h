// The kernels as code for a GPU: compiled by NVRTC at the first use, and kept in the user's cache directory.
#ifndef LOAM_DEVICE_GPU_CUDA_CODE_H
#define LOAM_DEVICE_GPU_CUDA_CODE_H

#include "base/bytes.h"

// Code of the kernels that the build embeds, for several architectures; `begin` NULL: it has none (LOAM_CUDA of CMake).
struct loam_cuda_image {
    const char *begin, *end;
};
extern const struct loam_cuda_image loam_cuda_embedded;

// Appends code for compute capability `capability` (80 for 8.0) that a driver of `driver_version` takes.
// `from` gets where it comes from. LOAM_ERROR_UNSUPPORTED, with what to install, where there is no compiler.
enum loam_status loam_cuda_code_make(struct loam_bytes *code, int capability, int driver_version, char *from,
                                     size_t from_bytes, struct loam_error *error);

#endif
