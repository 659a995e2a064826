// What the parts of the CUDA host share.
#ifndef LOAM_DEVICE_GPU_CUDA_HOST_H
#define LOAM_DEVICE_GPU_CUDA_HOST_H

#include <string.h>

#include "device/gpu/cuda/driver.h"
#include "device/gpu/launch.h"
#include "device/registry.h"

enum {
    CUDA_ALIGNMENT = 256,        // bytes, as the driver aligns what it allocates
    CUDA_STAGING = 4 << 20,      // bytes of a part of the staging block
    CUDA_STAGING_PARTS = 2,      // one is filled while the other is copied
    CUDA_SHARED_PLAIN = 48 << 10 // bytes of shared memory that a block may have without asking
};

// Pinned memory of the host, through which uploads go. The device may still read a part until it reaches the part's
// event.
struct cuda_staging {
    char *memory; // CUDA_STAGING_PARTS parts
    struct CUevent_st *events[CUDA_STAGING_PARTS];
    int part;    // the one that is filled
    size_t used; // bytes of it that uploads have taken
};

// Copies that run beside the ops, of loam_fetch.
struct cuda_fetching {
    struct CUstream_st *queue;
    struct CUevent_st *before; // what the ops had queued when a copy was
    struct CUevent_st *copied[LOAM_FETCHES];
};

struct cuda_gathering; // launches that are not queued yet, and graphs
struct cuda_products;  // of cuBLASLt

struct cuda_device {
    struct loam_device device; // first, so that a pointer to it is one to the whole
    struct loam_gpu gpu;
    struct loam_cuda_driver driver;
    char name[16];      // "cuda:0"
    char model[128];    // as the driver names it
    char code_from[64]; // where the kernels' code comes from
    int ordinal;        // the driver's number of the device
    bool retained;      // the context
    struct CUctx_st *context;
    struct CUstream_st *queue; // of all streams of the device: they run in one order
    struct cuda_gathering *gathering;
    struct cuda_products *products; // NULL: the kernels make them
    struct cuda_staging staging;
    struct cuda_fetching fetching;
    struct CUmod_st *module;
    struct CUfunc_st *functions[LOAM_KERNEL_COUNT];
    size_t shared_allowed[LOAM_KERNEL_COUNT]; // bytes of shared memory, so far
    size_t shared_most;                       // bytes that a block can have
};

static inline struct cuda_device *cuda_device(const struct loam_device *device)
{
    return (struct cuda_device *)(void *)(uintptr_t)device;
}

static inline cuda_address cuda_address_of(const void *address)
{
    return (cuda_address)(uintptr_t)address;
}

// Whether two structs, which were zeroed before they were filled, are equal.
static inline bool cuda_have_equal_bytes(const void *a, const void *b, size_t bytes)
{
    return memcmp(a, b, bytes) == 0;
}

extern const struct loam_memory_table loam_cuda_memory;

// Whether the driver finds a GPU of that number. A driver that is there and cannot be used counts as a GPU, number 0,
// because its creation then tells what is wrong with it.
bool loam_cuda_exists(int index, struct loam_error *reason);
// Model, memory, compute capability and driver.
void loam_cuda_describe_device(int index, struct loam_device_entry *entry);

// Queues what is gathered, and makes the device's context the calling thread's.
bool loam_cuda_enter(struct loam_stream *stream, const char *what);

// Records a result other than CUDA_SUCCESS in the stream; whether it is CUDA_SUCCESS.
bool loam_cuda_accept(struct loam_stream *stream, cuda_result result, const char *what);

// The number of buffers that a kernel takes.
int loam_cuda_buffers(enum loam_kernel kernel);

// Launches are gathered, and submitted before other work is queued or when there are many. loam_cuda_submit sets `*op` to
// the op of a launch that fails.
enum loam_status loam_cuda_gathering_init(struct cuda_device *cuda, struct loam_error *error);
void loam_cuda_gathering_deinit(struct cuda_device *cuda);
bool loam_cuda_gather(struct loam_stream *stream, const struct loam_launch *launch);
cuda_result loam_cuda_submit(struct cuda_device *cuda, const char **op);
// After a wait: launches are counted from the first one again.
void loam_cuda_gathering_restart(struct cuda_device *cuda);

// Where there is no cuBLASLt, or LOAM_CUBLASLT=off, the device has no such product.
enum loam_status loam_cuda_products_init(struct cuda_device *cuda, struct loam_error *error);
void loam_cuda_products_deinit(struct cuda_device *cuda);
bool loam_cuda_product(struct loam_stream *stream, const struct loam_plain_product *product);

enum loam_status loam_cuda_staging_init(struct cuda_device *cuda, struct loam_error *error);
void loam_cuda_staging_deinit(struct cuda_device *cuda);

enum loam_status loam_cuda_fetching_init(struct cuda_device *cuda, struct loam_error *error);
void loam_cuda_fetching_deinit(struct cuda_device *cuda);
enum loam_status loam_cuda_host_arena_init(const struct loam_device *device, struct loam_arena *arena,
                                           size_t bytes, struct loam_error *error);
void loam_cuda_host_arena_deinit(const struct loam_device *device, struct loam_arena *arena);
void loam_cuda_fetch(struct loam_stream *stream, int place, void *target, const void *source, size_t bytes);
void loam_cuda_fetch_wait(struct loam_stream *stream, int place);

#endif
