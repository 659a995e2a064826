// Products: linears and their gradients.
#include "device/gpu/ops/ops.h"

struct matrix loam_gpu_rows(const struct loam_tensor *x)
{
    return (struct matrix){.data = x->data, .dtype = x->dtype, .i = x->stride[0], .k = x->stride[1]};
}

struct matrix loam_gpu_columns(const struct loam_tensor *x)
{
    return (struct matrix){.data = x->data, .dtype = x->dtype, .i = x->stride[1], .k = x->stride[0]};
}

static struct operand operand_of(const struct matrix *x)
{
    return (struct operand){.i = x->i,
                            .k = x->k,
                            .dtype = (i32)x->dtype,
                            .dropped = x->dropped,
                            .drop_i = x->drop_i,
                            .drop_k = x->drop_k};
}

// Whether a library of the device's vendor takes the product.
static bool is_made_by_library(struct loam_stream *stream, const struct product *product)
{
    const struct loam_gpu *gpu = loam_gpu(stream->device);
    const struct matrix *a = &product->a, *b = &product->b;
    const struct loam_tensor *c = &product->c, *bias = product->bias, *residual = product->residual;
    const bool has_bias = bias != NULL && bias->data != NULL;
    const bool has_residual = residual != NULL && residual->data != NULL;
    const bool drops = product->dropout.p > 0.0f && (a->dropped || b->dropped || product->drop_sum);
    if (gpu->plain_product == NULL || drops || product->transposed || a->dtype == LOAM_F32 ||
        a->dtype != b->dtype || (has_residual && product->accumulate) ||
        (has_bias && (bias->dtype != a->dtype || product->scale != 1.0f)))
        return false;
    const struct loam_plain_product plain = {.m = product->m,
                                             .n = product->n,
                                             .k = product->k,
                                             .a = a->data,
                                             .b = b->data,
                                             .a_i = a->i,
                                             .a_k = a->k,
                                             .b_j = b->i,
                                             .b_k = b->k,
                                             .bias = has_bias ? bias->data : NULL,
                                             .added = has_residual ? residual->data
                                                                   : (product->accumulate ? c->data : NULL),
                                             .c = c->data,
                                             .c_i = c->stride[0],
                                             .added_i = has_residual ? residual->stride[0] : c->stride[0],
                                             .dtype = a->dtype,
                                             .c_dtype = c->dtype,
                                             .scale = product->scale};
    return gpu->plain_product(stream, &plain);
}

enum loam_status loam_gpu_product(struct loam_stream *stream, const struct product *product)
{
    if (is_made_by_library(stream, product)) return stream->failure.status;
    const struct loam_tensor *bias = product->bias, *residual = product->residual, *c = &product->c;
    const struct product_params p = {.m = product->m,
                                     .n = product->n,
                                     .k = product->k,
                                     .a = operand_of(&product->a),
                                     .b = operand_of(&product->b),
                                     .c_i = product->transposed ? c->stride[1] : c->stride[0],
                                     .c_j = product->transposed ? c->stride[0] : c->stride[1],
                                     .residual_i = residual != NULL ? residual->stride[0] : 0,
                                     .dropout = loam_gpu_dropout_params(&product->dropout),
                                     .c_dtype = (i32)c->dtype,
                                     .bias_dtype = bias != NULL ? (i32)bias->dtype : 0,
                                     .accumulate = product->accumulate,
                                     .drop_sum = product->drop_sum,
                                     .scale = product->scale};
    return loam_gpu_launch(
        stream,
        &(struct loam_launch){.kernel = LOAM_KERNEL_product,
                              .grid = {loam_blocks(p.m, PRODUCT_SIDE), loam_blocks(p.n, PRODUCT_SIDE)},
                              .shared = 2 * PRODUCT_DEPTH * PRODUCT_PITCH * sizeof(f32),
                              .buffers = {product->a.data, product->b.data, bias != NULL ? bias->data : NULL,
                                          residual != NULL ? residual->data : NULL, c->data},
                              LOAM_PARAMS(p)});
}

// w as b of y = x wT, and as b of dx = dy w
static struct matrix forward_weight(const struct loam_weight *w)
{
    return w->transposed ? loam_gpu_columns(&w->tensor) : loam_gpu_rows(&w->tensor);
}

static struct matrix backward_weight(const struct loam_weight *w)
{
    return w->transposed ? loam_gpu_rows(&w->tensor) : loam_gpu_columns(&w->tensor);
}

enum loam_status loam_gpu_linear_forward(struct loam_stream *stream,
                                         const struct loam_linear_forward_args *args)
{
    return loam_gpu_product(stream, &(struct product){.m = args->x.shape[0],
                                                      .n = args->y.shape[1],
                                                      .k = args->x.shape[1],
                                                      .a = loam_gpu_rows(&args->x),
                                                      .b = forward_weight(&args->w),
                                                      .bias = &args->bias,
                                                      .residual = &args->residual,
                                                      .c = args->y,
                                                      .scale = 1.0f});
}

enum loam_status loam_gpu_linear_backward_input(struct loam_stream *stream,
                                                const struct loam_linear_backward_input_args *args)
{
    return loam_gpu_product(stream, &(struct product){.m = args->dy.shape[0],
                                                      .n = args->dx.shape[1],
                                                      .k = args->dy.shape[1],
                                                      .a = loam_gpu_rows(&args->dy),
                                                      .b = backward_weight(&args->w),
                                                      .c = args->dx,
                                                      .accumulate = args->accumulate,
                                                      .scale = 1.0f});
}

enum loam_status loam_gpu_linear_backward_weight(struct loam_stream *stream,
                                                 const struct loam_linear_backward_weight_args *args)
{
    return loam_gpu_product(stream, &(struct product){.m = args->dy.shape[1],
                                                      .n = args->x.shape[1],
                                                      .k = args->dy.shape[0],
                                                      .a = loam_gpu_columns(&args->dy),
                                                      .b = loam_gpu_columns(&args->x),
                                                      .c = args->dw,
                                                      .transposed = args->transposed,
                                                      .accumulate = true,
                                                      .scale = 1.0f});
}
