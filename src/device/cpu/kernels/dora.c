// DoRA: the norms of the adapted weight's rows, and the scaled update. The adapted weight is formed in registers,
// so that the norm has no cancellation and needs no memory.
#include <math.h>

#include "device/cpu/kernels/dropout.h"

enum {
    ROWS = 4,                     // of the weight that share the loads of a
    NORMED = 4,                   // vectors of columns that share the rows of b
    SUMMED = 512,                 // rows of one sum of columns
    GATHERED = 1024,              // columns of a row of the weight at a time
    COLUMNS = 8 * LANES,          // of a task of the backward
    DROPPED = 16 * DROPOUT_WORDS, // elements that are dropped at a time
};

// ---- norms ----

// A row of the weight from column `first` on.
struct row_values {
    const void *data;
    enum loam_dtype dtype;
};

// The columns of a transposed weight lie apart: they are gathered into `buffer` in f32.
static struct row_values row_values(const struct loam_weight *w, int64_t row, int64_t first, int64_t count,
                                    float *buffer)
{
    const struct loam_tensor *tensor = &w->tensor;
    const int64_t size = (int64_t)loam_dtype_size(tensor->dtype);
    if (!w->transposed)
        return (struct row_values){(const char *)cpu_row(tensor, row) + first * size, tensor->dtype};
    for (int64_t i = 0; i < count; i++)
        loam_convert(buffer + i, LOAM_F32, (const char *)cpu_row(tensor, first + i) + row * size,
                     tensor->dtype, 1);
    return (struct row_values){buffer, LOAM_F32};
}

// sums[i] += the squares of columns [first, first + count) of row + i, for i < rows.
INLINE void add_squares(const struct loam_dora_norm_args *args, int64_t row, int rows, int64_t first,
                        int64_t count, vec sums[ROWS])
{
    const int64_t k = args->a.shape[1], rank = args->a.shape[0];
    const float *a = (const float *)args->a.data + first, *b = (const float *)args->b.data + row * rank;
    float buffer[ROWS][GATHERED];
    struct row_values w[ROWS];
    for (int i = 0; i < rows; i++)
        w[i] = row_values(&args->w, row + i, first, count, buffer[i]);
    for (int64_t column = 0; column < count; column += LANES) {
        vec updates[ROWS];
        for (int i = 0; i < rows; i++)
            updates[i] = splat(0);
        for (int64_t j = 0; j < rank; j++) {
            const vec values = load(a + j * k, column, count, false);
            for (int i = 0; i < rows; i++)
                updates[i] += b[i * rank + j] * values;
        }
        for (int i = 0; i < rows; i++) {
            const vec adapted = load_any(w[i].data, column, count, w[i].dtype) + args->scale * updates[i];
            sums[i] += adapted * adapted;
        }
    }
}

// norms[row + i] for i < rows.
INLINE void norm_rows(const struct loam_dora_norm_args *args, int64_t row, int rows)
{
    const int64_t k = args->a.shape[1];
    vec sums[ROWS];
    for (int i = 0; i < rows; i++)
        sums[i] = splat(0);
    for (int64_t first = 0; first < k; first += GATHERED)
        add_squares(args, row, rows, first, k - first < GATHERED ? k - first : GATHERED, sums);
    for (int i = 0; i < rows; i++)
        ((float *)args->norms.data)[row + i] = sqrtf(sum_lanes(sums[i]));
}

// sums[i] += the squares of vector i of columns from `first` on, in rows [begin, end).
INLINE void add_columns(const struct loam_dora_norm_args *args, int64_t begin, int64_t end, int64_t first,
                        int vectors, vec sums[NORMED])
{
    const struct loam_tensor *w = &args->w.tensor;
    const int64_t k = args->a.shape[1], rank = args->a.shape[0];
    const float *a = args->a.data, *b = (const float *)args->b.data + begin * rank;
    vec block[NORMED], updates[NORMED];
    for (int i = 0; i < vectors; i++)
        block[i] = splat(0);
    for (int64_t row = begin; row < end; row++, b += rank) {
        for (int i = 0; i < vectors; i++)
            updates[i] = splat(0);
        for (int64_t j = 0; j < rank; j++)
            for (int i = 0; i < vectors; i++)
                updates[i] += b[j] * load(a + j * k, first + i * LANES, k, false);
        for (int i = 0; i < vectors; i++) {
            const vec adapted =
                load_any(cpu_row(w, row), first + i * LANES, k, w->dtype) + args->scale * updates[i];
            block[i] += adapted * adapted;
        }
    }
    for (int i = 0; i < vectors; i++)
        sums[i] += block[i];
}

