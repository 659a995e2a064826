// Compares what loam declares of OpenCL with Khronos' headers, where they are installed (scripts/gpu-compile). It only has to
// compile.
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <CL/cl_ext.h>

#define cl_platform _cl_platform_id
#define cl_device _cl_device_id
#define cl_context _cl_context
#define cl_queue _cl_command_queue
#define cl_memory _cl_mem
#define cl_program _cl_program
#define cl_kernel _cl_kernel
#define cl_event _cl_event
#include "device/gpu/opencl/api.h"

#define CL_VALUE(name, value) _Static_assert((name) == (value), #name);
#include "device/gpu/opencl/api_values.def"
#define CL_CALL(member, result, symbol, parameters, arguments)                                               \
    _Static_assert(__builtin_types_compatible_p(__typeof__(&symbol), result(*) parameters), #symbol);
#include "device/gpu/opencl/api_list.def"
