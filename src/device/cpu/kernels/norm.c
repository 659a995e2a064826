// Layernorm and rmsnorm, a row a task; gradients of their weights by blocks of columns, so that every sum
// runs over the rows in order whatever the number of threads.
#include <math.h>

#include "device/cpu/kernels/vector.h"

enum { COLUMNS = 16 * LANES }; // columns of a task of the weight gradients

struct row_sums {
    float first, second;
};

// ---- forward ----

static float row_mean(const void *x, int64_t n, bool bf16)
{
    vec sum = splat(0);
    for (int64_t i = 0; i < n; i += LANES)
        sum += load(x, i, n, bf16);
    return sum_lanes(sum) / (float)n;
}

// mean_h((x - mean)^2)
static float row_variance(const void *x, int64_t n, float mean, bool bf16)
{
    vec sum = splat(0);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const vec centred = load(x, i, n, bf16) - mean;
        sum += centred * centred;
    }
    float tail = 0;
    const vec rest = i < n ? load(x, i, n, bf16) : splat(0);
    for (int lane = 0; lane < n - i; lane++)
        tail += (rest[lane] - mean) * (rest[lane] - mean);
    return (sum_lanes(sum) + tail) / (float)n;
}

// y = (x - mean) rstd w + b of one row. `biased` is a constant where this is called, so that the multiply-add
// of the bias stays one instruction.
INLINE void normalise_row(const struct loam_layernorm_forward_args *args, int64_t t, bool biased)
{
    const int64_t n = args->x.shape[1];
    const bool bf16 = args->x.dtype == LOAM_BF16;
    const float mean = ((const float *)args->mean.data)[t], rstd = ((const float *)args->rstd.data)[t];
    const void *x = cpu_row(&args->x, t);
    void *y = cpu_row(&args->y, t);
    for (int64_t i = 0; i < n; i += LANES) {
        vec value = (load(x, i, n, bf16) - mean) * rstd * load(args->w.data, i, n, bf16);
        if (biased) value += load(args->b.data, i, n, bf16);
        store(y, i, n, value, bf16);
    }
}

static enum loam_status layernorm_forward(struct loam_stream *stream,
                                          const struct loam_layernorm_forward_args *args)
{
    const int64_t rows = args->x.shape[0], n = args->x.shape[1];
    const bool bf16 = args->x.dtype == LOAM_BF16;
    float *mean = args->mean.data, *rstd = args->rstd.data;
#pragma omp parallel for schedule(static) if (rows > 1) num_threads(cpu_threads(stream))
    for (int64_t t = 0; t < rows; t++) {
        const void *x = cpu_row(&args->x, t);
        mean[t] = row_mean(x, n, bf16);
        rstd[t] = 1.0f / sqrtf(row_variance(x, n, mean[t], bf16) + args->eps);
        if (args->b.data != NULL)
            normalise_row(args, t, true);
        else
            normalise_row(args, t, false);
    }
    return LOAM_OK;
}

// Elements [i, i + LANES) of rmsnorm's weight w + offset. An offset of 0 leaves w as it is.
INLINE vec offset_weight(const struct loam_tensor *w, int64_t i, int64_t n, float offset, bool bf16)
{
    const vec weight = load(w->data, i, n, bf16);
    return offset != 0 ? weight + offset : weight;
}

static enum loam_status rmsnorm_forward(struct loam_stream *stream,
                                        const struct loam_rmsnorm_forward_args *args)
{
    const int64_t rows = args->x.shape[0], n = args->x.shape[1];
    const bool bf16 = args->x.dtype == LOAM_BF16;
    float *rstd = args->rstd.data;
#pragma omp parallel for schedule(static) if (rows > 1) num_threads(cpu_threads(stream))
    for (int64_t t = 0; t < rows; t++) {
        const void *x = cpu_row(&args->x, t);
        void *y = cpu_row(&args->y, t);
        rstd[t] = 1.0f / sqrtf(row_variance(x, n, 0, bf16) + args->eps);
        for (int64_t i = 0; i < n; i += LANES)
            store(y, i, n, load(x, i, n, bf16) * rstd[t] * offset_weight(&args->w, i, n, args->offset, bf16),
                  bf16);
    }
    return LOAM_OK;
}

// ---- backward ----

// A norm's backward, both kinds; rmsnorm's mean is absent, and mean_h(g) is left out.
struct norm_backward {
    const struct loam_tensor *dy, *x, *w, *dx;
    const float *mean; // [T], NULL: zero
    const float *rstd; // [T]
    float offset;      // of w
    bool accumulate;
    float *dw; // [H] or NULL
    float *db; // [H] or NULL
};

