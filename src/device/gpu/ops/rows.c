// Rows of activations: sums, copies, dropout, embeddings and trained tokens.
#include "device/gpu/ops/ops.h"

// Whether runs of the rows of a vector or a matrix are aligned to 16 bytes.
static bool has_runs(const struct loam_tensor *x)
{
    const int64_t columns = x->shape[x->rank - 1], row = x->rank > 1 ? x->stride[0] : 0;
    return columns % RUN == 0 && (uintptr_t)x->data % 16 == 0 &&
           (size_t)row * loam_dtype_size(x->dtype) % 16 == 0;
}

i32 loam_gpu_run(const struct loam_tensor *const *tensors, int count)
{
    for (int i = 0; i < count; i++)
        if (!has_runs(tensors[i])) return 1;
    return RUN;
}

enum loam_status loam_gpu_add_scaled_rows(struct loam_stream *stream, const struct loam_tensor *x,
                                          const struct loam_tensor *residual, float factor,
                                          const struct loam_tensor *y)
{
    const struct loam_tensor *const tensors[] = {x, y, residual};
    const i32 run = loam_gpu_run(tensors, residual->data != NULL ? 3 : 2);
    const struct add_scaled_params p = {.cells = loam_run_cells(x->shape[1], run),
                                        .x_row = x->stride[0],
                                        .residual_row = residual->stride[0],
                                        .y_row = y->stride[0],
                                        .x_dtype = (i32)x->dtype,
                                        .y_dtype = (i32)y->dtype,
                                        .factor = factor};
    return loam_gpu_launch(stream, &(struct loam_launch){.kernel = LOAM_KERNEL_add_scaled,
                                                         .grid = {loam_cell_blocks(x->shape[0], p.cells)},
                                                         .buffers = {x->data, residual->data, y->data},
                                                         LOAM_PARAMS(p)});
}

enum loam_status loam_gpu_add_scaled(struct loam_stream *stream, const struct loam_add_scaled_args *args)
{
    return loam_gpu_add_scaled_rows(stream, &args->x, &args->residual, args->factor, &args->y);
}

enum loam_status loam_gpu_cast(struct loam_stream *stream, const struct loam_cast_args *args)
{
    return loam_gpu_add_scaled_rows(stream, &args->x, &(struct loam_tensor){0}, 1.0f, &args->y);
}

struct dropout_params loam_gpu_dropout_params(const struct loam_dropout *dropout)
{
    return (struct dropout_params){.seed = dropout->seed,
                                   .stream = dropout->stream,
                                   .counter = dropout->counter,
                                   .p = dropout->p,
                                   .kept = (float)(1.0 / (1.0 - (double)dropout->p))};
}

enum loam_status loam_gpu_dropout(struct loam_stream *stream, const struct loam_dropout_args *args)
{
    const struct loam_tensor *x = &args->x;
    const struct drop_params p = {.cells = loam_cells(x->shape[1]),
                                  .x_row = x->stride[0],
                                  .dropout = loam_gpu_dropout_params(&args->dropout),
                                  .dtype = (i32)x->dtype,
                                  .accumulate = args->accumulate};
    return loam_gpu_launch(stream, &(struct loam_launch){.kernel = LOAM_KERNEL_drop,
                                                         .grid = {loam_cell_blocks(x->shape[0], p.cells)},
                                                         .buffers = {x->data, args->y.data},
                                                         LOAM_PARAMS(p)});
}

enum loam_status loam_gpu_gather(struct loam_stream *stream, const struct loam_tensor *x,
                                 const struct loam_tensor *rows, const struct loam_tensor *y)
{
    const struct gather_params p = {.cells = loam_cells(y->shape[1]),
                                    .x_row = x->stride[0],
                                    .x_dtype = (i32)x->dtype,
                                    .y_dtype = (i32)y->dtype};
    return loam_gpu_launch(stream, &(struct loam_launch){.kernel = LOAM_KERNEL_gather,
                                                         .grid = {loam_cell_blocks(y->shape[0], p.cells)},
                                                         .buffers = {x->data, rows->data, y->data},
                                                         LOAM_PARAMS(p)});
}

