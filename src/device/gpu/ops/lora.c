// LoRA's products, of linears and of the embedding.
#include "device/fused.h"
#include "device/gpu/ops/ops.h"

// x [T, K] as rows of terms, dropped by index t K + k; and as columns, the terms being the rows.
static struct matrix dropped_rows(const struct loam_tensor *x)
{
    struct matrix rows = loam_gpu_rows(x);
    rows.dropped = true;
    rows.drop_i = x->shape[1];
    rows.drop_k = 1;
    return rows;
}

static struct matrix dropped_columns(const struct loam_tensor *x)
{
    struct matrix columns = loam_gpu_columns(x);
    columns.dropped = true;
    columns.drop_i = 1;
    columns.drop_k = x->shape[1];
    return columns;
}

size_t loam_gpu_lora_forward_scratch(const struct loam_device *device,
                                     const struct loam_lora_forward_args *args)
{
    (void)args;
    return loam_gpu_product_scratch(device);
}

// t = drop(x) aT
static enum loam_status make_t(struct loam_stream *stream, const struct loam_lora_forward_args *args)
{
    return loam_gpu_product(stream, &(struct product){.m = args->x.shape[0],
                                                      .n = args->a.shape[0],
                                                      .k = args->x.shape[1],
                                                      .a = dropped_rows(&args->x),
                                                      .b = loam_gpu_rows(&args->a),
                                                      .c = args->t,
                                                      .dropout = args->dropout,
                                                      .scale = 1.0f});
}

enum loam_status loam_gpu_lora_forward(struct loam_stream *stream, const struct loam_lora_forward_args *args)
{
    LOAM_TRY(make_t(stream, args));
    return loam_gpu_product(stream, &(struct product){.m = args->x.shape[0],
                                                      .n = args->b.shape[0],
                                                      .k = args->a.shape[0],
                                                      .a = loam_gpu_rows(&args->t),
                                                      .b = loam_gpu_rows(&args->b),
                                                      .bias = &args->bias,
                                                      .c = args->y,
                                                      .accumulate = true,
                                                      .scale = args->scale});
}

// f32 [rows, columns] of the scratch; without data where it was not planned for.
static struct loam_tensor scratch_matrix(struct loam_stream *stream, int64_t rows, int64_t columns)
{
    void *const data = loam_stream_scratch(stream, loam_scratch_bytes(rows * columns, sizeof(f32)));
    return loam_tensor_2d(data, LOAM_F32, rows, columns);
}

size_t loam_gpu_lora_backward_scratch(const struct loam_device *device,
                                      const struct loam_lora_backward_args *args)
{
    return loam_gpu_product_scratch(device) +
           loam_scratch_bytes(args->dy.shape[0] * args->a.shape[0], sizeof(f32));
}

// db += scale dyT t; dbias += scale sum_t dy; da += dtT drop(x)
static enum loam_status backward_adapter(struct loam_stream *stream,
                                         const struct loam_lora_backward_args *args,
                                         const struct loam_tensor *dt)
{
    const int64_t tokens = args->dy.shape[0], rank = args->a.shape[0];
    const struct product db = {.m = args->dy.shape[1],
                               .n = rank,
                               .k = tokens,
                               .a = loam_gpu_columns(&args->dy),
                               .b = loam_gpu_columns(&args->t),
                               .c = args->db,
                               .accumulate = true,
                               .scale = args->scale};
    const struct product da = {.m = rank,
                               .n = args->x.shape[1],
                               .k = tokens,
                               .a = loam_gpu_columns(dt),
                               .b = dropped_columns(&args->x),
                               .c = args->da,
                               .accumulate = true,
                               .dropout = args->dropout,
                               .scale = 1.0f};
    const struct column_sums dbias = {.dy = &args->dy, .factor = args->scale, .out = args->dbias.data};
    if (args->db.data != NULL) LOAM_TRY(loam_gpu_product(stream, &db));
    if (args->dbias.data != NULL) LOAM_TRY(loam_gpu_column_sums(stream, &dbias));
    return args->da.data != NULL ? loam_gpu_product(stream, &da) : LOAM_OK;
}

