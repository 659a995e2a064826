// The CPU backend's own view of its device. It starts from the reference table; each file of this directory
// overrides the ops of its subject.
#ifndef LOAM_DEVICE_CPU_CPU_H
#define LOAM_DEVICE_CPU_CPU_H

#include "device/cpu/onednn.h"
#include "device/device.h"

struct cpu_state {
    struct matmul_cache *matmuls;
};

static inline struct matmul_cache *cpu_matmuls(const struct loam_stream *stream)
{
    return ((struct cpu_state *)stream->device->state)->matmuls;
}

// The address of row i, and of row i and head j.
static inline void *cpu_row(const struct loam_tensor *tensor, int64_t i)
{
    return (char *)tensor->data + i * tensor->stride[0] * (int64_t)loam_dtype_size(tensor->dtype);
}
static inline void *cpu_head(const struct loam_tensor *tensor, int64_t i, int64_t j)
{
    const int64_t offset = i * tensor->stride[0] + j * tensor->stride[1];
    return (char *)tensor->data + offset * (int64_t)loam_dtype_size(tensor->dtype);
}

// A set of overrides compiled for one level of instructions; those that run on this machine, best first, then
// NULL.
struct cpu_level {
    const char *name;
    bool (*runs_here)(void);
    void (*override)(struct loam_op_table *ops);
};
const struct cpu_level *loam_cpu_level(size_t index);

// Fails the stream with what oneDNN said; LOAM_OK for NULL.
enum loam_status loam_cpu_matmul_status(struct loam_stream *stream, const char *failure);

#endif
