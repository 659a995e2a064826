#include "device/fused.h"

#include "device/device.h"

void loam_decompose_lora_linear_forward(struct loam_stream *stream,
                                        const struct loam_lora_linear_forward_args *args)
{
    const struct loam_linear_forward_args linear = loam_fused_linear_forward(args);
    const struct loam_lora_forward_args lora = loam_fused_lora_forward(args);
    loam_linear_forward(stream, &linear);
    loam_lora_forward(stream, &lora);
}

void loam_decompose_lora_linear_backward(struct loam_stream *stream,
                                         const struct loam_lora_linear_backward_args *args)
{
    const struct loam_linear_backward_input_args linear = loam_fused_backward_input(args);
    const struct loam_lora_backward_args lora = loam_fused_lora_backward(args);
    loam_linear_backward_input(stream, &linear);
    loam_lora_backward(stream, &lora);
}

void loam_decompose_linears_forward(struct loam_stream *stream, const struct loam_linears_forward_args *args)
{
    for (int i = 0; i < args->count; i++) {
        const struct loam_lora_linear_forward_args part = loam_linears_forward_part_args(args, i);
        const struct loam_linear_forward_args linear = loam_fused_linear_forward(&part);
        if (part.a.data != NULL)
            loam_lora_linear_forward(stream, &part);
        else
            loam_linear_forward(stream, &linear);
    }
}

void loam_decompose_linears_backward(struct loam_stream *stream,
                                     const struct loam_linears_backward_args *args)
{
    for (int i = 0; i < args->count; i++) {
        const struct loam_lora_linear_backward_args part = loam_linears_backward_part_args(args, i);
        const struct loam_linear_backward_input_args linear = loam_fused_backward_input(&part);
        if (part.a.data != NULL)
            loam_lora_linear_backward(stream, &part);
        else
            loam_linear_backward_input(stream, &linear);
    }
}

void loam_decompose_ropes(struct loam_stream *stream, const struct loam_ropes_args *args)
{
    loam_rope(stream, &args->query);
    loam_rope(stream, &args->key);
}