// The norms of `vectors` of columns from `first` on; the last one may end beyond the last column. Rows are summed in
// blocks, because a vocabulary has too many for one sum in f32.
INLINE void norm_vectors(const struct loam_dora_norm_args *args, int64_t first, int vectors)
{
    const int64_t rows = args->b.shape[0], k = args->a.shape[1];
    vec sums[NORMED];
    for (int i = 0; i < vectors; i++)
        sums[i] = splat(0);
    for (int64_t row = 0; row < rows; row += SUMMED)
        add_columns(args, row, rows - row < SUMMED ? rows : row + SUMMED, first, vectors, sums);
    for (int i = 0; i < vectors; i++) {
        float lanes[LANES];
        const int64_t at = first + i * LANES;
        store_f32(lanes, sums[i]);
        for (int64_t j = 0; j < LANES && at + j < k; j++)
            ((float *)args->norms.data)[at + j] = sqrtf(lanes[j]);
    }
}

static void norm_columns(struct loam_stream *stream, const struct loam_dora_norm_args *args)
{
    const int64_t k = args->a.shape[1];
#pragma omp parallel for schedule(static) num_threads(cpu_threads(stream))
    for (int64_t first = 0; first < k; first += NORMED * LANES) {
        if (first + NORMED * LANES <= k)
            norm_vectors(args, first, NORMED);
        else
            for (int64_t i = first; i < k; i += LANES)
                norm_vectors(args, i, 1);
    }
}

static enum loam_status dora_norm(struct loam_stream *stream, const struct loam_dora_norm_args *args)
{
    const int64_t n = args->b.shape[0];
    if (args->columns) {
        norm_columns(stream, args);
        return LOAM_OK;
    }
#pragma omp parallel for schedule(static) num_threads(cpu_threads(stream))
    for (int64_t row = 0; row < n; row += ROWS) {
        if (row + ROWS <= n)
            norm_rows(args, row, ROWS);
        else
            for (int64_t i = row; i < n; i++)
                norm_rows(args, i, 1);
    }
    return LOAM_OK;
}

// ---- update ----

INLINE vec gain(const struct loam_tensor *magnitude, const struct loam_tensor *norms, int64_t i, int64_t n)
{
    // Lanes past the end divide by 1.
    const vec divisor = load(norms->data, i, n, false);
    const vec_int inside = lane_index() < splat_int((int32_t)(n - i < LANES ? n - i : LANES));
    return load(magnitude->data, i, n, false) / select_vec(inside, divisor, splat(1));
}

INLINE void forward_row(const struct loam_dora_forward_args *args, int64_t t, bool bf16)
{
    const int64_t n = args->z.shape[1];
    const void *z = cpu_row(&args->z, t), *u = cpu_row(&args->u, t), *bias = args->bias.data;
    const void *residual = args->residual.data == NULL ? NULL : cpu_row(&args->residual, t);
    const float whole = args->whole ? 1.0f : 0.0f;
    for (int64_t i = 0; i < n; i += LANES) {
        const vec g = gain(&args->magnitude, &args->norms, i, n), product = load(z, i, n, bf16);
        vec sum = args->factor * ((g - 1.0f) * product + g * load(u, i, n, bf16)) + whole * product;
        if (bias != NULL) sum += load(bias, i, n, bf16);
        if (residual != NULL) sum += load(residual, i, n, bf16);
        store(cpu_row(&args->y, t), i, n, sum, bf16);
    }
}

