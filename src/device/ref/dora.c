// DoRA: the norms of the adapted weight's rows, and the scaled update.
#include <math.h>

#include "device/ref/ref.h"

// w[n, k] + scale b[n] a[:, k]
static double adapted_weight(const struct loam_dora_norm_args *args, int64_t n, int64_t k)
{
    const struct loam_tensor *a = &args->a, *b = &args->b;
    double update = 0.0;
    for (int64_t j = 0; j < a->shape[0]; j++)
        update += ref_load(b, ref_at(b, n, j)) * ref_load(a, ref_at(a, j, k));
    return ref_weight(&args->w, n, k) + (double)args->scale * update;
}

enum loam_status loam_ref_dora_norm(struct loam_stream *stream, const struct loam_dora_norm_args *args)
{
    (void)stream;
    const int64_t rows = args->b.shape[0], columns = args->a.shape[1];
    const int64_t count = args->columns ? columns : rows, length = args->columns ? rows : columns;
    for (int64_t i = 0; i < count; i++) {
        double sum = 0.0;
        for (int64_t j = 0; j < length; j++) {
            const double adapted = args->columns ? adapted_weight(args, j, i) : adapted_weight(args, i, j);
            sum += adapted * adapted;
        }
        ref_store(&args->norms, i, sqrt(sum));
    }
    return LOAM_OK;
}

static double gain(const struct loam_tensor *magnitude, const struct loam_tensor *norms, int64_t n)
{
    return ref_load(magnitude, n) / ref_load(norms, n);
}

enum loam_status loam_ref_dora_forward(struct loam_stream *stream, const struct loam_dora_forward_args *args)
{
    (void)stream;
    const struct loam_tensor *z = &args->z, *u = &args->u, *residual = &args->residual;
    for (int64_t t = 0; t < z->shape[0]; t++) {
        for (int64_t n = 0; n < z->shape[1]; n++) {
            const double g = gain(&args->magnitude, &args->norms, n), product = ref_load(z, ref_at(z, t, n));
            double sum = (double)args->factor * ((g - 1.0) * product + g * ref_load(u, ref_at(u, t, n)));
            if (args->whole) sum += product;
            if (args->bias.data != NULL) sum += ref_load(&args->bias, n);
            if (residual->data != NULL) sum += ref_load(residual, ref_at(residual, t, n));
            ref_store(&args->y, ref_at(&args->y, t, n), sum);
        }
    }
    return LOAM_OK;
}

// dmagnitude[n] += factor sum_t dy (z + u) / norms[n]
static void backward_magnitude(const struct loam_dora_backward_args *args)
{
    const struct loam_tensor *dy = &args->dy, *z = &args->z, *u = &args->u;
    for (int64_t n = 0; n < dy->shape[1]; n++) {
        double sum = 0.0;
        for (int64_t t = 0; t < dy->shape[0]; t++)
            sum += ref_load(dy, ref_at(dy, t, n)) *
                   (ref_load(z, ref_at(z, t, n)) + ref_load(u, ref_at(u, t, n)));
        ref_add(&args->dmagnitude, n, (double)args->factor * sum / ref_load(&args->norms, n));
    }
}

enum loam_status loam_ref_dora_backward(struct loam_stream *stream,
                                        const struct loam_dora_backward_args *args)
{
    (void)stream;
    const struct loam_tensor *dy = &args->dy;
    const double factor = (double)args->factor, whole = args->whole ? 1.0 : 0.0;
    if (args->dmagnitude.data != NULL) backward_magnitude(args);
    for (int64_t t = 0; t < dy->shape[0]; t++) {
        for (int64_t n = 0; n < dy->shape[1]; n++) {
            const double g = gain(&args->magnitude, &args->norms, n), d = ref_load(dy, ref_at(dy, t, n));
            ref_store(&args->dz, ref_at(&args->dz, t, n), (whole + factor * (g - 1.0)) * d);
            ref_store(&args->du, ref_at(&args->du, t, n), factor * g * d);
        }
    }
    return LOAM_OK;
}

enum loam_status loam_ref_dropout(struct loam_stream *stream, const struct loam_dropout_args *args)
{
    (void)stream;
    const struct loam_tensor *x = &args->x, *y = &args->y;
    for (int64_t t = 0; t < x->shape[0]; t++) {
        for (int64_t k = 0; k < x->shape[1]; k++) {
            const double value =
                ref_dropout_factor(&args->dropout, t, k, x->shape[1]) * ref_load(x, ref_at(x, t, k));
            if (args->accumulate)
                ref_add(y, ref_at(y, t, k), value);
            else
                ref_store(y, ref_at(y, t, k), value);
        }
    }
    return LOAM_OK;
}
