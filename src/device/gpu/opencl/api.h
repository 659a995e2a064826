// OpenCL 1.2 through the loader of drivers, opened at run time. Neither building nor starting loam needs it.
#ifndef LOAM_DEVICE_GPU_OPENCL_API_H
#define LOAM_DEVICE_GPU_OPENCL_API_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

// As cl_int, cl_uint, cl_bool, cl_bitfield and the objects of cl.h.
typedef int cl_result;
typedef unsigned cl_count;
typedef unsigned cl_enum;
typedef unsigned cl_truth;
typedef uint64_t cl_bits;
struct cl_platform;
struct cl_device;
struct cl_context;
struct cl_queue;
struct cl_memory;
struct cl_program;
struct cl_kernel;
struct cl_event;

#ifndef CL_VERSION_1_0 // cl.h, which the check of these values includes, is absent
enum {
#define CL_VALUE(name, value) name = value,
#include "device/gpu/opencl/api_values.def"
};
#endif

struct loam_opencl_api {
    void *library;
#define CL_CALL(member, result, symbol, parameters, arguments) result(*member) parameters;
#include "device/gpu/opencl/api_list.def"
#undef CL_CALL
};

#define LOAM_OPENCL_LIBRARY "libOpenCL.so.1"

// Opens the loader. LOAM_ERROR_UNSUPPORTED, with what to install, if there is none or it is too old. It stays in the
// process when it is closed, since drivers are not safe to unload.
enum loam_status loam_opencl_api_open(struct loam_opencl_api *api, const char *library,
                                      struct loam_error *error);
void loam_opencl_api_close(struct loam_opencl_api *api);

// "CL_OUT_OF_RESOURCES (-5): the device has ...": name, number and meaning of a result.
void loam_opencl_describe(cl_result result, char *text, size_t bytes);
// Whether a result is one of those for too little memory.
bool loam_opencl_lacks_memory(cl_result result);
// Fails with "WHAT: name (number): meaning" unless the result is CL_SUCCESS.
enum loam_status loam_opencl_check(cl_result result, const char *what, struct loam_error *error);

#endif
