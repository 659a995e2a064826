// The host of the kernels on devices of OpenCL 1.2.
#ifndef LOAM_DEVICE_GPU_OPENCL_OPENCL_H
#define LOAM_DEVICE_GPU_OPENCL_OPENCL_H

#include "device/device.h"

// Device number `index` of all drivers: GPUs first, CPUs last. LOAM_ERROR_UNSUPPORTED, with the reason, if there is none
// or it cannot be used.
enum loam_status loam_device_opencl_create(struct loam_device **out, int index, struct loam_error *error);

#endif
