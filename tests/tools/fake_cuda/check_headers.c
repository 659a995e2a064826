// Compares what loam declares of the driver and of NVRTC with NVIDIA's headers, where a toolkit is installed
// (scripts/gpu-compile). It only has to compile.
#include <cuda.h>

#include "device/gpu/cuda/driver.h"

#define CUDA_VALUE(name, value) _Static_assert((int)name == (value), #name);
#include "device/gpu/cuda/driver_values.def"
#define CUDA_CALL(member, symbol, parameters)                                                                \
    _Static_assert(__builtin_types_compatible_p(__typeof__(&symbol), cuda_result(*) parameters), #symbol);
#include "device/gpu/cuda/driver_list.def"

struct node {
#define CUDA_MEMBER(type, name) type name;
#include "device/gpu/cuda/driver_node.def"
#undef CUDA_MEMBER
};
#define CUDA_MEMBER(type, name)                                                                              \
    _Static_assert(offsetof(struct node, name) == offsetof(CUDA_KERNEL_NODE_PARAMS_v2, name), #name);
#include "device/gpu/cuda/driver_node.def"
_Static_assert(sizeof(struct node) == sizeof(CUDA_KERNEL_NODE_PARAMS_v2), "CUDA_KERNEL_NODE_PARAMS_v2");

#if __has_include(<cublasLt.h>)
#include <cublasLt.h>
#define lt_handle cublasLtHandle_t
#define lt_desc cublasLtMatmulDesc_t
#define lt_layout cublasLtMatrixLayout_t
#define lt_preference cublasLtMatmulPreference_t
#define lt_algorithm cublasLtMatmulAlgo_t
#define lt_choice cublasLtMatmulHeuristicResult_t
#define lt_enum unsigned
#define LT_VALUE(name, value) _Static_assert((int)name == (value), #name);
#include "device/gpu/cuda/lt_values.def"
#define LT_CALL(member, symbol, parameters)                                                                  \
    _Static_assert(__builtin_types_compatible_p(__typeof__(&symbol), unsigned(*) parameters), #symbol);
#include "device/gpu/cuda/lt_list.def"
_Static_assert(sizeof(lt_algorithm) == 64 && sizeof(lt_choice) == 96, "cublasLtMatmulHeuristicResult_t");
_Static_assert(offsetof(lt_choice, workspaceSize) == 64 && offsetof(lt_choice, state) == 72, "lt_choice");
#endif

#if __has_include(<nvrtc.h>)
#include <nvrtc.h>
#define nvrtc_program _nvrtcProgram
#define NVRTC_CALL(member, symbol, parameters)                                                               \
    _Static_assert(__builtin_types_compatible_p(__typeof__(&symbol), unsigned(*) parameters), #symbol);
#include "device/gpu/cuda/nvrtc_list.def"
#endif
