// The CPU device. Its ops are vector code of one instruction level, ops over kernels of that level, and one
// reference op.
#include "device/cpu/cpu.h"

#include <stdlib.h>

#include "base/heap.h"
#include "device/ref/ref.h"

enum loam_status loam_cpu_matmul_status(struct loam_stream *stream, const char *failure)
{
    if (failure == NULL) return LOAM_OK;
    loam_stream_fail(stream, LOAM_ERROR_INTERNAL, stream->op, failure);
    return LOAM_ERROR_INTERNAL;
}

static void cpu_upload_as(struct loam_stream *stream, void *target, enum loam_dtype target_dtype,
                          const void *source, enum loam_dtype source_dtype, size_t count)
{
    const struct cpu_state *state = stream->device->state;
    state->context.convert(target, target_dtype, source, source_dtype, (int64_t)count, cpu_threads(stream));
}

static void cpu_destroy(struct loam_device *device)
{
    struct cpu_state *state = device->state;
    if (state != NULL) loam_matmul_cache_destroy(state->matmuls);
    free(state);
    free(device);
}

// Removes the kernels that the processor cannot run, or that oneDNN outperforms.
static void complete_context(struct cpu_context *context, bool multiplies_bf16)
{
    if (!multiplies_bf16) {
        context->gemm_bf16 = context->gemm_mixed;
        context->lora_bf16 = NULL;
        context->attention_forward_bf16 = NULL;
        context->attention_backward_bf16 = NULL;
    } else if (loam_matmul_has_tiles()) {
        context->gemm_bf16 = NULL;
    }
}

// The ops whose vector code is in kernels of the context.
static void set_ops(struct loam_op_table *ops)
{
    loam_cpu_linear_ops(ops);
    loam_cpu_lora_ops(ops);
    loam_cpu_row_ops(ops);
    ops->rope_table.run = loam_ref_rope_table; // a table for each step: too little work to vectorise
}

enum loam_status loam_device_cpu_create(struct loam_device **out, int threads, struct loam_error *error)
{
    *out = NULL;
    struct loam_device *device = loam_calloc(1, sizeof *device, error);
    if (device == NULL) return LOAM_ERROR_MEMORY;
    struct cpu_state *state = loam_calloc(1, sizeof *state, error);
    device->state = state;
    const struct cpu_context *level = NULL;
    enum loam_status status = state == NULL ? LOAM_ERROR_MEMORY : loam_cpu_choose_context(&level, error);
    if (status == LOAM_OK) {
        device->threads_wanted = threads;
        device->threads = loam_cpu_start_threads(threads);
        status = loam_matmul_cache_create(&state->matmuls, device->threads, error);
    }
    if (status != LOAM_OK) {
        cpu_destroy(device);
        return status;
    }
    device->name = "cpu";
    device->isa = level->name;
    const bool bf16 = loam_matmul_native_bf16(state->matmuls);
    state->context = *level;
    complete_context(&state->context, bf16);
    device->formats = (struct loam_formats){.compute = 1u << LOAM_F32 | 1u << LOAM_BF16,
                                            .preferred = 1u << LOAM_F32 | (bf16 ? 1u << LOAM_BF16 : 0),
                                            .master = 1u << LOAM_F32};
    device->host_memory = true;
    device->alignment = LOAM_ARENA_ALIGN;
    device->largest_buffer = SIZE_MAX;
    state->memory = loam_host_memory;
    state->memory.upload_as = cpu_upload_as;
    device->memory = &state->memory;
    device->describe = loam_cpu_describe;
    device->probes = &loam_cpu_probes;
    device->destroy = cpu_destroy;
    set_ops(&device->ops);
    level->set_ops(&device->ops);
    device->ops.limits = level->limits;
    *out = device;
    return LOAM_OK;
}
