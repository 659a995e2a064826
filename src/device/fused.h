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

// Part i with its adapter; `a` has no data where it has none.
static inline struct loam_lora_linear_forward_args
loam_linears_forward_part_args(const struct loam_linears_forward_args *args, int i)
{
    const struct loam_linears_forward_part *part = &args->parts[i];
    return (struct loam_lora_linear_forward_args){.x = args->x,
                                                  .w = part->w,
                                                  .bias = part->bias,
                                                  .a = part->a,
                                                  .b = part->b,
                                                  .scale = part->scale,
                                                  .dropout = part->dropout,
                                                  .t = part->t,
                                                  .y = part->y};
}

static inline struct loam_lora_linear_backward_args
loam_linears_backward_part_args(const struct loam_linears_backward_args *args, int i)
{
    const struct loam_linears_backward_part *part = &args->parts[i];
    return (struct loam_lora_linear_backward_args){.dy = part->dy,
                                                   .x = args->x,
                                                   .w = part->w,
                                                   .a = part->a,
                                                   .b = part->b,
                                                   .t = part->t,
                                                   .scale = part->scale,
                                                   .dropout = part->dropout,
                                                   .da = part->da,
                                                   .db = part->db,
                                                   .dx = args->dx,
                                                   .accumulate = args->accumulate || i > 0};
}

// Plan or run these ops, on a device that lacks the fused one.
void loam_decompose_lora_linear_forward(struct loam_stream *stream,
                                        const struct loam_lora_linear_forward_args *args);
void loam_decompose_lora_linear_backward(struct loam_stream *stream,
                                         const struct loam_lora_linear_backward_args *args);
void loam_decompose_linears_forward(struct loam_stream *stream, const struct loam_linears_forward_args *args);
void loam_decompose_linears_backward(struct loam_stream *stream,
                                     const struct loam_linears_backward_args *args);
void loam_decompose_ropes(struct loam_stream *stream, const struct loam_ropes_args *args);

#endif