enum loam_status loam_gpu_embedding_forward(struct loam_stream *stream,
                                            const struct loam_embedding_forward_args *args)
{
    return loam_gpu_gather(stream, &args->table, &args->ids, &args->y);
}

enum loam_status loam_gpu_gather_rows(struct loam_stream *stream, const struct loam_gather_rows_args *args)
{
    return loam_gpu_gather(stream, &args->x, &args->rows, &args->y);
}

enum loam_status loam_gpu_kv_append(struct loam_stream *stream, const struct loam_kv_append_args *args)
{
    const struct loam_tensor *x = &args->x;
    const struct loam_tensor target = loam_tensor_rows(&args->cache, args->first, x->shape[0]);
    const struct copy_heads_params p = {.cells = loam_cells(x->shape[1] * x->shape[2]),
                                        .x_row = x->stride[0],
                                        .x_head = x->stride[1],
                                        .size = (i32)x->shape[2],
                                        .dtype = (i32)x->dtype};
    return loam_gpu_launch(stream, &(struct loam_launch){.kernel = LOAM_KERNEL_copy_heads,
                                                         .grid = {loam_cell_blocks(x->shape[0], p.cells)},
                                                         .buffers = {x->data, target.data},
                                                         LOAM_PARAMS(p)});
}

size_t loam_gpu_scatter_scratch(int64_t rows)
{
    return 2 * loam_scratch_bytes(2 * rows, sizeof(i32)); // keys and their order
}

// The passes that sort keys of 0 to `most`.
static i32 sort_passes(int64_t most)
{
    i32 passes = 0;
    for (; most > 0; most >>= SORT_BITS)
        passes++;
    return passes;
}

enum loam_status loam_gpu_scatter(struct loam_stream *stream, const struct loam_tensor *ids,
                                  const struct loam_tensor *tokens, const struct loam_tensor *x, float factor,
                                  const struct loam_tensor *y)
{
    const int64_t rows = x->shape[0], end = y->shape[0];
    const struct sort_rows_params sort = {.rows = (i32)rows,
                                          .tokens = tokens != NULL ? (i32)end : 0,
                                          .passes = sort_passes(tokens != NULL ? end : end - 1)};
    const struct scatter_params p = {.cells = loam_cells(x->shape[1]),
                                     .rows = (i32)rows,
                                     .end = (i32)end,
                                     .x_dtype = (i32)x->dtype,
                                     .factor = factor};
    char *const keys = loam_stream_scratch(stream, loam_gpu_scatter_scratch(rows));
    if (keys == NULL) return LOAM_ERROR_INTERNAL;
    char *const order = keys + loam_scratch_bytes(2 * rows, sizeof(i32));
    LOAM_TRY(loam_gpu_launch(
        stream,
        &(struct loam_launch){.kernel = LOAM_KERNEL_sort_rows,
                              .grid = {rows > 0},
                              .shared = BLOCK_THREADS * (SORT_DIGITS + 1) * sizeof(i32),
                              .buffers = {ids->data, tokens != NULL ? tokens->data : NULL, keys, order},
                              LOAM_PARAMS(sort)}));
    return loam_gpu_launch(stream, &(struct loam_launch){.kernel = LOAM_KERNEL_scatter,
                                                         .grid = {loam_cell_blocks(rows, p.cells)},
                                                         .buffers = {x->data, keys, order, y->data},
                                                         LOAM_PARAMS(p)});
}

size_t loam_gpu_embedding_backward_scratch(const struct loam_device *device,
                                           const struct loam_embedding_backward_args *args)
{
    (void)device;
    return loam_gpu_scatter_scratch(args->dy.shape[0]);
}

size_t loam_gpu_replace_rows_backward_scratch(const struct loam_device *device,
                                              const struct loam_replace_rows_backward_args *args)
{
    (void)device;
    return loam_gpu_scatter_scratch(args->dy.shape[0]);
}

enum loam_status loam_gpu_embedding_backward(struct loam_stream *stream,
                                             const struct loam_embedding_backward_args *args)
{
    return loam_gpu_scatter(stream, &args->ids, NULL, &args->dy, 1.0f, &args->dtable);
}