// Gives dt = scale dy b, and adds the gradients of the adapter.
static enum loam_status backward_but_input(struct loam_stream *stream,
                                           const struct loam_lora_backward_args *args, struct loam_tensor *dt)
{
    const int64_t tokens = args->dy.shape[0], rank = args->a.shape[0];
    *dt = scratch_matrix(stream, tokens, rank);
    if (dt->data == NULL) return LOAM_ERROR_INTERNAL;
    LOAM_TRY(loam_gpu_product(stream, &(struct product){.m = tokens,
                                                        .n = rank,
                                                        .k = args->dy.shape[1],
                                                        .a = loam_gpu_rows(&args->dy),
                                                        .b = loam_gpu_columns(&args->b),
                                                        .c = *dt,
                                                        .scale = args->scale}));
    return backward_adapter(stream, args, dt);
}

enum loam_status loam_gpu_lora_backward(struct loam_stream *stream,
                                        const struct loam_lora_backward_args *args)
{
    struct loam_tensor dt;
    LOAM_TRY(backward_but_input(stream, args, &dt));
    if (args->dx.data == NULL) return LOAM_OK;
    return loam_gpu_product(stream, &(struct product){.m = args->dy.shape[0],
                                                      .n = args->x.shape[1],
                                                      .k = args->a.shape[0],
                                                      .a = loam_gpu_rows(&dt),
                                                      .b = loam_gpu_columns(&args->a),
                                                      .c = args->dx,
                                                      .accumulate = true,
                                                      .drop_sum = true,
                                                      .dropout = args->dropout,
                                                      .scale = 1.0f});
}

// ---- a linear with its adapter ----

// Whether one product adds the adapter, by a sum that goes on over the rank. The kernel for few rows has no second pair of
// operands. Where there is a library for plain products, its product and one for the adapter are taken instead.
static bool is_one_product(const struct loam_stream *stream, const struct loam_tensor *x,
                           const struct loam_weight *w)
{
    const struct loam_gpu *gpu = loam_gpu(stream->device);
    return gpu->plain_product == NULL && x->shape[0] > PRODUCT_FEW && (gpu->mma >> x->dtype & 1u) != 0 &&
           !w->transposed;
}

size_t loam_gpu_lora_linear_forward_scratch(const struct loam_device *device,
                                            const struct loam_lora_linear_forward_args *args)
{
    (void)args;
    return loam_gpu_product_scratch(device);
}

enum loam_status loam_gpu_lora_linear_forward(struct loam_stream *stream,
                                              const struct loam_lora_linear_forward_args *args)
{
    const struct loam_linear_forward_args linear = loam_fused_linear_forward(args);
    const struct loam_lora_forward_args lora = loam_fused_lora_forward(args);
    if (!is_one_product(stream, &args->x, &args->w)) {
        LOAM_TRY(loam_gpu_linear_forward(stream, &linear));
        return loam_gpu_lora_forward(stream, &lora);
    }
    struct matrix t = loam_gpu_rows(&args->t);
    t.factor = args->scale;
    LOAM_TRY(make_t(stream, &lora));
    return loam_gpu_product(stream, &(struct product){.m = args->x.shape[0],
                                                      .n = args->b.shape[0],
                                                      .k = args->x.shape[1],
                                                      .a = loam_gpu_rows(&args->x),
                                                      .b = loam_gpu_rows(&args->w.tensor),
                                                      .k2 = args->a.shape[0],
                                                      .a2 = t,
                                                      .b2 = loam_gpu_rows(&args->b),
                                                      .bias = &args->bias,
                                                      .residual = &args->residual,
                                                      .c = args->y,
                                                      .scale = 1.0f});
}

size_t loam_gpu_lora_linear_backward_scratch(const struct loam_device *device,
                                             const struct loam_lora_linear_backward_args *args)
{
    return loam_gpu_product_scratch(device) +
           loam_scratch_bytes(args->dy.shape[0] * args->a.shape[0], sizeof(f32));
}

