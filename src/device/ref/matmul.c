#include "device/ref/ref.h"

const char *loam_ref_linear_forward_refuses(const struct loam_device *device,
                                            const struct loam_linear_forward_args *args)
{
    (void)device;
    const struct loam_tensor *x = &args->x, *y = &args->y;
    int64_t tokens = x->shape[0], k = x->shape[1], n = args->w.tensor.shape[0];
    if (!loam_check_activation(x)) return "x must be f32 or bf16";
    if (!loam_check_strided(x, x->dtype, tokens, k)) return "x must be [T, K] with contiguous rows";
    if (!loam_check_weight(&args->w.tensor, x->dtype, n, k))
        return "w must be [N, K] in the dtype of x, or a half where that is f32";
    if (!loam_check_optional_vector(&args->bias, x->dtype, n)) return "bias must be [N] in the dtype of x";
    if (y->dtype != x->dtype && y->dtype != LOAM_F32) return "y must be f32 or in the dtype of x";
    if (!loam_check_strided(y, y->dtype, tokens, n)) return "y must be [T, N] with contiguous rows";
    if (args->residual.data != NULL && !loam_check_strided(&args->residual, y->dtype, tokens, n)) {
        return "residual must be [T, N] in the dtype of y";
    }
    return NULL;
}

enum loam_status loam_ref_linear_forward(struct loam_stream *stream,
                                         const struct loam_linear_forward_args *args)
{
    (void)stream;
    const struct loam_tensor *x = &args->x, *w = &args->w.tensor, *y = &args->y;
    int64_t tokens = x->shape[0], k_count = x->shape[1], n_count = w->shape[0];
    for (int64_t t = 0; t < tokens; t++) {
        for (int64_t n = 0; n < n_count; n++) {
            double sum = args->bias.data != NULL ? ref_load(&args->bias, n) : 0.0;
            for (int64_t k = 0; k < k_count; k++) {
                sum += ref_load(x, ref_at(x, t, k)) * ref_load(w, ref_at(w, n, k));
            }
            if (args->residual.data != NULL) sum += ref_load(&args->residual, ref_at(&args->residual, t, n));
            ref_store(y, ref_at(y, t, n), sum);
        }
    }
    return LOAM_OK;
}

const char *loam_ref_linear_backward_input_refuses(const struct loam_device *device,
                                                   const struct loam_linear_backward_input_args *args)
{
    (void)device;
    const struct loam_tensor *dy = &args->dy;
    int64_t tokens = dy->shape[0], n = dy->shape[1], k = args->w.tensor.shape[1];
    if (!loam_check_activation(dy)) return "dy must be f32 or bf16";
    if (!loam_check_strided(dy, dy->dtype, tokens, n)) return "dy must be [T, N] with contiguous rows";
    if (!loam_check_weight(&args->w.tensor, dy->dtype, n, k))
        return "w must be [N, K] in the dtype of dy, or a half where that is f32";
    if (!loam_check_matrix(&args->dx, dy->dtype, tokens, k)) {
        return "dx must be [T, K], contiguous, in the dtype of dy";
    }
    return NULL;
}

enum loam_status loam_ref_linear_backward_input(struct loam_stream *stream,
                                                const struct loam_linear_backward_input_args *args)
{
    (void)stream;
    const struct loam_tensor *dy = &args->dy, *w = &args->w.tensor, *dx = &args->dx;
    int64_t tokens = dy->shape[0], n_count = w->shape[0], k_count = w->shape[1];
    for (int64_t t = 0; t < tokens; t++) {
        for (int64_t k = 0; k < k_count; k++) {
            double sum = args->accumulate ? ref_load(dx, ref_at(dx, t, k)) : 0.0;
            for (int64_t n = 0; n < n_count; n++) {
                sum += ref_load(dy, ref_at(dy, t, n)) * ref_load(w, ref_at(w, n, k));
            }
            ref_store(dx, ref_at(dx, t, k), sum);
        }
    }
    return LOAM_OK;
}

const char *loam_ref_linear_backward_weight_refuses(const struct loam_device *device,
                                                    const struct loam_linear_backward_weight_args *args)
{
    (void)device;
    const struct loam_tensor *dy = &args->dy, *x = &args->x;
    int64_t tokens = dy->shape[0], n = dy->shape[1], k = x->shape[1];
    if (!loam_check_activation(dy)) return "dy must be f32 or bf16";
    if (!loam_check_strided(dy, dy->dtype, tokens, n)) return "dy must be [T, N] with contiguous rows";
    if (!loam_check_strided(x, dy->dtype, tokens, k)) return "x must be [T, K] in the dtype of dy";
    if (!loam_check_matrix(&args->dw, LOAM_F32, n, k)) return "dw must be [N, K] f32, contiguous";
    return NULL;
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
            ref_add(dw, ref_at(dw, n, k), sum);
        }
    }
    return LOAM_OK;
}

const char *loam_ref_bias_backward_refuses(const struct loam_device *device,
                                           const struct loam_bias_backward_args *args)
{
    (void)device;
    const struct loam_tensor *dy = &args->dy;
    if (!loam_check_activation(dy)) return "dy must be f32 or bf16";
    if (!loam_check_strided(dy, dy->dtype, dy->shape[0], dy->shape[1])) {
        return "dy must be [T, N] with contiguous rows";
    }
    if (!loam_check_vector(&args->dbias, LOAM_F32, dy->shape[1])) return "dbias must be [N] f32";
    return NULL;
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
