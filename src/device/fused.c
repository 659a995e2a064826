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
