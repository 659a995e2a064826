// cuBLASLt, opened at run time where it is.
#ifndef LOAM_DEVICE_GPU_CUDA_LT_H
#define LOAM_DEVICE_GPU_CUDA_LT_H

#include <stddef.h>
#include <stdint.h>

struct CUstream_st;

#ifndef CUBLAS_VERSION // cublasLt.h, which the check of these declarations includes, is absent
typedef struct cublasLtContext *lt_handle;
typedef void *lt_desc, *lt_layout, *lt_preference;
typedef unsigned lt_enum;
typedef struct {
    uint64_t data[8];
} lt_algorithm;
typedef struct {
    lt_algorithm algo;
    size_t workspaceSize;
    unsigned state;
    float wavesCount;
    int reserved[4];
} lt_choice;

enum {
#define LT_VALUE(name, value) name = value,
#include "device/gpu/cuda/lt_values.def"
#undef LT_VALUE
};

struct loam_cuda_lt {
    void *library;
#define LT_CALL(member, symbol, parameters) unsigned(*member) parameters;
#include "device/gpu/cuda/lt_list.def"
#undef LT_CALL
};
#endif

#endif
