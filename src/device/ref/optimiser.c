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

static double clip_factor(const struct loam_adamw_args *args)
{
    if (args->squared_norm.data == NULL) return 1.0;
    double norm = sqrt(*(const double *)args->squared_norm.data);
    return fmin(1.0, (double)args->max_norm / (norm + 1e-6));
}

enum loam_status loam_ref_adamw(struct loam_stream *stream, const struct loam_adamw_args *args)
{
    (void)stream;
    double clip = clip_factor(args), rate = (double)args->learning_rate;
    double beta1 = (double)args->beta1, beta2 = (double)args->beta2;
    double correction1 = 1.0 - pow(beta1, (double)args->step);
    double correction2 = 1.0 - pow(beta2, (double)args->step);
    for (int64_t i = 0; i < loam_tensor_count(&args->param); i++) {
        double g = clip * ref_load(&args->grad, i);
        double p = ref_load(&args->param, i) * (1.0 - rate * (double)args->weight_decay);
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
