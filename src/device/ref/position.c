#include <math.h>

#include "device/ref/ref.h"

const char *loam_ref_rope_table_refuses(const struct loam_device *device,
                                        const struct loam_rope_table_args *args)
{
    (void)device;
    int64_t tokens = loam_tensor_count(&args->positions), half = loam_tensor_count(&args->frequencies);
    if (!loam_check_vector(&args->positions, LOAM_I32, tokens)) return "positions must be [T] i32";
    if (!loam_check_vector(&args->frequencies, LOAM_F32, half)) return "frequencies must be [D/2] f32";
    if (!loam_check_matrix(&args->table, LOAM_F32, tokens, 2 * half)) return "table must be [T, D] f32";
    return NULL;
}

enum loam_status loam_ref_rope_table(struct loam_stream *stream, const struct loam_rope_table_args *args)
{
    (void)stream;
    const struct loam_tensor *table = &args->table;
    int64_t half = table->shape[1] / 2;
    for (int64_t t = 0; t < table->shape[0]; t++) {
        for (int64_t i = 0; i < half; i++) {
            // The angle is rounded to f32, as in the trainings that made the checkpoints.
            float angle = (float)ref_index(&args->positions, t) * (float)ref_load(&args->frequencies, i);
            ref_store(table, ref_at(table, t, i), cos((double)angle));
            ref_store(table, ref_at(table, t, half + i), sin((double)angle));
        }
    }
    return LOAM_OK;
}

const char *loam_ref_rope_refuses(const struct loam_device *device, const struct loam_rope_args *args)
{
    (void)device;
    const struct loam_tensor *x = &args->x;
    if (!loam_check_activation(x)) return "x must be f32 or bf16";
    if (!loam_check_heads(x, x->dtype, x->shape[0], x->shape[1], x->shape[2])) {
        return "x must be [T, heads, D] with contiguous heads";
    }
    if (x->shape[2] % 2 != 0) return "the head size must be even";
    if (!loam_check_matrix(&args->table, LOAM_F32, x->shape[0], x->shape[2]))
        return "table must be [T, D] f32";
    return NULL;
}

enum loam_status loam_ref_rope(struct loam_stream *stream, const struct loam_rope_args *args)
{
    (void)stream;
    const struct loam_tensor *x = &args->x, *table = &args->table;
    int64_t half = x->shape[2] / 2;
    for (int64_t t = 0; t < x->shape[0]; t++) {
        for (int64_t head = 0; head < x->shape[1]; head++) {
            for (int64_t i = 0; i < half; i++) {
                int64_t first = ref_at(x, t, head) + i, second = first + half;
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
