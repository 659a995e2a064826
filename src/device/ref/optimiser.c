#include <math.h>

#include "device/ref/ref.h"

enum loam_status loam_ref_squared_norm(struct loam_stream *stream, const struct loam_squared_norm_args *args)
{
    (void)stream;
    double sum = 0.0;
    for (int64_t i = 0; i < loam_tensor_count(&args->x); i++) {
        double x = ref_load(&args->x, i);
        sum += x * x;
    }
    *(double *)args->result.data += sum;
    return LOAM_OK;
}

// Not finite: the step is skipped.
static bool is_finite(const struct loam_tensor *scalar)
{
    return scalar->data == NULL || isfinite(*(const double *)scalar->data);
}

// What gradients are multiplied with.
static double gradient_factor(const struct loam_adamw_args *args)
{
    const double factor = (double)args->grad_factor;
    if (args->max_norm == 0.0f) return factor;
    const double norm = factor * sqrt(*(const double *)args->squared_norm.data);
    return factor * fmin(1.0, (double)args->max_norm / (norm + 1e-6));
}

static struct loam_adamw_rates rates_of(const struct loam_adamw_args *args, int64_t i)
{
    int64_t range = 0, ranges = loam_tensor_count(&args->starts);
    if (args->starts.data == NULL) return args->rates[0];
    while (range + 1 < ranges && ref_index(&args->starts, range + 1) <= i)
        range++;
    return args->rates[ref_index(&args->groups, range)];
}

enum loam_status loam_ref_adamw(struct loam_stream *stream, const struct loam_adamw_args *args)
{
    (void)stream;
    if (!is_finite(&args->squared_norm) || !is_finite(&args->guard)) return LOAM_OK;
    double factor = gradient_factor(args), beta1 = (double)args->beta1, beta2 = (double)args->beta2;
    double correction1 = 1.0 - pow(beta1, (double)args->step);
    double correction2 = 1.0 - pow(beta2, (double)args->step);
    for (int64_t i = 0; i < loam_tensor_count(&args->param); i++) {
        const struct loam_adamw_rates rates = rates_of(args, i);
        double rate = (double)rates.learning_rate, g = factor * ref_load(&args->grad, i);
        double p = ref_load(&args->param, i) * (1.0 - rate * (double)rates.weight_decay);
        double m = beta1 * ref_load(&args->m, i) + (1.0 - beta1) * g;
        double v = beta2 * ref_load(&args->v, i) + (1.0 - beta2) * g * g;
        p -= rate * (m / correction1) / (sqrt(v / correction2) + (double)args->eps);
        ref_store(&args->param, i, p);
        ref_store(&args->m, i, m);
        ref_store(&args->v, i, v);
        if (args->mirror.data != NULL) ref_store(&args->mirror, i, p);
    }
    return LOAM_OK;
}
