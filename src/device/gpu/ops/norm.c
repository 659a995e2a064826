// LayerNorm, and RMSNorm as one without mean and bias, whose weight is w + offset.
#include "device/gpu/ops/ops.h"

// A block for each row of x, with the kernel's parameters and buffers.
static enum loam_status launch(struct loam_stream *stream, const struct loam_tensor *x,
                               struct loam_launch rows)
{
    rows.grid[0] = x->shape[0];
    rows.shared = BLOCK_THREADS * sizeof(f32);
    return loam_gpu_launch(stream, &rows);
}

static enum loam_status norm_forward(struct loam_stream *stream,
                                     const struct loam_layernorm_forward_args *args, float offset)
{
    const struct loam_tensor *x = &args->x;
    const struct loam_tensor *const tensors[] = {x, &args->y, &args->w, &args->b};
    const struct norm_forward_params p = {.columns = x->shape[1],
                                          .dtype = (i32)x->dtype,
                                          .offset = offset,
                                          .eps = args->eps,
                                          .run = loam_gpu_run(tensors, args->b.data != NULL ? 4 : 3)};
    return launch(stream, x,
                  (struct loam_launch){.kernel = LOAM_KERNEL_norm_forward,
                                       .buffers = {x->data, args->w.data, args->b.data, args->y.data,
                                                   args->mean.data, args->rstd.data},
                                       LOAM_PARAMS(p)});
}

enum loam_status loam_gpu_layernorm_forward(struct loam_stream *stream,
                                            const struct loam_layernorm_forward_args *args)
{
    return norm_forward(stream, args, 0.0f);
}

enum loam_status loam_gpu_rmsnorm_forward(struct loam_stream *stream,
                                          const struct loam_rmsnorm_forward_args *args)
{
    return norm_forward(stream,
                        &(struct loam_layernorm_forward_args){
                            .x = args->x, .w = args->w, .eps = args->eps, .y = args->y, .rstd = args->rstd},
                        args->offset);
}

// The sums over rows come first, because dx may be dy.
static enum loam_status norm_backward(struct loam_stream *stream,
                                      const struct loam_layernorm_backward_args *args, float offset)
{
    struct column_sums sums = {.dy = &args->dy, .factor = 1.0f, .out = args->db.data};
    if (args->db.data != NULL) LOAM_TRY(loam_gpu_column_sums(stream, &sums));
    sums.x = &args->x;
    sums.mean = args->mean.data;
    sums.rstd = args->rstd.data;
    sums.out = args->dw.data;
    if (args->dw.data != NULL) LOAM_TRY(loam_gpu_column_sums(stream, &sums));
    const struct loam_tensor *x = &args->x;
    const struct loam_tensor *const tensors[] = {x, &args->dy, &args->dx, &args->w};
    const struct norm_backward_params p = {.columns = x->shape[1],
                                           .dtype = (i32)x->dtype,
                                           .offset = offset,
                                           .accumulate = args->accumulate,
                                           .run = loam_gpu_run(tensors, 4)};
    return launch(stream, x,
                  (struct loam_launch){.kernel = LOAM_KERNEL_norm_backward,
                                       .buffers = {args->dy.data, x->data, args->w.data, args->mean.data,
                                                   args->rstd.data, args->dx.data},
                                       LOAM_PARAMS(p)});
}

enum loam_status loam_gpu_layernorm_backward(struct loam_stream *stream,
                                             const struct loam_layernorm_backward_args *args)
{
    return norm_backward(stream, args, 0.0f);
}

enum loam_status loam_gpu_rmsnorm_backward(struct loam_stream *stream,
                                           const struct loam_rmsnorm_backward_args *args)
{
    return norm_backward(stream,
                         &(struct loam_layernorm_backward_args){.dy = args->dy,
                                                                .x = args->x,
                                                                .w = args->w,
                                                                .rstd = args->rstd,
                                                                .dw = args->dw,
                                                                .dx = args->dx,
                                                                .accumulate = args->accumulate},
                         args->offset);
}