static enum loam_status dora_forward(struct loam_stream *stream, const struct loam_dora_forward_args *args)
{
    const int64_t tokens = args->z.shape[0];
    const bool bf16 = args->z.dtype == LOAM_BF16;
#pragma omp parallel for schedule(static) num_threads(cpu_threads(stream)) if (tokens > 1)
    for (int64_t t = 0; t < tokens; t++) {
        if (bf16)
            forward_row(args, t, true);
        else
            forward_row(args, t, false);
    }
    return LOAM_OK;
}

// Columns [first, last) of every row, so that the sums of dmagnitude run in token order.
INLINE void backward_columns(const struct loam_dora_backward_args *args, int64_t first, int64_t last,
                             bool bf16)
{
    const int64_t tokens = args->dy.shape[0];
    const float whole = args->whole ? 1.0f : 0.0f;
    float *dmagnitude = args->dmagnitude.data;
    for (int64_t i = first; i < last; i += LANES) {
        const vec g = gain(&args->magnitude, &args->norms, i, last);
        const vec to_z = whole + args->factor * (g - 1.0f), to_u = args->factor * g;
        vec sum = splat(0);
        for (int64_t t = 0; t < tokens; t++) {
            const vec dy = load(cpu_row(&args->dy, t), i, last, bf16);
            sum +=
                dy * (load(cpu_row(&args->z, t), i, last, bf16) + load(cpu_row(&args->u, t), i, last, bf16));
            store(cpu_row(&args->dz, t), i, last, to_z * dy, bf16);
            store(cpu_row(&args->du, t), i, last, to_u * dy, bf16);
        }
        if (dmagnitude == NULL) continue;
        float norms[LANES], sums[LANES];
        store_f32(norms, load(args->norms.data, i, last, false));
        store_f32(sums, args->factor * sum);
        for (int64_t lane = 0; lane < LANES && i + lane < last; lane++)
            dmagnitude[i + lane] += sums[lane] / norms[lane];
    }
}

static enum loam_status dora_backward(struct loam_stream *stream, const struct loam_dora_backward_args *args)
{
    const int64_t n = args->dy.shape[1];
    const bool bf16 = args->dy.dtype == LOAM_BF16;
#pragma omp parallel for schedule(static) num_threads(cpu_threads(stream))
    for (int64_t first = 0; first < n; first += COLUMNS) {
        const int64_t last = first + COLUMNS < n ? first + COLUMNS : n;
        if (bf16)
            backward_columns(args, first, last, true);
        else
            backward_columns(args, first, last, false);
    }
    return LOAM_OK;
}

// ---- dropout ----

static void drop_row(const struct loam_dropout_args *args, int64_t t)
{
    const int64_t k = args->x.shape[1];
    const bool bf16 = args->x.dtype == LOAM_BF16;
    const void *x = cpu_row(&args->x, t);
    void *y = cpu_row(&args->y, t);
    float values[DROPPED];
    for (int64_t first = 0; first < k; first += DROPPED) {
        const int64_t count = k - first < DROPPED ? k - first : DROPPED;
        for (int64_t i = 0; i < count; i += LANES)
            store(values, i, count, load(x, first + i, first + count, bf16), false);
        if (args->dropout.p > 0)
            dropout_apply(&args->dropout, args->dropout.counter + (uint64_t)(t * k + first), values, count);
        for (int64_t i = 0; i < count; i += LANES) {
            vec value = load(values, i, count, false);
            if (args->accumulate) value += load(y, first + i, first + count, bf16);
            store(y, first + i, first + count, value, bf16);
        }
    }
}

static enum loam_status dropout(struct loam_stream *stream, const struct loam_dropout_args *args)
{
    const int64_t tokens = args->x.shape[0];
#pragma omp parallel for schedule(static) num_threads(cpu_threads(stream)) if (tokens > 1)
    for (int64_t t = 0; t < tokens; t++)
        drop_row(args, t);
    return LOAM_OK;
}

void CPU_NAME(dora)(struct loam_op_table *ops)
{
    ops->dora_norm.run = dora_norm;
    ops->dora_forward.run = dora_forward;
    ops->dora_backward.run = dora_backward;
    ops->dropout.run = dropout;
}
