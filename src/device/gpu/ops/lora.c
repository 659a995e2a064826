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
static struct product product_of_t(const struct loam_lora_forward_args *args)
{
    return (struct product){.m = args->x.shape[0],
                            .n = args->a.shape[0],
                            .k = args->x.shape[1],
                            .a = dropped_rows(&args->x),
                            .b = loam_gpu_rows(&args->a),
                            .c = args->t,
                            .dropout = args->dropout,
                            .scale = 1.0f};
}

// y += scale (t bT + bias)
static struct product product_of_update(const struct loam_lora_forward_args *args)
{
    return (struct product){.m = args->x.shape[0],
                            .n = args->b.shape[0],
                            .k = args->a.shape[0],
                            .a = loam_gpu_rows(&args->t),
                            .b = loam_gpu_rows(&args->b),
                            .bias = args->bias,
                            .c = args->y,
                            .accumulate = true,
                            .scale = args->scale};
}

enum loam_status loam_gpu_lora_forward(struct loam_stream *stream, const struct loam_lora_forward_args *args)
{
    const struct product t = product_of_t(args), update = product_of_update(args);
    LOAM_TRY(loam_gpu_product(stream, &t));
    return loam_gpu_product(stream, &update);
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

// dt = scale dy b
static struct product product_of_dt(const struct loam_lora_backward_args *args, const struct loam_tensor *dt)
{
    return (struct product){.m = args->dy.shape[0],
                            .n = args->a.shape[0],
                            .k = args->dy.shape[1],
                            .a = loam_gpu_rows(&args->dy),
                            .b = loam_gpu_columns(&args->b),
                            .c = *dt,
                            .scale = args->scale};
}

// db += scale dyT t
static struct product product_of_db(const struct loam_lora_backward_args *args)
{
    return (struct product){.m = args->dy.shape[1],
                            .n = args->a.shape[0],
                            .k = args->dy.shape[0],
                            .a = loam_gpu_columns(&args->dy),
                            .b = loam_gpu_columns(&args->t),
                            .c = args->db,
                            .accumulate = true,
                            .scale = args->scale};
}

// da += dtT drop(x)
static struct product product_of_da(const struct loam_lora_backward_args *args, const struct loam_tensor *dt)
{
    return (struct product){.m = args->a.shape[0],
                            .n = args->x.shape[1],
                            .k = args->dy.shape[0],
                            .a = loam_gpu_columns(dt),
                            .b = dropped_columns(&args->x),
                            .c = args->da,
                            .accumulate = true,
                            .dropout = args->dropout,
                            .scale = 1.0f};
}

// dx += dropped(dt a)
static struct product product_of_dx(const struct loam_lora_backward_args *args, const struct loam_tensor *dt)
{
    return (struct product){.m = args->dy.shape[0],
                            .n = args->x.shape[1],
                            .k = args->a.shape[0],
                            .a = loam_gpu_rows(dt),
                            .b = loam_gpu_columns(&args->a),
                            .c = args->dx,
                            .accumulate = true,
                            .drop_sum = true,
                            .dropout = args->dropout,
                            .scale = 1.0f};
}

// Gives dt of each adapter, and adds the gradients of all adapters. Adapters that are trained come with both gradients.
static enum loam_status backward_but_input(struct loam_stream *stream,
                                           const struct loam_lora_backward_args *adapters, int count,
                                           struct loam_tensor *dt)
{
    struct product dts[PRODUCT_GROUP], dbs[PRODUCT_GROUP], das[PRODUCT_GROUP];
    int trained_b = 0, trained_a = 0;
    for (int i = 0; i < count; i++) {
        const struct loam_lora_backward_args *args = &adapters[i];
        dt[i] = scratch_matrix(stream, args->dy.shape[0], args->a.shape[0]);
        if (dt[i].data == NULL) return LOAM_ERROR_INTERNAL;
        dts[i] = product_of_dt(args, &dt[i]);
        if (args->db.data != NULL) dbs[trained_b++] = product_of_db(args);
        if (args->da.data != NULL) das[trained_a++] = product_of_da(args, &dt[i]);
    }
    LOAM_TRY(loam_gpu_products(stream, dts, count));
    LOAM_TRY(loam_gpu_products(stream, dbs, trained_b));
    for (int i = 0; i < count; i++) {
        const struct loam_lora_backward_args *args = &adapters[i];
        const struct column_sums dbias = {.dy = &args->dy, .factor = args->scale, .out = args->dbias.data};
        if (args->dbias.data != NULL) LOAM_TRY(loam_gpu_column_sums(stream, &dbias));
    }
    return loam_gpu_products(stream, das, trained_a);
}

enum loam_status loam_gpu_lora_backward(struct loam_stream *stream,
                                        const struct loam_lora_backward_args *args)
{
    struct loam_tensor dt;
    LOAM_TRY(backward_but_input(stream, args, 1, &dt));
    const struct product dx = product_of_dx(args, &dt);
    return args->dx.data != NULL ? loam_gpu_product(stream, &dx) : LOAM_OK;
}

// ---- linears with their adapters ----

// Whether one product adds the adapter, by a sum that goes on over the rank. The kernel for few rows has no second pair of
// operands. Where there is a library for plain products, its product and one for the adapter are taken instead.
static bool is_one_product(const struct loam_stream *stream, const struct loam_tensor *x,
                           const struct loam_weight *w)
{
    const struct loam_gpu *gpu = loam_gpu(stream->device);
    return gpu->plain_product == NULL && x->shape[0] > PRODUCT_FEW && (gpu->mma >> x->dtype & 1u) != 0 &&
           !w->transposed;
}

// y = x wT + bias + residual + scale t bT
static struct product product_of_y(const struct loam_lora_linear_forward_args *args)
{
    const struct loam_linear_forward_args linear = loam_fused_linear_forward(args);
    struct product product = loam_gpu_linear_product(&linear);
    product.k2 = args->a.shape[0];
    product.a2 = loam_gpu_rows(&args->t);
    product.a2.factor = args->scale;
    product.b2 = loam_gpu_rows(&args->b);
    return product;
}

// The linears `parts`, each with its adapter where it has one: t of all, y of all, and what is to be added to y.
static enum loam_status forward_parts(struct loam_stream *stream,
                                      const struct loam_lora_linear_forward_args *parts, int count)
{
    struct product ts[PRODUCT_GROUP], ys[PRODUCT_GROUP], updates[PRODUCT_GROUP];
    int adapters = 0, apart = 0;
    for (int i = 0; i < count; i++) {
        const struct loam_linear_forward_args linear = loam_fused_linear_forward(&parts[i]);
        const struct loam_lora_forward_args lora = loam_fused_lora_forward(&parts[i]);
        const bool adapts = parts[i].a.data != NULL;
        const bool is_one = adapts && is_one_product(stream, &parts[i].x, &parts[i].w);
        ys[i] = is_one ? product_of_y(&parts[i]) : loam_gpu_linear_product(&linear);
        if (adapts) ts[adapters++] = product_of_t(&lora);
        if (adapts && !is_one) updates[apart++] = product_of_update(&lora);
    }
    LOAM_TRY(loam_gpu_products(stream, ts, adapters));
    LOAM_TRY(loam_gpu_products(stream, ys, count));
    return loam_gpu_products(stream, updates, apart);
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
    return forward_parts(stream, args, 1);
}

size_t loam_gpu_linears_forward_scratch(const struct loam_device *device,
                                        const struct loam_linears_forward_args *args)
{
    (void)args;
    return loam_gpu_product_scratch(device);
}

enum loam_status loam_gpu_linears_forward(struct loam_stream *stream,
                                          const struct loam_linears_forward_args *args)
{
    struct loam_lora_linear_forward_args parts[LOAM_LINEARS_MOST];
    for (int i = 0; i < args->count; i++)
        parts[i] = loam_linears_forward_part_args(args, i);
    return forward_parts(stream, parts, args->count);
}

// dx (+)= dy w + dropped(dt a). A sum that is dropped in part is no sum of one product.
static enum loam_status add_input_gradient(struct loam_stream *stream,
                                           const struct loam_lora_linear_backward_args *args,
                                           const struct loam_tensor *dt)
{
    const struct loam_linear_backward_input_args linear = loam_fused_backward_input(args);
    const struct loam_lora_backward_args lora = loam_fused_lora_backward(args);
    struct product product = loam_gpu_input_product(&linear);
    if (args->a.data == NULL) return loam_gpu_product(stream, &product);
    const struct product update = product_of_dx(&lora, dt);
    if (!is_one_product(stream, &args->dy, &args->w) || args->dropout.p > 0.0f) {
        LOAM_TRY(loam_gpu_product(stream, &product));
        return loam_gpu_product(stream, &update);
    }
    product.k2 = args->a.shape[0];
    product.a2 = loam_gpu_rows(dt);
    product.b2 = loam_gpu_columns(&args->a);
    return loam_gpu_product(stream, &product);
}

// The gradients of the adapters of all parts, and then the sum of the gradients of their input, in the order of the parts.
static enum loam_status backward_parts(struct loam_stream *stream,
                                       const struct loam_lora_linear_backward_args *parts, int count)
{
    struct loam_lora_backward_args adapters[PRODUCT_GROUP] = {0};
    struct loam_tensor dt[PRODUCT_GROUP];
    int adapted = 0, next = 0;
    for (int i = 0; i < count; i++)
        if (parts[i].a.data != NULL) adapters[adapted++] = loam_fused_lora_backward(&parts[i]);
    LOAM_TRY(backward_but_input(stream, adapters, adapted, dt));
    for (int i = 0; i < count; i++)
        LOAM_TRY(add_input_gradient(stream, &parts[i], parts[i].a.data != NULL ? &dt[next++] : NULL));
    return LOAM_OK;
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
    return backward_parts(stream, args, 1);
}

size_t loam_gpu_linears_backward_scratch(const struct loam_device *device,
                                         const struct loam_linears_backward_args *args)
{
    size_t bytes = loam_gpu_product_scratch(device);
    for (int i = 0; i < args->count; i++)
        if (args->parts[i].a.data != NULL)
            bytes += loam_scratch_bytes(args->dx.shape[0] * args->parts[i].a.shape[0], sizeof(f32));
    return bytes;
}

enum loam_status loam_gpu_linears_backward(struct loam_stream *stream,
                                           const struct loam_linears_backward_args *args)
{
    struct loam_lora_linear_backward_args parts[LOAM_LINEARS_MOST];
    for (int i = 0; i < args->count; i++)
        parts[i] = loam_linears_backward_part_args(args, i);
    return backward_parts(stream, parts, args->count);
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
