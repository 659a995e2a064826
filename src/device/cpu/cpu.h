// The CPU backend's own view of its device. It starts from the reference table; each file of this directory
// overrides the ops of its subject.
#ifndef LOAM_DEVICE_CPU_CPU_H
#define LOAM_DEVICE_CPU_CPU_H

#include "device/device.h"

struct cpu_state {
    int threads;
};

static inline struct cpu_state *cpu_state(const struct loam_device *device)
{
    return device->state;
}

#endif
