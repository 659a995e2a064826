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
    float clip, decay, step_size, denominator_scale, beta1, beta2, eps;
};

static struct adamw adamw_factors(const struct loam_adamw_args *args)
{
    const double correction1 = 1 - pow((double)args->beta1, (double)args->step);
    const double correction2 = 1 - pow((double)args->beta2, (double)args->step);
    double clip = 1;
    if (args->squared_norm.data != NULL) {
        const double norm = sqrt(*(const double *)args->squared_norm.data);
        clip = fmin(1, (double)args->max_norm / (norm + 1e-6));
    }
    return (struct adamw){
        .clip = (float)clip,
        .decay = (float)(1 - (double)args->learning_rate * (double)args->weight_decay),
        .step_size = (float)((double)args->learning_rate / correction1),
        .denominator_scale = (float)(1 / sqrt(correction2)),
        .beta1 = args->beta1,
        .beta2 = args->beta2,
        .eps = args->eps,
    };
}

INLINE vec sqrt_vec(vec v)
{
    vec root;
    for (int i = 0; i < LANES; i++)
        root[i] = sqrtf(v[i]);
    return root;
}

static void adamw_chunk(const struct loam_adamw_args *args, const struct adamw *f, int64_t first,
                        int64_t last)
{
    float *param = args->param.data, *m = args->m.data, *v = args->v.data;
    for (int64_t i = first; i < last; i += LANES) {
        const vec g = load(args->grad.data, i, last, false) * f->clip;
        const vec moment = load(m, i, last, false) * f->beta1 + g * (1 - f->beta1);
        const vec square = load(v, i, last, false) * f->beta2 + g * g * (1 - f->beta2);
        const vec denominator = sqrt_vec(square) * f->denominator_scale + f->eps;
        const vec p = load(param, i, last, false) * f->decay - moment / denominator * f->step_size;
        store(m, i, last, moment, false);
        store(v, i, last, square, false);
        store(param, i, last, p, false);
        if (args->mirror.data != NULL) store(args->mirror.data, i, last, p, true);
    }
}

static enum loam_status adamw(struct loam_stream *stream, const struct loam_adamw_args *args)
{
    const int64_t n = loam_tensor_count(&args->param);
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
