// The host of the kernels on NVIDIA's GPUs, through the driver. Not for users yet.
#ifndef LOAM_DEVICE_GPU_CUDA_CUDA_H
#define LOAM_DEVICE_GPU_CUDA_CUDA_H

#include "device/device.h"

// The GPU number `index` of the driver. LOAM_ERROR_UNSUPPORTED, with the reason, if there is none or it cannot be used.
enum loam_status loam_device_cuda_create(struct loam_device **out, int index, struct loam_error *error);

#endif
