#include <math.h>

#include "device/ref/ref.h"

static double row_factor(const struct loam_rope_table_args *args, int64_t t)
{
    const double factor = (double)args->factor;
    if (args->query_context == 0) return factor;
    const int32_t contexts = ref_index(&args->positions, t) / args->query_context; // whole ones before t
    return factor * (1.0 + (double)args->query_beta * log(1.0 + (double)contexts));
}

enum loam_status loam_ref_rope_table(struct loam_stream *stream, const struct loam_rope_table_args *args)
{
    (void)stream;
    const struct loam_tensor *table = &args->table;
    int64_t half = table->shape[1] / 2;
    for (int64_t t = 0; t < table->shape[0]; t++) {
        const double factor = row_factor(args, t);
        for (int64_t i = 0; i < half; i++) {
            // The angle is rounded to f32, as in the trainings that made the checkpoints.
            float angle = (float)ref_index(&args->positions, t) * (float)ref_load(&args->frequencies, i);
            ref_store(table, ref_at(table, t, i), factor * cos((double)angle));
            ref_store(table, ref_at(table, t, half + i), factor * sin((double)angle));
        }
    }
    return LOAM_OK;
}

enum loam_status loam_ref_rope(struct loam_stream *stream, const struct loam_rope_args *args)
{
    (void)stream;
    const struct loam_tensor *x = &args->x, *table = &args->table;
    int64_t half = x->shape[2] / 2;
    for (int64_t t = 0; t < x->shape[0]; t++) {
        for (int64_t head = 0; head < x->shape[1]; head++) {
            for (int64_t i = 0; i < half; i++) {
                int64_t first = ref_at(x, t, head) + (args->interleaved ? 2 * i : i);
                int64_t second = first + (args->interleaved ? 1 : half);
                double cosine = ref_load(table, ref_at(table, t, i));
                double sine = ref_load(table, ref_at(table, t, half + i)) * (args->inverse ? -1.0 : 1.0);
                double x1 = ref_load(x, first), x2 = ref_load(x, second);
                ref_store(x, first, x1 * cosine - x2 * sine);
                ref_store(x, second, x2 * cosine + x1 * sine);
            }
        }
    }
    return LOAM_OK;
}
