// The optimiser over flat arrays.
#include <math.h>

#include "device/cpu/kernels/vector.h"

enum {
    PARTS = 256,
    CHUNK = 4096,
    SHARED =
        16 *
        CHUNK, // elements of a matrix that several threads update: below, one does it while others wake up
};

// Sum of squares of x[first..last) in f64.
static double sum_squares(const float *x, int64_t first, int64_t last)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = first; i < last; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

// A fixed number of parts, added in order: the same sum at any number of threads.
static enum loam_status squared_norm(struct loam_stream *stream, const struct loam_squared_norm_args *args)
{
    const int64_t n = loam_tensor_count(&args->x), part = (n + PARTS - 1) / PARTS;
    double sums[PARTS];
#pragma omp parallel for schedule(static) if (n > CHUNK) num_threads(cpu_threads(stream))
    for (int64_t i = 0; i < PARTS; i++) {
        const int64_t first = i * part < n ? i * part : n, last = first + part < n ? first + part : n;
        sums[i] = sum_squares(args->x.data, first, last);
    }
    double *result = args->result.data;
    for (int64_t i = 0; i < PARTS; i++)
        *result += sums[i];
    return LOAM_OK;
}

struct adamw {
    float grad_factor, denominator_scale, beta1, beta2, eps;
    struct {
        float decay, step_size;
    } rates[LOAM_ADAMW_GROUPS];
};

// What gradients are multiplied with.
static double gradient_factor(const struct loam_adamw_args *args)
{
    const double factor = (double)args->grad_factor;
    if (args->max_norm == 0) return factor;
    const double norm = factor * sqrt(*(const double *)args->squared_norm.data);
    return factor * fmin(1, (double)args->max_norm / (norm + 1e-6));
}

static struct adamw adamw_factors(const struct loam_adamw_args *args)
{
    const double correction1 = 1 - pow((double)args->beta1, (double)args->step);
    const double correction2 = 1 - pow((double)args->beta2, (double)args->step);
    struct adamw factors = {
        .grad_factor = (float)gradient_factor(args),
        .denominator_scale = (float)(1 / sqrt(correction2)),
        .beta1 = args->beta1,
        .beta2 = args->beta2,
        .eps = args->eps,
    };
    for (int i = 0; i < LOAM_ADAMW_GROUPS; i++) {
        const double rate = (double)args->rates[i].learning_rate;
        factors.rates[i].decay = (float)(1 - rate * (double)args->rates[i].weight_decay);
        factors.rates[i].step_size = (float)(rate / correction1);
    }
    return factors;
}

INLINE vec sqrt_vec(vec v)
{
    vec root;
    for (int i = 0; i < LANES; i++)
        root[i] = sqrtf(v[i]);
    return root;
}

// Elements [first, last), which are of one group.
static void adamw_span(const struct loam_adamw_args *args, const struct adamw *f, int group, int64_t first,
                       int64_t last)
{
    float *param = args->param.data, *m = args->m.data, *v = args->v.data;
    const float decay = f->rates[group].decay, step_size = f->rates[group].step_size;
    for (int64_t i = first; i < last; i += LANES) {
        const vec g = load(args->grad.data, i, last, false) * f->grad_factor;
        const vec moment = load(m, i, last, false) * f->beta1 + g * (1 - f->beta1);
        const vec square = load(v, i, last, false) * f->beta2 + g * g * (1 - f->beta2);
        const vec denominator = sqrt_vec(square) * f->denominator_scale + f->eps;
        const vec p = load(param, i, last, false) * decay - moment / denominator * step_size;
        store(m, i, last, moment, false);
        store(v, i, last, square, false);
        store(param, i, last, p, false);
        if (args->mirror.data != NULL) store(args->mirror.data, i, last, p, true);
    }
}

// Elements [first, last), range by range.
static void adamw_chunk(const struct loam_adamw_args *args, const struct adamw *factors, int64_t first,
                        int64_t last)
{
    const int32_t *starts = args->starts.data, *groups = args->groups.data;
    int64_t range = 0, end = starts != NULL ? loam_tensor_count(&args->starts) : 1;
    if (starts == NULL) {
        adamw_span(args, factors, 0, first, last);
        return;
    }
    while (end - range > 1) { // the range of `first` is in [range, end)
        const int64_t middle = (range + end) / 2;
        if (starts[middle] <= first)
            range = middle;
        else
            end = middle;
    }
    for (const int64_t ranges = loam_tensor_count(&args->starts); first < last; range++) {
        const int64_t next = range + 1 < ranges && starts[range + 1] < last ? starts[range + 1] : last;
        adamw_span(args, factors, groups[range], first, next);
        first = next;
    }
}

static bool is_finite(const struct loam_tensor *scalar)
{
    return scalar->data == NULL || isfinite(*(const double *)scalar->data);
}

static enum loam_status adamw(struct loam_stream *stream, const struct loam_adamw_args *args)
{
    const int64_t n = loam_tensor_count(&args->param);
    if (!is_finite(&args->squared_norm) || !is_finite(&args->guard)) return LOAM_OK;
    const struct adamw factors = adamw_factors(args);
#pragma omp parallel for schedule(static) if (n > SHARED) num_threads(cpu_threads(stream))
    for (int64_t first = 0; first < n; first += CHUNK)
        adamw_chunk(args, &factors, first, first + CHUNK < n ? first + CHUNK : n);
    return LOAM_OK;
}

void CPU_NAME(optimiser)(struct loam_op_table *ops)
{
    ops->squared_norm.run = squared_norm;
    ops->adamw.run = adamw;
}
