// Linears and their gradients.
#include "device/gpu/ops/ops.h"

// w as b of y = x wT, and as b of dx = dy w
static struct matrix forward_weight(const struct loam_weight *w)
{
    return w->transposed ? loam_gpu_columns(&w->tensor) : loam_gpu_rows(&w->tensor);
}

static struct matrix backward_weight(const struct loam_weight *w)
{
    return w->transposed ? loam_gpu_rows(&w->tensor) : loam_gpu_columns(&w->tensor);
}

size_t loam_gpu_linear_forward_scratch(const struct loam_device *device,
                                       const struct loam_linear_forward_args *args)
{
    (void)args;
    return loam_gpu_product_scratch(device);
}

struct product loam_gpu_linear_product(const struct loam_linear_forward_args *args)
{
    return (struct product){.m = args->x.shape[0],
                            .n = args->y.shape[1],
                            .k = args->x.shape[1],
                            .a = loam_gpu_rows(&args->x),
                            .b = forward_weight(&args->w),
                            .bias = args->bias,
                            .residual = args->residual,
                            .c = args->y,
                            .scale = 1.0f};
}

enum loam_status loam_gpu_linear_forward(struct loam_stream *stream,
                                         const struct loam_linear_forward_args *args)
{
    const struct product product = loam_gpu_linear_product(args);
    return loam_gpu_product(stream, &product);
}

size_t loam_gpu_linear_backward_input_scratch(const struct loam_device *device,
                                              const struct loam_linear_backward_input_args *args)
{
    (void)args;
    return loam_gpu_product_scratch(device);
}

struct product loam_gpu_input_product(const struct loam_linear_backward_input_args *args)
{
    return (struct product){.m = args->dy.shape[0],
                            .n = args->dx.shape[1],
                            .k = args->dy.shape[1],
                            .a = loam_gpu_rows(&args->dy),
                            .b = backward_weight(&args->w),
                            .c = args->dx,
                            .accumulate = args->accumulate,
                            .scale = 1.0f};
}

enum loam_status loam_gpu_linear_backward_input(struct loam_stream *stream,
                                                const struct loam_linear_backward_input_args *args)
{
    const struct product product = loam_gpu_input_product(args);
    return loam_gpu_product(stream, &product);
}

size_t loam_gpu_linear_backward_weight_scratch(const struct loam_device *device,
                                               const struct loam_linear_backward_weight_args *args)
{
    (void)args;
    return loam_gpu_product_scratch(device);
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
