// LoRA beside a linear, by one of the context's kernels.
#include "device/cpu/cpu.h"

// The kernel for bf16 reads x as it lies; dropout changes x, and its result is f32. It has no bias of B.
static const struct lora_kernel *choose_kernel(const struct loam_device *device, const struct loam_tensor *x,
                                               const struct loam_dropout *dropout,
                                               const struct loam_tensor *bias)
{
    const struct cpu_context *context = cpu_context(device);
    const bool bf16 = x->dtype == LOAM_BF16 && dropout->p <= 0 && bias->data == NULL;
    return bf16 && context->lora_bf16 != NULL ? context->lora_bf16 : context->lora;
}

static enum loam_status lora_forward(struct loam_stream *stream, const struct loam_lora_forward_args *args)
{
    return choose_kernel(stream->device, &args->x, &args->dropout, &args->bias)->forward(stream, args);
}

static size_t lora_forward_scratch(const struct loam_device *device,
                                   const struct loam_lora_forward_args *args)
{
    return choose_kernel(device, &args->x, &args->dropout, &args->bias)->forward_scratch(device, args);
}

static enum loam_status lora_backward(struct loam_stream *stream, const struct loam_lora_backward_args *args)
{
    return choose_kernel(stream->device, &args->x, &args->dropout, &args->dbias)->backward(stream, args);
}

static size_t lora_backward_scratch(const struct loam_device *device,
                                    const struct loam_lora_backward_args *args)
{
    return choose_kernel(device, &args->x, &args->dropout, &args->dbias)->backward_scratch(device, args);
}

void loam_cpu_lora_ops(struct loam_op_table *ops)
{
    ops->lora_forward.run = lora_forward;
    ops->lora_forward.scratch = lora_forward_scratch;
    ops->lora_backward.run = lora_backward;
    ops->lora_backward.scratch = lora_backward_scratch;
}
