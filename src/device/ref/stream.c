#include "device/ref/ref.h"

enum loam_status loam_ref_add_scaled(struct loam_stream *stream, const struct loam_add_scaled_args *args)
{
    (void)stream;
    const struct loam_tensor *residual = &args->residual;
    for (int64_t i = 0; i < loam_tensor_count(&args->x); i++) {
        const double base = residual->data != NULL ? ref_load(residual, i) : 0.0;
        ref_store(&args->y, i, base + (double)args->factor * ref_load(&args->x, i));
    }
    return LOAM_OK;
}
