#include <math.h>

#include "device/ref/ref.h"

enum loam_status loam_ref_layernorm_forward(struct loam_stream *stream,
                                            const struct loam_layernorm_forward_args *args)
{
    (void)stream;
    const struct loam_tensor *x = &args->x;
    int64_t size = x->shape[1];
    for (int64_t t = 0; t < x->shape[0]; t++) {
        int64_t row = t * size;
        double mean = 0.0, variance = 0.0;
        for (int64_t h = 0; h < size; h++)
            mean += ref_load(x, row + h);
        mean /= (double)size;
        for (int64_t h = 0; h < size; h++) {
            double centred = ref_load(x, row + h) - mean;
            variance += centred * centred;
        }
        double rstd = 1.0 / sqrt(variance / (double)size + (double)args->eps);
        for (int64_t h = 0; h < size; h++) {
            double normal = (ref_load(x, row + h) - mean) * rstd;
            double bias = args->b.data != NULL ? ref_load(&args->b, h) : 0.0;
            ref_store(&args->y, row + h, normal * ref_load(&args->w, h) + bias);
        }
        ref_store(&args->mean, t, mean);
        ref_store(&args->rstd, t, rstd);
    }
    return LOAM_OK;
}

// dw += sum_t dy xh; db += sum_t dy
static void layernorm_backward_parameters(const struct loam_layernorm_backward_args *args)
{
    const struct loam_tensor *dy = &args->dy;
    int64_t tokens = dy->shape[0], size = dy->shape[1];
    for (int64_t h = 0; h < size; h++) {
        double dw = 0.0, db = 0.0;
        for (int64_t t = 0; t < tokens; t++) {
            double gradient = ref_load(dy, t * size + h);
            double centred = ref_load(&args->x, t * size + h) - ref_load(&args->mean, t);
            dw += gradient * centred * ref_load(&args->rstd, t);
            db += gradient;
        }
        if (args->dw.data != NULL) ref_add(&args->dw, h, dw);
        if (args->db.data != NULL) ref_add(&args->db, h, db);
    }
}

// dx = rstd (g - mean_h(g) - xh mean_h(g xh))
static void layernorm_backward_row(const struct loam_layernorm_backward_args *args, int64_t t)
{
    const struct loam_tensor *dy = &args->dy, *x = &args->x, *w = &args->w, *dx = &args->dx;
    int64_t size = dy->shape[1], row = t * size;
    double mean = ref_load(&args->mean, t), rstd = ref_load(&args->rstd, t);
    double mean_g = 0.0, mean_gx = 0.0;
    for (int64_t h = 0; h < size; h++) {
        double g = ref_load(dy, row + h) * ref_load(w, h);
        mean_g += g / (double)size;
        mean_gx += g * (ref_load(x, row + h) - mean) * rstd / (double)size;
    }
    for (int64_t h = 0; h < size; h++) {
        double g = ref_load(dy, row + h) * ref_load(w, h);
        double normal = (ref_load(x, row + h) - mean) * rstd;
        double before = args->accumulate ? ref_load(dx, row + h) : 0.0;
        ref_store(dx, row + h, before + rstd * (g - mean_g - normal * mean_gx));
    }
}

enum loam_status loam_ref_layernorm_backward(struct loam_stream *stream,
                                             const struct loam_layernorm_backward_args *args)
{
    (void)stream;
    layernorm_backward_parameters(args); // first: dx may overwrite dy
    for (int64_t t = 0; t < args->dy.shape[0]; t++)
        layernorm_backward_row(args, t);
    return LOAM_OK;
}

enum loam_status loam_ref_rmsnorm_forward(struct loam_stream *stream,
                                          const struct loam_rmsnorm_forward_args *args)
{
    (void)stream;
    const struct loam_tensor *x = &args->x;
    int64_t size = x->shape[1];
    for (int64_t t = 0; t < x->shape[0]; t++) {
        int64_t row = t * size;
        double squares = 0.0;
        for (int64_t h = 0; h < size; h++)
            squares += ref_load(x, row + h) * ref_load(x, row + h);
        double rstd = 1.0 / sqrt(squares / (double)size + (double)args->eps);
        for (int64_t h = 0; h < size; h++) {
            const double weight = (double)args->offset + ref_load(&args->w, h);
            ref_store(&args->y, row + h, ref_load(x, row + h) * rstd * weight);
        }
        ref_store(&args->rstd, t, rstd);
    }
    return LOAM_OK;
}

// dw += sum_t dy xh
static void rmsnorm_backward_weight(const struct loam_rmsnorm_backward_args *args)
{
    const struct loam_tensor *dy = &args->dy;
    int64_t tokens = dy->shape[0], size = dy->shape[1];
    for (int64_t h = 0; h < size; h++) {
        double dw = 0.0;
        for (int64_t t = 0; t < tokens; t++) {
            dw += ref_load(dy, t * size + h) * ref_load(&args->x, t * size + h) * ref_load(&args->rstd, t);
        }
        ref_add(&args->dw, h, dw);
    }
}

// dx = rstd (g - xh mean_h(g xh))
static void rmsnorm_backward_row(const struct loam_rmsnorm_backward_args *args, int64_t t)
{
    const struct loam_tensor *dy = &args->dy, *x = &args->x, *w = &args->w, *dx = &args->dx;
    int64_t size = dy->shape[1], row = t * size;
    double rstd = ref_load(&args->rstd, t), offset = (double)args->offset, mean_gx = 0.0;
    for (int64_t h = 0; h < size; h++) {
        double g = ref_load(dy, row + h) * (offset + ref_load(w, h));
        mean_gx += g * ref_load(x, row + h) * rstd / (double)size;
    }
    for (int64_t h = 0; h < size; h++) {
        double g = ref_load(dy, row + h) * (offset + ref_load(w, h));
        double before = args->accumulate ? ref_load(dx, row + h) : 0.0;
        ref_store(dx, row + h, before + rstd * (g - ref_load(x, row + h) * rstd * mean_gx));
    }
}

enum loam_status loam_ref_rmsnorm_backward(struct loam_stream *stream,
                                           const struct loam_rmsnorm_backward_args *args)
{
    (void)stream;
    if (args->dw.data != NULL) rmsnorm_backward_weight(args); // first: dx may overwrite dy
    for (int64_t t = 0; t < args->dy.shape[0]; t++)
        rmsnorm_backward_row(args, t);
    return LOAM_OK;
}
