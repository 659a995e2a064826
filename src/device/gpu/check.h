// A check of a GPU before it is used: a few small ops, compared with values of the host.
#ifndef LOAM_DEVICE_GPU_CHECK_H
#define LOAM_DEVICE_GPU_CHECK_H

#include "device/device.h"

// LOAM_ERROR_UNSUPPORTED, with the op, where the device computes wrongly, as with code that does not fit the hardware.
enum loam_status loam_gpu_check(const struct loam_device *device, struct loam_error *error);

#endif
