// The kinds of devices: what --device names, and what `loam devices` lists.
#ifndef LOAM_DEVICE_REGISTRY_H
#define LOAM_DEVICE_REGISTRY_H

#include "device/device.h"

// What a list of devices tells about one of them.
struct loam_device_entry {
    char name[16];         // "cuda:0"
    char model[128];       // "NVIDIA GeForce RTX 3080"; empty: not known
    char capability[16];   // "8.6"; empty: the kind has none
    char driver[32];       // "CUDA 12.4"; empty: the kind has none
    char code[64];         // where the code of its kernels comes from; empty: it is part of loam
    uint64_t total_memory; // bytes; 0: not known
    uint64_t free_memory;  // bytes; UINT64_MAX: not known
    struct loam_formats formats;
    struct loam_error reason; // why it cannot be used; status LOAM_OK: it can
};

struct loam_backend {
    const char *name;
    bool numbered;  // "NAME:1" is its second device, and "NAME" its first
    bool automatic; // "auto" takes its first device that can be used
    // Whether there is a device of that number, which need not be usable; if not, the reason. NULL: one is always there.
    bool (*exists)(int index, struct loam_error *reason);
    enum loam_status (*create)(struct loam_device **out, int index, int threads, struct loam_error *error);
    // Fills the entry of a device that exists, but for its name, before the device is created.
    void (*describe)(int index, struct loam_device_entry *entry);
};

// NVIDIA's GPUs. The driver's number of a device is its index.
extern const struct loam_backend loam_cuda_backend;
// Devices of all drivers of OpenCL: GPUs first, CPUs last.
extern const struct loam_backend loam_opencl_backend;

const struct loam_backend *loam_backend_at(size_t index); // NULL past the end

// Whether `name` can be that of a device: "auto", a backend, or a numbered backend with a number from 0.
enum loam_status loam_device_name_check(const char *name, struct loam_error *error);
// Fails, as creating it would, if a device of that name is not there or its driver is broken. Others need not be usable.
enum loam_status loam_device_find(const char *name, struct loam_error *error);

// Describes a device that exists. Creates it, so that the entry tells why it cannot be used.
void loam_device_entry_init(struct loam_device_entry *entry, const struct loam_backend *backend, int index);

#endif
