// The host of the kernels for tests: they run on the CPU, a fiber for each thread. Not for users.
#ifndef LOAM_DEVICE_GPU_FIBER_FIBER_H
#define LOAM_DEVICE_GPU_FIBER_FIBER_H

#include "device/device.h"
#include "device/gpu/fiber/blocks.h"

enum loam_status loam_device_fiber_create(struct loam_device **out, enum loam_fiber_order order,
                                          struct loam_error *error);

#endif
