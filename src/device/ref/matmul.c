#include "device/ref/ref.h"

enum loam_status loam_ref_linear_forward(struct loam_stream *stream,
                                         const struct loam_linear_forward_args *args)
{
    (void)stream;
    const struct loam_tensor *x = &args->x, *y = &args->y;
    int64_t tokens = x->shape[0], k_count = x->shape[1], n_count = y->shape[1];
    for (int64_t t = 0; t < tokens; t++) {
        for (int64_t n = 0; n < n_count; n++) {
            double sum = args->bias.data != NULL ? ref_load(&args->bias, n) : 0.0;
            for (int64_t k = 0; k < k_count; k++) {
                sum += ref_load(x, ref_at(x, t, k)) * ref_weight(&args->w, n, k);
            }
            if (args->residual.data != NULL) sum += ref_load(&args->residual, ref_at(&args->residual, t, n));
            ref_store(y, ref_at(y, t, n), sum);
        }
    }
    return LOAM_OK;
}

enum loam_status loam_ref_linear_backward_input(struct loam_stream *stream,
                                                const struct loam_linear_backward_input_args *args)
{
    (void)stream;
    const struct loam_tensor *dy = &args->dy, *dx = &args->dx;
    int64_t tokens = dy->shape[0], n_count = dy->shape[1], k_count = dx->shape[1];
    for (int64_t t = 0; t < tokens; t++) {
        for (int64_t k = 0; k < k_count; k++) {
            double sum = args->accumulate ? ref_load(dx, ref_at(dx, t, k)) : 0.0;
            for (int64_t n = 0; n < n_count; n++) {
                sum += ref_load(dy, ref_at(dy, t, n)) * ref_weight(&args->w, n, k);
            }
            ref_store(dx, ref_at(dx, t, k), sum);
        }
    }
    return LOAM_OK;
}

enum loam_status loam_ref_linear_backward_weight(struct loam_stream *stream,
                                                 const struct loam_linear_backward_weight_args *args)
{
    (void)stream;
    const struct loam_tensor *dy = &args->dy, *x = &args->x, *dw = &args->dw;
    int64_t tokens = dy->shape[0], n_count = dy->shape[1], k_count = x->shape[1];
    for (int64_t n = 0; n < n_count; n++) {
        for (int64_t k = 0; k < k_count; k++) {
            double sum = 0.0;
            for (int64_t t = 0; t < tokens; t++) {
                sum += ref_load(dy, ref_at(dy, t, n)) * ref_load(x, ref_at(x, t, k));
            }
            ref_add(dw, args->transposed ? ref_at(dw, k, n) : ref_at(dw, n, k), sum);
        }
    }
    return LOAM_OK;
}

enum loam_status loam_ref_bias_backward(struct loam_stream *stream,
                                        const struct loam_bias_backward_args *args)
{
    (void)stream;
    const struct loam_tensor *dy = &args->dy;
    for (int64_t n = 0; n < dy->shape[1]; n++) {
        double sum = 0.0;
        for (int64_t t = 0; t < dy->shape[0]; t++)
            sum += ref_load(dy, ref_at(dy, t, n));
        ref_add(&args->dbias, n, sum);
    }
    return LOAM_OK;
}
