// Linears: few tokens by the context's kernel for them, others as products.
#include "device/cpu/ops/product.h"

// Completes the product with c, takes its scratch and multiplies.
static enum loam_status multiply(struct loam_stream *stream, struct gemm *product,
                                 const struct loam_tensor *c)
{
    const size_t bytes = loam_cpu_product_scratch(stream->device, product->a.dtype, product->b.dtype,
                                                  product->m, product->n, product->k);
    void *scratch = bytes > 0 ? loam_stream_scratch(stream, bytes) : NULL;
    if (bytes > 0 && scratch == NULL) return LOAM_ERROR_INTERNAL;
    product->c = c->data;
    product->c_row = c->stride[0];
    product->c_bf16 = c->dtype == LOAM_BF16;
    return loam_cpu_product(stream, product, scratch);
}

// w as the product x wT reads it, [K, N], and as dy w does, [N, K].
static struct gemm_operand weight_for_output(const struct loam_weight *w)
{
    return w->transposed ? cpu_operand(&w->tensor) : cpu_transposed(&w->tensor);
}
static struct gemm_operand weight_for_input(const struct loam_weight *w)
{
    return w->transposed ? cpu_transposed(&w->tensor) : cpu_operand(&w->tensor);
}

// ---- forward ----

static size_t linear_forward_scratch(const struct loam_device *device,
                                     const struct loam_linear_forward_args *args)
{
    const size_t few = cpu_context(device)->few->scratch(args),
                 many = loam_cpu_product_scratch(device, args->x.dtype, args->w.tensor.dtype,
                                                 args->x.shape[0], args->y.shape[1], args->x.shape[1]);
    return few > many ? few : many;
}

static enum loam_status linear_forward(struct loam_stream *stream,
                                       const struct loam_linear_forward_args *args)
{
    if (args->x.shape[0] == 0) return LOAM_OK;
    const struct few_kernel *few = cpu_context(stream->device)->few;
    if (args->x.shape[0] <= few->tokens) return few->forward(stream, args);
    struct gemm product = {.m = args->x.shape[0],
                           .n = args->y.shape[1],
                           .k = args->x.shape[1],
                           .a = cpu_operand(&args->x),
                           .b = weight_for_output(&args->w),
                           .bias = args->bias.data,
                           .bias_bf16 = args->bias.dtype == LOAM_BF16,
                           .add = args->residual.data,
                           .add_row = args->residual.stride[0]};
    return multiply(stream, &product, &args->y);
}

// ---- gradient of the input ----

static size_t linear_backward_input_scratch(const struct loam_device *device,
                                            const struct loam_linear_backward_input_args *args)
{
    return loam_cpu_product_scratch(device, args->dy.dtype, args->w.tensor.dtype, args->dx.shape[0],
                                    args->dx.shape[1], args->dy.shape[1]);
}

static enum loam_status linear_backward_input(struct loam_stream *stream,
                                              const struct loam_linear_backward_input_args *args)
{
    if (args->dy.shape[0] == 0) return LOAM_OK;
    struct gemm product = {.m = args->dy.shape[0],
                           .n = args->dx.shape[1],
                           .k = args->dy.shape[1],
                           .a = cpu_operand(&args->dy),
                           .b = weight_for_input(&args->w),
                           .add = args->accumulate ? args->dx.data : NULL,
                           .add_row = args->dx.stride[0]};
    return multiply(stream, &product, &args->dx);
}

// ---- gradient of the weight ----

static size_t linear_backward_weight_scratch(const struct loam_device *device,
                                             const struct loam_linear_backward_weight_args *args)
{
    return loam_cpu_product_scratch(device, args->dy.dtype, args->x.dtype, args->dw.shape[0],
                                    args->dw.shape[1], args->dy.shape[0]);
}

static enum loam_status linear_backward_weight(struct loam_stream *stream,
                                               const struct loam_linear_backward_weight_args *args)
{
    if (args->dy.shape[0] == 0) return LOAM_OK;
    struct gemm product = {.m = args->dw.shape[0],
                           .n = args->dw.shape[1],
                           .k = args->dy.shape[0],
                           .a = cpu_transposed(args->transposed ? &args->x : &args->dy),
                           .b = cpu_operand(args->transposed ? &args->dy : &args->x),
                           .add = args->dw.data,
                           .add_row = args->dw.stride[0]};
    return multiply(stream, &product, &args->dw);
}

void loam_cpu_linear_ops(struct loam_op_table *ops)
{
    ops->linear_forward.run = linear_forward;
    ops->linear_forward.scratch = linear_forward_scratch;
    ops->linear_backward_input.run = linear_backward_input;
    ops->linear_backward_input.scratch = linear_backward_input_scratch;
    ops->linear_backward_weight.run = linear_backward_weight;
    ops->linear_backward_weight.scratch = linear_backward_weight_scratch;
}
