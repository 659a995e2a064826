// The CPU backend's own view of its device.
#ifndef LOAM_DEVICE_CPU_CPU_H
#define LOAM_DEVICE_CPU_CPU_H

#include "device/cpu/onednn.h"
#include "device/device.h"

// loam_convert by `threads` threads.
typedef void cpu_convert(void *target, enum loam_dtype to, const void *source, enum loam_dtype from,
                         int64_t count, int threads);

struct cpu_state {
    struct matmul_cache *matmuls;
    cpu_convert *convert;
    struct loam_memory_table memory; // the host's, with its own conversion
};

// Whether the processor multiplies bf16 itself.
static inline bool cpu_has_bf16(const struct loam_device *device)
{
    return loam_formats_have(device->formats.preferred, LOAM_BF16);
}

// What every parallel region of an op asks for: the threads of its own device.
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

// A set of overrides compiled for some instructions, and what oneDNN is limited to when it is forced. Two
// levels share one set that asks cpu_has_bf16, which is what oneDNN's limit leaves.
struct cpu_level {
    const char *name;
    bool (*runs_here)(void);
    void (*set_ops)(struct loam_op_table *ops);
    cpu_convert *convert;
    enum matmul_isa matmul;
};
// The best that the processor has, or the one that LOAM_ISA names. A name that does not exist is
// LOAM_ERROR_ARGUMENT, a level that cannot be had LOAM_ERROR_UNSUPPORTED.
enum loam_status loam_cpu_choose_level(const struct cpu_level **level, struct loam_error *error);
void loam_cpu_describe(const struct loam_device *device, struct loam_machine *machine);

// Makes OpenMP start and keep `wanted` threads, or as many as the system allows. Returns their number.
int loam_cpu_start_threads(int wanted);

// Fails the stream with what oneDNN said; LOAM_OK for NULL.
enum loam_status loam_cpu_matmul_status(struct loam_stream *stream, const char *failure);

#endif
