// LayerNorm, and RMSNorm as one without mean.
#include "device/gpu/ops/ops.h"

static enum loam_status forward(struct loam_stream *stream, const struct loam_tensor *x,
                                struct norm_forward_params p, const struct loam_launch *buffers)
{
    struct loam_launch launch = *buffers;
    p.columns = x->shape[1];
    p.dtype = (i32)x->dtype;
    launch.kernel = LOAM_KERNEL_norm_forward;
    launch.grid[0] = x->shape[0];
    launch.shared = BLOCK_THREADS * sizeof(f32);
    launch.params = &p;
    launch.params_bytes = sizeof p;
    return loam_gpu_launch(stream, &launch);
}

enum loam_status loam_gpu_layernorm_forward(struct loam_stream *stream,
                                            const struct loam_layernorm_forward_args *args)
{
    return forward(stream, &args->x, (struct norm_forward_params){.eps = args->eps},
                   &(struct loam_launch){.buffers = {args->x.data, args->w.data, args->b.data, args->y.data,
                                                     args->mean.data, args->rstd.data}});
}

enum loam_status loam_gpu_rmsnorm_forward(struct loam_stream *stream,
                                          const struct loam_rmsnorm_forward_args *args)
{
    return forward(stream, &args->x, (struct norm_forward_params){.eps = args->eps, .offset = args->offset},
                   &(struct loam_launch){
                       .buffers = {args->x.data, args->w.data, NULL, args->y.data, NULL, args->rstd.data}});
}

static enum loam_status backward(struct loam_stream *stream, const struct loam_tensor *x,
                                 struct norm_backward_params p, const struct loam_launch *buffers)
{
    struct loam_launch launch = *buffers;
    p.columns = x->shape[1];
    p.dtype = (i32)x->dtype;
    launch.kernel = LOAM_KERNEL_norm_backward;
    launch.grid[0] = x->shape[0];
    launch.shared = BLOCK_THREADS * sizeof(f32);
    launch.params = &p;
    launch.params_bytes = sizeof p;
    return loam_gpu_launch(stream, &launch);
}

// The sums over rows come first, because dx may be dy.
enum loam_status loam_gpu_layernorm_backward(struct loam_stream *stream,
                                             const struct loam_layernorm_backward_args *args)
{
    struct column_sums sums = {.dy = &args->dy, .factor = 1.0f, .out = args->db.data};
    if (args->db.data != NULL) LOAM_TRY(loam_gpu_column_sums(stream, &sums));
    sums.x = &args->x;
    sums.mean = args->mean.data;
    sums.rstd = args->rstd.data;
    sums.out = args->dw.data;
    if (args->dw.data != NULL) LOAM_TRY(loam_gpu_column_sums(stream, &sums));
    return backward(stream, &args->x, (struct norm_backward_params){.accumulate = args->accumulate},
                    &(struct loam_launch){.buffers = {args->dy.data, args->x.data, args->w.data,
                                                      args->mean.data, args->rstd.data, args->dx.data}});
}

enum loam_status loam_gpu_rmsnorm_backward(struct loam_stream *stream,
                                           const struct loam_rmsnorm_backward_args *args)
{
    const struct column_sums sums = {
        .dy = &args->dy, .x = &args->x, .rstd = args->rstd.data, .factor = 1.0f, .out = args->dw.data};
    if (args->dw.data != NULL) LOAM_TRY(loam_gpu_column_sums(stream, &sums));
    return backward(stream, &args->x,
                    (struct norm_backward_params){.accumulate = args->accumulate, .offset = args->offset},
                    &(struct loam_launch){.buffers = {args->dy.data, args->x.data, args->w.data, NULL,
                                                      args->rstd.data, args->dx.data}});
}
