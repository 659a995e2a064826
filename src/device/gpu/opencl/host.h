// What the parts of the OpenCL host share.
#ifndef LOAM_DEVICE_GPU_OPENCL_HOST_H
#define LOAM_DEVICE_GPU_OPENCL_HOST_H

#include "device/gpu/launch.h"
#include "device/gpu/opencl/api.h"
#include "device/registry.h"

// A device of one of the drivers.
struct opencl_found {
    struct cl_platform *platform;
    struct cl_device *device;
    cl_bits type;
};

struct opencl_properties {
    char name[128], driver[64], version[64];
    uint64_t memory, largest_buffer, local_memory; // bytes
    cl_count processors;                           // that run work-groups
    bool unified;                                  // its memory is the machine's
    bool rounded;                                  // it can round quotients and roots correctly
};

// An arena: a memory object under addresses that stand for it. No memory is behind the addresses.
struct opencl_range {
    uintptr_t first;
    size_t bytes;
    struct cl_memory *memory;
};

// Memory of the host that the device can read by itself, in parts: one is filled while the device reads the other.
enum { OPENCL_STAGING = 4 << 20, OPENCL_STAGING_PARTS = 2 }; // bytes of a part

struct opencl_staging {
    struct cl_memory *memory;
    char *base;                                    // where it is mapped for the life of the device
    struct cl_event *events[OPENCL_STAGING_PARTS]; // of the last copy from each part; NULL: there was none
    int part;                                      // the one that is filled
    size_t used;                                   // bytes of it that uploads have taken
};

struct opencl_device {
    struct loam_device device; // first, so that a pointer to it is one to the whole
    struct loam_gpu gpu;
    struct loam_opencl_api api;
    char name[24];      // "opencl:0"
    char code_from[40]; // where the kernels' code comes from
    struct opencl_found found;
    struct opencl_properties properties;
    struct cl_context *context;
    struct cl_queue *queue; // of all streams of the device: they run in one order
    struct cl_program *program;
    struct cl_kernel *kernels[LOAM_KERNEL_COUNT]; // NULL: OpenCL does not have it
    struct opencl_range *ranges;                  // in the order of their addresses
    size_t range_count;
    uintptr_t next_address; // of the next range
    size_t used;            // bytes of all ranges
    struct opencl_staging staging;
    int unflushed; // launches that the driver need not have begun
};

static inline struct opencl_device *opencl_device(const struct loam_device *device)
{
    return (struct opencl_device *)(void *)(uintptr_t)device;
}

// The devices of all drivers, for free().
enum loam_status loam_opencl_find(const struct loam_opencl_api *api, struct opencl_found **out, size_t *count,
                                  struct loam_error *error);
enum loam_status loam_opencl_read_properties(const struct loam_opencl_api *api, struct cl_device *device,
                                             struct opencl_properties *properties, struct loam_error *error);
// Why loam cannot use a device, as "its driver has no compiler"; NULL: it can.
const char *loam_opencl_lack(const struct loam_opencl_api *api, struct cl_device *device);

// Whether the drivers have a device of that number.
bool loam_opencl_exists(int index, struct loam_error *reason);
// Model, memory and driver.
void loam_opencl_describe_device(int index, struct loam_device_entry *entry);

// Makes the program and the kernels of the device.
enum loam_status loam_opencl_load(struct opencl_device *opencl, struct loam_error *error);

extern const struct loam_memory_table loam_opencl_memory;

// Uploads by way of the staging memory: the caller's memory can change when a call returns, and no call waits for more than
// the part that it needs. As the functions of the memory table.
enum loam_status loam_opencl_staging_init(struct opencl_device *opencl, struct loam_error *error);
void loam_opencl_staging_deinit(struct opencl_device *opencl);
// After a wait for the queue: no part is in use. A copy that failed fails the stream.
void loam_opencl_staging_finish(struct loam_stream *stream);
void loam_opencl_upload(struct loam_stream *stream, void *target, const void *source, size_t bytes);
void loam_opencl_upload_as(struct loam_stream *stream, void *target, enum loam_dtype target_dtype,
                           const void *source, enum loam_dtype source_dtype, size_t count);

// Records a result other than CL_SUCCESS in the stream; whether it is CL_SUCCESS.
bool loam_opencl_accept(struct loam_stream *stream, cl_result result, const char *what);

// The memory object behind an address, and the bytes before the address. False: the stream has failed.
bool loam_opencl_locate(struct loam_stream *stream, const void *address, struct cl_memory **memory,
                        uint64_t *offset);

#endif