static enum loam_status replace_rows(struct loam_stream *stream, const struct loam_tensor *ids,
                                     const struct loam_tensor *tokens, void *rows, float factor,
                                     const struct loam_tensor *y)
{
    const struct replace_rows_params p = {.cells = loam_cells(y->shape[1]),
                                          .tokens = (i32)loam_tensor_count(tokens),
                                          .dtype = (i32)y->dtype,
                                          .factor = factor};
    return loam_gpu_launch(stream, &(struct loam_launch){.kernel = LOAM_KERNEL_replace_rows,
                                                         .grid = {loam_cell_blocks(y->shape[0], p.cells)},
                                                         .buffers = {ids->data, tokens->data, rows, y->data},
                                                         LOAM_PARAMS(p)});
}

enum loam_status loam_gpu_replace_rows_forward(struct loam_stream *stream,
                                               const struct loam_replace_rows_forward_args *args)
{
    return replace_rows(stream, &args->ids, &args->tokens, args->rows.data, args->factor, &args->y);
}

enum loam_status loam_gpu_replace_rows_backward(struct loam_stream *stream,
                                                const struct loam_replace_rows_backward_args *args)
{
    if (args->drows.data != NULL) {
        const enum loam_status status =
            loam_gpu_scatter(stream, &args->ids, &args->tokens, &args->dy, args->factor, &args->drows);
        if (status != LOAM_OK) return status;
    }
    return replace_rows(stream, &args->ids, &args->tokens, NULL, args->factor, &args->dy);
}

static enum loam_status replace_columns(struct loam_stream *stream, const struct loam_tensor *x, bool forward,
                                        const struct loam_tensor *tokens, float factor,
                                        const struct loam_tensor *y)
{
    const struct replace_columns_params p = {
        .cells = loam_cells(x->shape[1]), .y_row = y->stride[0], .factor = factor};
    void *const in = forward ? x->data : NULL, *const out = forward ? NULL : x->data;
    return loam_gpu_launch(stream, &(struct loam_launch){.kernel = LOAM_KERNEL_replace_columns,
                                                         .grid = {loam_cell_blocks(x->shape[0], p.cells)},
                                                         .buffers = {in, tokens->data, out, y->data},
                                                         LOAM_PARAMS(p)});
}

enum loam_status loam_gpu_replace_columns_forward(struct loam_stream *stream,
                                                  const struct loam_replace_columns_forward_args *args)
{
    return replace_columns(stream, &args->x, true, &args->tokens, args->factor, &args->y);
}

enum loam_status loam_gpu_replace_columns_backward(struct loam_stream *stream,
                                                   const struct loam_replace_columns_backward_args *args)
{
    return replace_columns(stream, &args->dx, false, &args->tokens, args->factor, &args->dy);
}

enum loam_status loam_gpu_column_sums(struct loam_stream *stream, const struct column_sums *sums)
{
    const struct loam_tensor *dy = sums->dy, *x = sums->x;
    const struct column_sums_params p = {.columns = dy->shape[1],
                                         .dy_row = dy->stride[0],
                                         .x_row = x != NULL ? x->stride[0] : 0,
                                         .rows = (i32)dy->shape[0],
                                         .dtype = (i32)dy->dtype,
                                         .factor = sums->factor};
    return loam_gpu_launch(stream,
                           &(struct loam_launch){.kernel = LOAM_KERNEL_column_sums,
                                                 .grid = {loam_blocks(dy->shape[1], SUM_COLUMNS)},
                                                 .shared = BLOCK_THREADS * sizeof(f32),
                                                 .buffers = {dy->data, x != NULL ? x->data : NULL, sums->u,
                                                             sums->mean, sums->rstd, sums->norms, sums->out},
                                                 LOAM_PARAMS(p)});
}

enum loam_status loam_gpu_bias_backward(struct loam_stream *stream,
                                        const struct loam_bias_backward_args *args)
{
    return loam_gpu_column_sums(
        stream, &(struct column_sums){.dy = &args->dy, .factor = 1.0f, .out = args->dbias.data});
}
