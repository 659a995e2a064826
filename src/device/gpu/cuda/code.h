// The kernels as code for a GPU: compiled by NVRTC at the first use, and kept in the user's cache directory.
#ifndef LOAM_DEVICE_GPU_CUDA_CODE_H
#define LOAM_DEVICE_GPU_CUDA_CODE_H

#include <stdbool.h>

#include "base/bytes.h"

// Code of the kernels that the build embeds, for several architectures; `begin` NULL: it has none (LOAM_CUDA of CMake).
struct loam_cuda_image {
    const char *begin, *end;
};
extern const struct loam_cuda_image loam_cuda_embedded;

// Code for one GPU.
struct loam_cuda_code {
    struct loam_bytes bytes;
    bool cached;   // an earlier start has compiled it
    char from[40]; // where it comes from
};
// Makes code for compute capability `capability` (80 for 8.0) that a driver of `driver_version` takes. `anew`: compiles it
// even where it is cached. LOAM_ERROR_UNSUPPORTED, with what to install, where there is no compiler.
enum loam_status loam_cuda_code_make(struct loam_cuda_code *code, int capability, int driver_version,
                                     bool anew, struct loam_error *error);
void loam_cuda_code_deinit(struct loam_cuda_code *code);

#endif
