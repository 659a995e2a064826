// The CPU backend's own view of its device.
#ifndef LOAM_DEVICE_CPU_CPU_H
#define LOAM_DEVICE_CPU_CPU_H

#include "device/cpu/context.h"

struct cpu_state {
    struct matmul_cache *matmuls;
    struct cpu_context context;      // the level's, without kernels that this processor or oneDNN rules out
    struct loam_memory_table memory; // the host's, with its own conversion
};

static inline const struct cpu_context *cpu_context(const struct loam_device *device)
{
    return &((const struct cpu_state *)device->state)->context;
}

// Whether the processor multiplies bf16 itself.
static inline bool cpu_has_bf16(const struct loam_device *device)
{
    return loam_formats_have(device->formats.preferred, LOAM_BF16);
}

// The number of threads that every parallel region of an op asks for.
static inline int cpu_threads(const struct loam_stream *stream)
{
    return stream->device->threads;
}

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

void loam_cpu_describe(const struct loam_device *device, struct loam_machine *machine);

// Put ops into a table (ops/linear.c, ops/lora.c, ops/rows.c).
void loam_cpu_linear_ops(struct loam_op_table *ops);
void loam_cpu_lora_ops(struct loam_op_table *ops);
void loam_cpu_row_ops(struct loam_op_table *ops);

// Makes OpenMP start and keep `wanted` threads, or as many as the system allows. Returns their number.
int loam_cpu_start_threads(int wanted);

// Fails the stream with the message of a product by oneDNN; LOAM_OK for NULL.
enum loam_status loam_cpu_matmul_status(struct loam_stream *stream, const char *failure);

#endif
