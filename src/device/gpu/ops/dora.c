#include "device/gpu/ops/ops.h"

enum loam_status loam_gpu_dora_norm(struct loam_stream *stream, const struct loam_dora_norm_args *args)
{
    const int64_t n = args->b.shape[0], k = args->a.shape[1], rank = args->a.shape[0];
    const struct loam_tensor *w = &args->w.tensor;
    struct dora_norm_params p = {
        .length = k,
        .w_i = args->w.transposed ? 1 : w->stride[0],
        .w_j = args->w.transposed ? w->stride[0] : 1,
        .u_i = rank, // u is b, and v is a
        .u_r = 1,
        .v_r = k,
        .v_j = 1,
        .rank = (i32)rank,
        .w_dtype = (i32)w->dtype,
        .scale = args->scale,
    };
    if (args->columns) { // u is a, and v is b
        p.length = n;
        p.w_i = 1;
        p.w_j = w->stride[0];
        p.u_i = 1;
        p.u_r = k;
        p.v_r = 1;
        p.v_j = rank;
    }
    void *const u = args->columns ? args->a.data : args->b.data;
    void *const v = args->columns ? args->b.data : args->a.data;
    return loam_gpu_launch(stream, &(struct loam_launch){.kernel = LOAM_KERNEL_dora_norm,
                                                         .grid = {args->columns ? k : n},
                                                         .shared = BLOCK_THREADS * sizeof(f32),
                                                         .buffers = {w->data, u, v, args->norms.data},
                                                         LOAM_PARAMS(p)});
}

enum loam_status loam_gpu_dora_forward(struct loam_stream *stream, const struct loam_dora_forward_args *args)
{
    const struct loam_tensor *z = &args->z;
    const struct dora_forward_params p = {.cells = loam_cells(z->shape[1]),
                                          .residual_row = args->residual.stride[0],
                                          .y_row = args->y.stride[0],
                                          .dtype = (i32)z->dtype,
                                          .whole = args->whole,
                                          .factor = args->factor};
    return loam_gpu_launch(
        stream,
        &(struct loam_launch){.kernel = LOAM_KERNEL_dora_forward,
                              .grid = {loam_cell_blocks(z->shape[0], p.cells)},
                              .buffers = {z->data, args->u.data, args->magnitude.data, args->norms.data,
                                          args->bias.data, args->residual.data, args->y.data},
                              LOAM_PARAMS(p)});
}

// The sums over rows come first, because dz and du may take the place of what they read.
enum loam_status loam_gpu_dora_backward(struct loam_stream *stream,
                                        const struct loam_dora_backward_args *args)
{
    const struct loam_tensor *dy = &args->dy;
    const struct column_sums sums = {.dy = dy,
                                     .x = &args->z,
                                     .u = args->u.data,
                                     .norms = args->norms.data,
                                     .factor = args->factor,
                                     .out = args->dmagnitude.data};
    if (args->dmagnitude.data != NULL) LOAM_TRY(loam_gpu_column_sums(stream, &sums));
    const struct dora_backward_params p = {.cells = loam_cells(dy->shape[1]),
                                           .dy_row = dy->stride[0],
                                           .dtype = (i32)dy->dtype,
                                           .whole = args->whole,
                                           .factor = args->factor};
    return loam_gpu_launch(stream,
                           &(struct loam_launch){.kernel = LOAM_KERNEL_dora_backward,
                                                 .grid = {loam_cell_blocks(dy->shape[0], p.cells)},
                                                 .buffers = {dy->data, args->magnitude.data, args->norms.data,
                                                             args->dz.data, args->du.data},
                                                 LOAM_PARAMS(p)});
}
