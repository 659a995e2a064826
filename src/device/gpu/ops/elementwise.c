// Activations and rotary positions.
#include "device/gpu/ops/ops.h"

// The elements of a contiguous tensor, as one row.
static enum loam_status activation(struct loam_stream *stream, enum loam_activation kind,
                                   const struct loam_tensor *x, const struct loam_tensor *y,
                                   const struct loam_tensor *dy)
{
    const struct loam_tensor *const tensors[] = {x, y, dy};
    const struct activation_params p = {
        .cells = loam_run_cells(loam_tensor_count(x), loam_gpu_run(tensors, dy != NULL ? 3 : 2)),
        .dtype = (i32)x->dtype,
        .kind = (i32)kind};
    return loam_gpu_launch(stream,
                           &(struct loam_launch){.kernel = LOAM_KERNEL_activation,
                                                 .grid = {loam_cell_blocks(1, p.cells)},
                                                 .buffers = {x->data, dy != NULL ? dy->data : NULL, y->data},
                                                 LOAM_PARAMS(p)});
}

enum loam_status loam_gpu_activation_forward(struct loam_stream *stream,
                                             const struct loam_activation_forward_args *args)
{
    return activation(stream, args->kind, &args->x, &args->y, NULL);
}

enum loam_status loam_gpu_activation_backward(struct loam_stream *stream,
                                              const struct loam_activation_backward_args *args)
{
    return activation(stream, args->kind, &args->x, &args->dx, &args->dy);
}

enum loam_status loam_gpu_gated_activation_forward(struct loam_stream *stream,
                                                   const struct loam_gated_activation_forward_args *args)
{
    const struct loam_tensor *gate = &args->gate;
    const struct loam_tensor *const tensors[] = {gate, &args->up, &args->y};
    const struct gated_forward_params p = {.cells = loam_run_cells(gate->shape[1], loam_gpu_run(tensors, 3)),
                                           .gate_row = gate->stride[0],
                                           .up_row = args->up.stride[0],
                                           .y_row = args->y.stride[0],
                                           .dtype = (i32)gate->dtype,
                                           .kind = (i32)args->kind};
    return loam_gpu_launch(stream, &(struct loam_launch){.kernel = LOAM_KERNEL_gated_forward,
                                                         .grid = {loam_cell_blocks(gate->shape[0], p.cells)},
                                                         .buffers = {gate->data, args->up.data, args->y.data},
                                                         LOAM_PARAMS(p)});
}

enum loam_status loam_gpu_gated_activation_backward(struct loam_stream *stream,
                                                    const struct loam_gated_activation_backward_args *args)
{
    const struct loam_tensor *gate = &args->gate;
    const struct loam_tensor *const tensors[] = {gate, &args->up, &args->dy, &args->dgate, &args->dup};
    const struct gated_backward_params p = {.cells = loam_run_cells(gate->shape[1], loam_gpu_run(tensors, 5)),
                                            .gate_row = gate->stride[0],
                                            .up_row = args->up.stride[0],
                                            .dy_row = args->dy.stride[0],
                                            .dgate_row = args->dgate.stride[0],
                                            .dup_row = args->dup.stride[0],
                                            .dtype = (i32)gate->dtype,
                                            .kind = (i32)args->kind};
    return loam_gpu_launch(stream, &(struct loam_launch){.kernel = LOAM_KERNEL_gated_backward,
                                                         .grid = {loam_cell_blocks(gate->shape[0], p.cells)},
                                                         .buffers = {gate->data, args->up.data, args->dy.data,
                                                                     args->dgate.data, args->dup.data},
                                                         LOAM_PARAMS(p)});
}

enum loam_status loam_gpu_rope_table(struct loam_stream *stream, const struct loam_rope_table_args *args)
{
    const struct loam_tensor *table = &args->table;
    const struct rope_table_params p = {.cells = loam_cells(table->shape[1] / 2),
                                        .factor = args->factor,
                                        .query_beta = args->query_beta,
                                        .query_context = args->query_context};
    return loam_gpu_launch(
        stream, &(struct loam_launch){.kernel = LOAM_KERNEL_rope_table,
                                      .grid = {loam_cell_blocks(table->shape[0], p.cells)},
                                      .buffers = {args->positions.data, args->frequencies.data, table->data},
                                      LOAM_PARAMS(p)});
}

static struct rope_member rope_member_of(const struct loam_rope_args *args)
{
    const struct loam_tensor *x = &args->x;
    return (struct rope_member){.cells = loam_cells(x->shape[1] * x->shape[2] / 2),
                                .x_row = x->stride[0],
                                .x_head = x->stride[1],
                                .pairs = (i32)x->shape[2] / 2,
                                .dtype = (i32)x->dtype,
                                .interleaved = args->interleaved,
                                .inverse = args->inverse};
}

static enum loam_status launch_rope(struct loam_stream *stream, const struct loam_rope_args *parts, int count)
{
    struct rope_params p = {.tokens = (i32)parts[0].x.shape[0]};
    struct loam_launch launch = {.kernel = LOAM_KERNEL_rope, .grid = {0, count}, LOAM_PARAMS(p)};
    for (int i = 0; i < count; i++) {
        p.members[i] = rope_member_of(&parts[i]);
        launch.buffers[i] = parts[i].x.data;
        launch.buffers[2 + i] = parts[i].table.data;
        const int64_t blocks = loam_cell_blocks(p.tokens, p.members[i].cells);
        if (blocks > launch.grid[0]) launch.grid[0] = blocks;
    }
    return loam_gpu_launch(stream, &launch);
}

enum loam_status loam_gpu_rope(struct loam_stream *stream, const struct loam_rope_args *args)
{
    return launch_rope(stream, args, 1);
}

enum loam_status loam_gpu_ropes(struct loam_stream *stream, const struct loam_ropes_args *args)
{
    return launch_rope(stream, (const struct loam_rope_args[]){args->query, args->key}, 2);
}