enum loam_status loam_gpu_lora_linear_backward(struct loam_stream *stream,
                                               const struct loam_lora_linear_backward_args *args)
{
    const struct loam_linear_backward_input_args linear = loam_fused_backward_input(args);
    const struct loam_lora_backward_args lora = loam_fused_lora_backward(args);
    struct loam_tensor dt;
    // A sum that is dropped in part is no sum of one product.
    if (!is_one_product(stream, &args->dy, &args->w) || args->dropout.p > 0.0f) {
        LOAM_TRY(loam_gpu_linear_backward_input(stream, &linear));
        return loam_gpu_lora_backward(stream, &lora);
    }
    LOAM_TRY(backward_but_input(stream, &lora, &dt));
    return loam_gpu_product(stream, &(struct product){.m = args->dy.shape[0],
                                                      .n = args->x.shape[1],
                                                      .k = args->dy.shape[1],
                                                      .a = loam_gpu_rows(&args->dy),
                                                      .b = loam_gpu_columns(&args->w.tensor),
                                                      .k2 = args->a.shape[0],
                                                      .a2 = loam_gpu_rows(&dt),
                                                      .b2 = loam_gpu_columns(&args->a),
                                                      .c = args->dx,
                                                      .accumulate = args->accumulate,
                                                      .scale = 1.0f});
}

// ---- the embedding ----

size_t loam_gpu_lora_embedding_forward_scratch(const struct loam_device *device,
                                               const struct loam_lora_embedding_forward_args *args)
{
    return loam_gpu_product_scratch(device) +
           loam_scratch_bytes(args->y.shape[0] * args->a.shape[0], sizeof(f32));
}

enum loam_status loam_gpu_lora_embedding_forward(struct loam_stream *stream,
                                                 const struct loam_lora_embedding_forward_args *args)
{
    const int64_t tokens = args->y.shape[0], rank = args->a.shape[0];
    const struct loam_tensor rows = scratch_matrix(stream, tokens, rank); // b[ids[t]]
    if (rows.data == NULL) return LOAM_ERROR_INTERNAL;
    LOAM_TRY(loam_gpu_gather(stream, &args->b, &args->ids, &rows));
    return loam_gpu_product(stream, &(struct product){.m = tokens,
                                                      .n = args->y.shape[1],
                                                      .k = rank,
                                                      .a = loam_gpu_rows(&rows),
                                                      .b = loam_gpu_columns(&args->a),
                                                      .c = args->y,
                                                      .accumulate = true,
                                                      .scale = args->scale});
}

size_t loam_gpu_lora_embedding_backward_scratch(const struct loam_device *device,
                                                const struct loam_lora_embedding_backward_args *args)
{
    return loam_gpu_product_scratch(device) + loam_gpu_scatter_scratch(args->dy.shape[0]) +
           2 * loam_scratch_bytes(args->dy.shape[0] * args->a.shape[0], sizeof(f32));
}

enum loam_status loam_gpu_lora_embedding_backward(struct loam_stream *stream,
                                                  const struct loam_lora_embedding_backward_args *args)
{
    const int64_t tokens = args->dy.shape[0], size = args->dy.shape[1], rank = args->a.shape[0];
    const struct loam_tensor rows = scratch_matrix(stream, tokens, rank);  // b[ids[t]]
    const struct loam_tensor drows = scratch_matrix(stream, tokens, rank); // scale dy aT
    if (rows.data == NULL || drows.data == NULL) return LOAM_ERROR_INTERNAL;
    LOAM_TRY(loam_gpu_gather(stream, &args->b, &args->ids, &rows));
    LOAM_TRY(loam_gpu_product(stream, &(struct product){.m = tokens,
                                                        .n = rank,
                                                        .k = size,
                                                        .a = loam_gpu_rows(&args->dy),
                                                        .b = loam_gpu_rows(&args->a),
                                                        .c = drows,
                                                        .exact = true,
                                                        .scale = args->scale}));
    LOAM_TRY(loam_gpu_scatter(stream, &args->ids, NULL, &drows, 1.0f, &args->db));
    return loam_gpu_product(stream, &(struct product){.m = rank,
                                                      .n = size,
                                                      .k = tokens,
                                                      .a = loam_gpu_columns(&rows),
                                                      .b = loam_gpu_columns(&args->dy),
                                                      .c = args->da,
                                                      .exact = true,
                                                      .accumulate = true,
                                                      .scale = args->scale});
}
