// The CPU device: made here, from the reference ops and the overrides of the files beside this one.
#include "device/cpu/cpu.h"

#include <omp.h>
#include <stdlib.h>

#include "base/heap.h"

// The levels that are compiled in (cmake/LoamCpu.cmake), best first.
void loam_cpu_overrides_portable(struct loam_op_table *ops);
#if defined(LOAM_CPU_X86)
void loam_cpu_overrides_avx2(struct loam_op_table *ops);
void loam_cpu_overrides_avx512(struct loam_op_table *ops);

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif
static bool has_portable(void)
{
    return true;
}

static const struct cpu_level levels[] = {
#if defined(LOAM_CPU_X86)
    {"avx512", has_avx512, loam_cpu_overrides_avx512},
    {"avx2", has_avx2, loam_cpu_overrides_avx2},
#endif
    {"portable", has_portable, loam_cpu_overrides_portable},
};

const struct cpu_level *loam_cpu_level(size_t index)
{
    size_t runnable = 0;
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
        if (levels[i].runs_here() && runnable++ == index) return &levels[i];
    return NULL;
}

enum loam_status loam_cpu_matmul_status(struct loam_stream *stream, const char *failure)
{
    if (failure == NULL) return LOAM_OK;
    loam_stream_fail(stream, LOAM_ERROR_INTERNAL, stream->op, failure);
    return LOAM_ERROR_INTERNAL;
}

static void cpu_destroy(struct loam_device *device)
{
    struct cpu_state *state = device->state;
    if (state != NULL) loam_matmul_cache_destroy(state->matmuls);
    free(state);
    free(device);
}

enum loam_status loam_device_cpu_create(struct loam_device **out, int threads, struct loam_error *error)
{
    *out = NULL;
    struct loam_device *device = loam_calloc(1, sizeof *device, error);
    if (device == NULL) return LOAM_ERROR_MEMORY;
    struct cpu_state *state = loam_calloc(1, sizeof *state, error);
    device->state = state;
    enum loam_status status =
        state == NULL ? LOAM_ERROR_MEMORY : loam_matmul_cache_create(&state->matmuls, error);
    if (status != LOAM_OK) {
        cpu_destroy(device);
        return status;
    }
    // oneDNN asks OpenMP for its thread count, which is a setting of the process: the device made last
    // decides.
    omp_set_num_threads(threads);
    device->name = "cpu";
    device->threads = threads;
    device->native_bf16 = loam_matmul_native_bf16(state->matmuls);
    device->host_memory = true;
    device->memory = &loam_host_memory;
    device->destroy = cpu_destroy;
    loam_ref_ops(&device->ops);
    loam_cpu_level(0)->override(&device->ops);
    *out = device;
    return LOAM_OK;
}
