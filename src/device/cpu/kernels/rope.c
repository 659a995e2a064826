// Rotary positions, in place.
#include "device/cpu/kernels/vector.h"

// (x_i, x_{i+D/2}) <- (x_i cos - x_{i+D/2} sin, x_{i+D/2} cos + x_i sin); `table` is the token's row [D].
static void rotate(void *x, const float *table, int64_t half, float sign, bool bf16)
{
    void *upper = (char *)x + half * (bf16 ? 2 : 4);
    for (int64_t i = 0; i < half; i += LANES) {
        const vec cosine = load(table, i, half, false), sine = load(table + half, i, half, false) * sign;
        const vec a = load(x, i, half, bf16), b = load(upper, i, half, bf16);
        store(x, i, half, a * cosine - b * sine, bf16);
        store(upper, i, half, b * cosine + a * sine, bf16);
    }
}

static enum loam_status rope(struct loam_stream *stream, const struct loam_rope_args *args)
{
    const int64_t tokens = args->x.shape[0], heads = args->x.shape[1], half = args->x.shape[2] / 2;
#pragma omp parallel for schedule(static) if (tokens > 1) num_threads(cpu_threads(stream))
    for (int64_t t = 0; t < tokens; t++)
        for (int64_t head = 0; head < heads; head++)
            rotate(cpu_head(&args->x, t, head), cpu_row(&args->table, t), half, args->inverse ? -1 : 1,
                   args->x.dtype == LOAM_BF16);
    return LOAM_OK;
}

void CPU_NAME(rope)(struct loam_op_table *ops)
{
    ops->rope.run = rope;
}