// sum_h(g) and sum_h(g xh) of one row, with g = dy (w + offset)
static struct row_sums gradient_sums(const struct norm_backward *norm, int64_t t, float mean)
{
    const int64_t n = norm->x->shape[1];
    const bool bf16 = norm->x->dtype == LOAM_BF16;
    const void *dy = cpu_row(norm->dy, t), *x = cpu_row(norm->x, t);
    vec sum = splat(0), product = splat(0);
    for (int64_t i = 0; i < n; i += LANES) {
        // 0 past the end, where dy is
        const vec g = load(dy, i, n, bf16) * offset_weight(norm->w, i, n, norm->offset, bf16);
        sum += g;
        product += g * (load(x, i, n, bf16) - mean);
    }
    return (struct row_sums){sum_lanes(sum), sum_lanes(product) * norm->rstd[t]};
}

// dx = rstd (g - mean_h(g) - xh mean_h(g xh))
static void backward_row(const struct norm_backward *norm, int64_t t)
{
    const int64_t n = norm->x->shape[1];
    const bool bf16 = norm->x->dtype == LOAM_BF16;
    const void *dy = cpu_row(norm->dy, t), *x = cpu_row(norm->x, t);
    void *dx = cpu_row(norm->dx, t);
    const float mean = norm->mean != NULL ? norm->mean[t] : 0, rstd = norm->rstd[t];
    const struct row_sums sums = gradient_sums(norm, t, mean);
    const float g_mean = norm->mean != NULL ? sums.first / (float)n : 0,
                product_mean = sums.second / (float)n;
    for (int64_t i = 0; i < n; i += LANES) {
        const vec g = load(dy, i, n, bf16) * offset_weight(norm->w, i, n, norm->offset, bf16);
        const vec xh = (load(x, i, n, bf16) - mean) * rstd;
        vec value = (g - g_mean - xh * product_mean) * rstd;
        if (norm->accumulate) value += load(dx, i, n, bf16);
        store(dx, i, n, value, bf16);
    }
}

// dw += sum_t dy xh; db += sum_t dy, of the columns from `first`
static void weight_columns(const struct norm_backward *norm, int64_t first)
{
    const int64_t rows = norm->x->shape[0], n = norm->x->shape[1];
    const int64_t last = first + COLUMNS < n ? first + COLUMNS : n;
    const bool bf16 = norm->x->dtype == LOAM_BF16;
    for (int64_t t = 0; t < rows; t++) {
        const void *dy = cpu_row(norm->dy, t), *x = cpu_row(norm->x, t);
        const float mean = norm->mean != NULL ? norm->mean[t] : 0;
        for (int64_t i = first; i < last; i += LANES) {
            const vec g = load(dy, i, last, bf16), xh = (load(x, i, last, bf16) - mean) * norm->rstd[t];
            if (norm->dw != NULL) store(norm->dw, i, last, load(norm->dw, i, last, false) + g * xh, false);
            if (norm->db != NULL) store(norm->db, i, last, load(norm->db, i, last, false) + g, false);
        }
    }
}

static void norm_backward(const struct loam_stream *stream, const struct norm_backward *norm)
{
    const int64_t rows = norm->x->shape[0], n = norm->x->shape[1];
    if (norm->dw != NULL || norm->db != NULL) { // before dx, which may take dy's place
#pragma omp parallel for schedule(static) num_threads(cpu_threads(stream))
        for (int64_t first = 0; first < n; first += COLUMNS)
            weight_columns(norm, first);
    }
#pragma omp parallel for schedule(static) if (rows > 1) num_threads(cpu_threads(stream))
    for (int64_t t = 0; t < rows; t++)
        backward_row(norm, t);
}

static enum loam_status layernorm_backward(struct loam_stream *stream,
                                           const struct loam_layernorm_backward_args *args)
{
    norm_backward(stream, &(struct norm_backward){.dy = &args->dy,
                                                  .x = &args->x,
                                                  .w = &args->w,
                                                  .dx = &args->dx,
                                                  .mean = args->mean.data,
                                                  .rstd = args->rstd.data,
                                                  .accumulate = args->accumulate,
                                                  .dw = args->dw.data,
                                                  .db = args->db.data});
    return LOAM_OK;
}

static enum loam_status rmsnorm_backward(struct loam_stream *stream,
                                         const struct loam_rmsnorm_backward_args *args)
{
    norm_backward(stream, &(struct norm_backward){.dy = &args->dy,
                                                  .x = &args->x,
                                                  .w = &args->w,
                                                  .dx = &args->dx,
                                                  .rstd = args->rstd.data,
                                                  .offset = args->offset,
                                                  .accumulate = args->accumulate,
                                                  .dw = args->dw.data});
    return LOAM_OK;
}

void CPU_NAME(norm)(struct loam_op_table *ops)
{
    ops->layernorm_forward.run = layernorm_forward;
    ops->layernorm_backward.run = layernorm_backward;
    ops->rmsnorm_forward.run = rmsnorm_forward;
    ops->rmsnorm_backward.run = rmsnorm_backward;
}
