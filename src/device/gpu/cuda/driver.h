// The CUDA driver, opened at run time. Neither building nor starting loam needs it.
#ifndef LOAM_DEVICE_GPU_CUDA_DRIVER_H
#define LOAM_DEVICE_GPU_CUDA_DRIVER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

// As CUresult, CUdeviceptr and the enumerations of cuda.h.
typedef unsigned cuda_result;
typedef unsigned cuda_enum;
typedef unsigned long long cuda_address;
struct CUctx_st;
struct CUstream_st;
struct CUevent_st;
struct CUmod_st;
struct CUfunc_st;
struct CUkern_st;
struct CUgraph_st;
struct CUgraphExec_st;
struct CUgraphNode_st;

#ifndef CUDA_VERSION // cuda.h, which the check of these values includes, is absent
enum {
#define CUDA_VALUE(name, value) name = value,
#include "device/gpu/cuda/driver_values.def"
#undef CUDA_VALUE
};

struct CUDA_KERNEL_NODE_PARAMS_v2_st {
#define CUDA_MEMBER(type, name) type name;
#include "device/gpu/cuda/driver_node.def"
#undef CUDA_MEMBER
};
#endif

struct loam_cuda_driver {
    void *library;
    int version;        // 1000 major + 10 minor of the newest CUDA that it supports
    bool finds_nothing; // it could not be opened because the machine has no driver, or no GPU
#define CUDA_CALL(member, symbol, parameters) cuda_result(*member) parameters;
#include "device/gpu/cuda/driver_list.def"
#undef CUDA_CALL
};

#define LOAM_CUDA_LIBRARY "libcuda.so.1"
enum { LOAM_CUDA_OLDEST = 12000 }; // version of the oldest driver that has every function

// Opens the driver and starts it. LOAM_ERROR_UNSUPPORTED, with what to install, if there is none or it is too old.
enum loam_status loam_cuda_driver_open(struct loam_cuda_driver *driver, const char *library,
                                       struct loam_error *error);
void loam_cuda_driver_close(struct loam_cuda_driver *driver);

// "CUDA_ERROR_ILLEGAL_ADDRESS: a kernel used memory that it does not own": name and meaning of a result.
void loam_cuda_describe(const struct loam_cuda_driver *driver, cuda_result result, char *text, size_t bytes);
// Fails with "WHAT: name: meaning" unless the result is CUDA_SUCCESS.
enum loam_status loam_cuda_check(const struct loam_cuda_driver *driver, cuda_result result, const char *what,
                                 struct loam_error *error);

#endif
