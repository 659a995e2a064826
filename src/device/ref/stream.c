#include "device/ref/ref.h"

enum loam_status loam_ref_add_scaled(struct loam_stream *stream, const struct loam_add_scaled_args *args)
{
    (void)stream;
    const struct loam_tensor *x = &args->x, *residual = &args->residual, *y = &args->y;
    for (int64_t t = 0; t < x->shape[0]; t++) {
        for (int64_t i = 0; i < x->shape[1]; i++) {
            const double base = residual->data != NULL ? ref_load(residual, ref_at(residual, t, i)) : 0.0;
            ref_store(y, ref_at(y, t, i), base + (double)args->factor * ref_load(x, ref_at(x, t, i)));
        }
    }
    return LOAM_OK;
}

enum loam_status loam_ref_cast(struct loam_stream *stream, const struct loam_cast_args *args)
{
    (void)stream;
    const struct loam_tensor *x = &args->x, *y = &args->y;
    for (int64_t t = 0; t < x->shape[0]; t++)
        for (int64_t i = 0; i < x->shape[1]; i++)
            ref_store(y, ref_at(y, t, i), ref_load(x, ref_at(x, t, i)));
    return LOAM_OK;
}
