// Rotary positions, in place.
#include "device/cpu/kernels/vector.h"

// (x_i, x_{i+R/2}) <- (x_i cos - x_{i+R/2} sin, x_{i+R/2} cos + x_i sin); `table` is the token's row [R].
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

// (x_{2i}, x_{2i+1}) <- (x_{2i} cos - x_{2i+1} sin, x_{2i+1} cos + x_{2i} sin). Two vectors of x are split into the
// elements at even places and those at odd places.
static void rotate_interleaved(void *x, const float *table, int64_t half, float sign, bool bf16)
{
    const int64_t n = 2 * half;
    for (int64_t i = 0; i < half; i += LANES) {
        const bool is_long = half - i > LANES / 2; // more than a vector of x
        const vec cosine = load(table, i, half, false), sine = load(table + half, i, half, false) * sign;
        struct vec_pair v = {load(x, 2 * i, n, bf16), splat(0)};
        if (is_long) v.second = load(x, 2 * i + LANES, n, bf16);
        v = split_places(v);
        v = join_places(
            (struct vec_pair){v.first * cosine - v.second * sine, v.second * cosine + v.first * sine});
        store(x, 2 * i, n, v.first, bf16);
        if (is_long) store(x, 2 * i + LANES, n, v.second, bf16);
    }
}

static enum loam_status rope(struct loam_stream *stream, const struct loam_rope_args *args)
{
    const int64_t tokens = args->x.shape[0], heads = args->x.shape[1], half = args->x.shape[2] / 2;
    const float sign = args->inverse ? -1 : 1;
    const bool bf16 = args->x.dtype == LOAM_BF16;
#pragma omp parallel for schedule(static) if (tokens > 1) num_threads(cpu_threads(stream))
    for (int64_t t = 0; t < tokens; t++)
        for (int64_t head = 0; head < heads; head++) {
            void *x = cpu_head(&args->x, t, head);
            const float *table = cpu_row(&args->table, t);
            if (args->interleaved)
                rotate_interleaved(x, table, half, sign, bf16);
            else
                rotate(x, table, half, sign, bf16);
        }
    return LOAM_OK;
}

void CPU_NAME(rope)(struct loam_op_table *ops)
{
    ops->rope.run = rope;
}
