// The ops that a fused op is made of, as their arguments.
#ifndef LOAM_DEVICE_FUSED_H
#define LOAM_DEVICE_FUSED_H

#include "device/ops.h"

struct loam_stream;

static inline struct loam_linear_forward_args
loam_fused_linear_forward(const struct loam_lora_linear_forward_args *args)
{
    return (struct loam_linear_forward_args){
        .x = args->x, .w = args->w, .bias = args->bias, .residual = args->residual, .y = args->y};
}

static inline struct loam_lora_forward_args
loam_fused_lora_forward(const struct loam_lora_linear_forward_args *args)
{
    return (struct loam_lora_forward_args){.x = args->x,
                                           .a = args->a,
                                           .b = args->b,
                                           .scale = args->scale,
                                           .dropout = args->dropout,
                                           .t = args->t,
                                           .y = args->y};
}

static inline struct loam_linear_backward_input_args
loam_fused_backward_input(const struct loam_lora_linear_backward_args *args)
{
    return (struct loam_linear_backward_input_args){
        .dy = args->dy, .w = args->w, .dx = args->dx, .accumulate = args->accumulate};
}

static inline struct loam_lora_backward_args
loam_fused_lora_backward(const struct loam_lora_linear_backward_args *args)
{
    return (struct loam_lora_backward_args){.dy = args->dy,
                                            .x = args->x,
                                            .a = args->a,
                                            .b = args->b,
                                            .t = args->t,
                                            .scale = args->scale,
                                            .dropout = args->dropout,
                                            .da = args->da,
                                            .db = args->db,
                                            .dx = args->dx};
}

// Plan or run these ops, on a device that lacks the fused one.
void loam_decompose_lora_linear_forward(struct loam_stream *stream,
                                        const struct loam_lora_linear_forward_args *args);
void loam_decompose_lora_linear_backward(struct loam_stream *stream,
                                         const struct loam_lora_linear_backward_args *args);

#endif
