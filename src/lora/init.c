#include "lora/init.h"

#include <lapacke.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/heap.h"
#include "base/rng.h"

// ---- names ----

enum { MOST_ITERATIONS = 1000 };

enum loam_status loam_lora_init_parse(struct loam_lora_init_choice *init, const char *name,
                                      struct loam_error *error)
{
    static const struct {
        const char *name;
        enum loam_lora_init kind;
    } names[] = {
        {"gaussian", LOAM_LORA_GAUSSIAN},     {"true", LOAM_LORA_KAIMING}, {"kaiming", LOAM_LORA_KAIMING},
        {"false", LOAM_LORA_RANDOM},          {"pissa", LOAM_LORA_PISSA},  {"olora", LOAM_LORA_OLORA},
        {"orthogonal", LOAM_LORA_ORTHOGONAL},
    };
    static const char iterated[] = "pissa_niter_";
    *init = (struct loam_lora_init_choice){.kind = LOAM_LORA_GAUSSIAN, .iterations = -1};
    if (name == NULL) return LOAM_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(name, names[i].name) == 0) {
            init->kind = names[i].kind;
            return LOAM_OK;
        }
    if (strncasecmp(name, iterated, sizeof iterated - 1) == 0) {
        const char *digits = name + sizeof iterated - 1;
        const size_t size = strspn(digits, "0123456789");
        init->kind = LOAM_LORA_PISSA;
        init->iterations = size > 0 && size < 6 && digits[size] == '\0' ? (int)strtol(digits, NULL, 10)
                                                                        : MOST_ITERATIONS + 1;
        if (init->iterations <= MOST_ITERATIONS) return LOAM_OK;
    }
    return loam_fail(error, LOAM_ERROR_ARGUMENT,
                     "initial weights \"%.100s\": expected gaussian, true, false, orthogonal, pissa, "
                     "pissa_niter_N with N up to %d, or olora (--init-lora-weights)",
                     name, MOST_ITERATIONS);
}

bool loam_lora_init_takes(const struct loam_lora_init_choice *init)
{
    return init->kind == LOAM_LORA_PISSA || init->kind == LOAM_LORA_OLORA;
}

const char *loam_lora_init_written(const struct loam_lora_init_choice *init)
{
    switch (init->kind) {
    case LOAM_LORA_GAUSSIAN:
        return "gaussian";
    case LOAM_LORA_RANDOM:
        return "false";
    case LOAM_LORA_ORTHOGONAL:
        return "orthogonal";
    default:
        return "true";
    }
}

// ---- random values ----

static void draw_uniform(float *x, int64_t count, int64_t first, double bound, uint64_t seed, uint64_t stream)
{
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)bound * (2.0f * loam_rng_uniform(seed, stream, (uint64_t)(first + i)) - 1.0f);
}

static void draw_normal(float *x, int64_t count, int64_t first, float deviation, uint64_t seed,
                        uint64_t stream)
{
    for (int64_t i = 0; i < count; i++)
        x[i] = deviation * loam_rng_normal(seed, stream, (uint64_t)(first + i));
}

// ---- matrices, row by row ----

static enum loam_status fail_lapack(const struct loam_lora_module *module, int code, struct loam_error *error)
{
    if (code == LAPACK_WORK_MEMORY_ERROR || code == LAPACK_TRANSPOSE_MEMORY_ERROR)
        return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: the decomposition of %s", module->path);
    return loam_fail(error, LOAM_ERROR_NUMERIC,
                     "the weight of %s cannot be decomposed (LAPACK: %d); are its values finite?",
                     module->path, code);
}

// x [rows, columns] becomes the orthonormal Q of its QR decomposition, columns <= rows. `tau` [columns].
static enum loam_status orthonormalise(float *x, int64_t rows, int64_t columns, float *tau,
                                       const struct loam_lora_module *module, struct loam_error *error)
{
    const int m = (int)rows, n = (int)columns;
    int code = LAPACKE_sgeqrf(LAPACK_ROW_MAJOR, m, n, x, n, tau);
    if (code == 0) code = LAPACKE_sorgqr(LAPACK_ROW_MAJOR, m, n, n, x, n, tau);
    return code == 0 ? LOAM_OK : fail_lapack(module, code, error);
}

// y [rows, columns] = w x, w [rows, inner], x [inner, columns].
static void multiply(float *restrict y, const float *w, const float *x, int64_t rows, int64_t inner,
                     int64_t columns)
{
    memset(y, 0, (size_t)(rows * columns) * sizeof *y);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < inner; k++)
            for (int64_t j = 0; j < columns; j++)
                y[i * columns + j] += w[i * inner + k] * x[k * columns + j];
}

// y [columns of w, columns] = wT x, w [rows, inner], x [rows, columns].
static void multiply_transposed(float *restrict y, const float *w, const float *x, int64_t rows,
                                int64_t inner, int64_t columns)
{
    memset(y, 0, (size_t)(inner * columns) * sizeof *y);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < inner; k++)
            for (int64_t j = 0; j < columns; j++)
                y[k * columns + j] += w[i * inner + k] * x[i * columns + j];
}

// ---- initialisations ----

// Q of a random [r, r] has orthogonal rows: A is made of its even rows and B of its odd ones.
static enum loam_status compute_orthogonal(const struct loam_lora_module *module, uint64_t seed,
                                           uint64_t stream, float *a, float *b, struct loam_error *error)
{
    const int64_t r = module->rank, half = r / 2;
    if (r % 2 != 0)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "orthogonal initial weights: the rank of %s is %lld; expected an even rank",
                         module->path, (long long)r);
    float *q = loam_calloc((size_t)(r * (r + 1)), sizeof *q, error);
    if (q == NULL) return LOAM_ERROR_MEMORY;
    draw_normal(q, r * r, 0, 1, seed, stream);
    enum loam_status status = orthonormalise(q, r, r, q + r * r, module, error);
    for (int64_t h = 0; h < half && status == LOAM_OK; h++) {
        const float *of_a = q + 2 * h * r, *of_b = of_a + r;
        const uint64_t first = (uint64_t)(r * r + h * (module->in + module->out));
        for (int64_t i = 0; i < module->in; i++) {
            const float value = loam_rng_normal(seed, stream, first + (uint64_t)i) / 10;
            for (int64_t k = 0; k < r; k++)
                a[k * module->in + i] += value * of_a[k];
        }
        for (int64_t o = 0; o < module->out; o++) {
            const float value = loam_rng_normal(seed, stream, first + (uint64_t)(module->in + o)) / 10;
            for (int64_t k = 0; k < r; k++)
                b[o * r + k] += value * of_b[k];
        }
    }
    free(q);
    return status;
}

// A = sqrt(s / scale) vT, B = u sqrt(s / scale). u [out, stride], vt [r or more, in].
static void scale_factors(const struct loam_lora_module *module, const float *u, int64_t stride,
                          const float *s, const float *vt, float *a, float *b)
{
    for (int64_t k = 0; k < module->rank; k++) {
        const float root = sqrtf(s[k] / module->scale);
        for (int64_t i = 0; i < module->in; i++)
            a[k * module->in + i] = root * vt[k * module->in + i];
        for (int64_t o = 0; o < module->out; o++)
            b[o * module->rank + k] = root * u[o * stride + k];
    }
}

static enum loam_status compute_pissa(const struct loam_lora_module *module, float *weight, float *a,
                                      float *b, struct loam_error *error)
{
    const int64_t in = module->in, out = module->out, most = in < out ? in : out;
    float *u = loam_calloc((size_t)(out * most), sizeof *u, error);
    float *vt = loam_calloc((size_t)(most * in), sizeof *vt, error);
    float *s = loam_calloc((size_t)most, sizeof *s, error);
    enum loam_status status = u != NULL && vt != NULL && s != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
    if (status == LOAM_OK) {
        const int code = LAPACKE_sgesdd(LAPACK_ROW_MAJOR, 'S', (int)out, (int)in, weight, (int)in, s, u,
                                        (int)most, vt, (int)in);
        if (code != 0) status = fail_lapack(module, code, error);
    }
    if (status == LOAM_OK) scale_factors(module, u, most, s, vt, a, b);
    free(u);
    free(vt);
    free(s);
    return status;
}

// The buffers of subspace iterations.
struct subspace {
    float *q;   // [out, r]
    float *p;   // [in, r]
    float *tau; // [r]
    float *s;   // [r]
    float *u;   // [r, r]
    float *vt;  // [r, in]
    float *qw;  // [r, in]
    float *qu;  // [out, r]
};

// Halko, Martinsson, Tropp 2009, algorithms 4.4 and 5.1: q spans W times random vectors, after iterations of
// q = qr(W qr(WT q)); then the singular values of qT W are those of W, and q u its left vectors.
static enum loam_status iterate(const struct loam_lora_module *module, const float *weight, int iterations,
                                uint64_t stream, struct subspace *x, float *a, float *b,
                                struct loam_error *error)
{
    const int64_t in = module->in, out = module->out, r = module->rank;
    draw_normal(x->p, in * r, 0, 1, 0, stream);
    multiply(x->q, weight, x->p, out, in, r);
    LOAM_TRY(orthonormalise(x->q, out, r, x->tau, module, error));
    for (int i = 0; i < iterations; i++) {
        multiply_transposed(x->p, weight, x->q, out, in, r);
        LOAM_TRY(orthonormalise(x->p, in, r, x->tau, module, error));
        multiply(x->q, weight, x->p, out, in, r);
        LOAM_TRY(orthonormalise(x->q, out, r, x->tau, module, error));
    }
    multiply_transposed(x->p, weight, x->q, out, in, r);
    for (int64_t i = 0; i < in; i++)
        for (int64_t k = 0; k < r; k++)
            x->qw[k * in + i] = x->p[i * r + k];
    const int code = LAPACKE_sgesdd(LAPACK_ROW_MAJOR, 'S', (int)r, (int)in, x->qw, (int)in, x->s, x->u,
                                    (int)r, x->vt, (int)in);
    if (code != 0) return fail_lapack(module, code, error);
    multiply(x->qu, x->q, x->u, out, r, r);
    scale_factors(module, x->qu, r, x->s, x->vt, a, b);
    return LOAM_OK;
}

static enum loam_status compute_iterated(const struct loam_lora_module *module, const float *weight,
                                         int iterations, uint64_t stream, float *a, float *b,
                                         struct loam_error *error)
{
    const size_t in = (size_t)module->in, out = (size_t)module->out, r = (size_t)module->rank;
    float *all = loam_calloc(r * (2 * out + 3 * in + r + 2), sizeof *all, error);
    if (all == NULL) return LOAM_ERROR_MEMORY;
    struct subspace x = {.q = all};
    x.p = x.q + out * r;
    x.tau = x.p + in * r;
    x.s = x.tau + r;
    x.u = x.s + r;
    x.vt = x.u + r * r;
    x.qw = x.vt + r * in;
    x.qu = x.qw + r * in;
    enum loam_status status = iterate(module, weight, iterations, stream, &x, a, b, error);
    free(all);
    return status;
}

static enum loam_status compute_olora(const struct loam_lora_module *module, float *weight, float *a,
                                      float *b, struct loam_error *error)
{
    const int64_t in = module->in, out = module->out, r = module->rank, most = in < out ? in : out;
    float *tau = loam_calloc((size_t)most, sizeof *tau, error);
    float *q = loam_calloc((size_t)(out * r), sizeof *q, error);
    enum loam_status status = tau != NULL && q != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
    if (status == LOAM_OK) {
        int code = LAPACKE_sgeqrf(LAPACK_ROW_MAJOR, (int)out, (int)in, weight, (int)in, tau);
        for (int64_t k = 0; k < r && code == 0; k++) // R is above the diagonal, the reflectors of Q below it
            memcpy(a + k * in + k, weight + k * in + k, (size_t)(in - k) * sizeof *a);
        for (int64_t o = 0; o < out && code == 0; o++)
            memcpy(q + o * r, weight + o * in, (size_t)r * sizeof *q);
        if (code == 0) code = LAPACKE_sorgqr(LAPACK_ROW_MAJOR, (int)out, (int)r, (int)r, q, (int)r, tau);
        if (code != 0) status = fail_lapack(module, code, error);
    }
    if (status == LOAM_OK) memcpy(b, q, (size_t)(out * r) * sizeof *b);
    free(q);
    free(tau);
    return status;
}

enum loam_status loam_lora_init_compute(const struct loam_lora_init_choice *init,
                                        const struct loam_lora_module *module, uint64_t seed, float *weight,
                                        float *a, float *b, float *bias, struct loam_error *error)
{
    const int64_t in = module->in, out = module->out, r = module->rank, most = in < out ? in : out;
    const uint64_t stream = loam_rng_stream(LOAM_RNG_LORA, module->index);
    if (loam_lora_init_takes(init) && (r > most || in > INT32_MAX || out > INT32_MAX))
        return loam_fail(
            error, LOAM_ERROR_ARGUMENT,
            "initial weights of %s, which is [%lld, %lld]: its rank is %lld; expected at most the "
            "smaller dimension, because its decomposition has no more parts",
            module->path, (long long)out, (long long)in, (long long)r);
    switch (init->kind) {
    case LOAM_LORA_GAUSSIAN:
        draw_normal(a, r * in, 0, 1.0f / (float)r, seed, stream);
        break;
    case LOAM_LORA_RANDOM:
        draw_uniform(b, out * r, r * in, 1.0 / sqrt((double)r), seed, stream);
        if (bias != NULL) draw_uniform(bias, out, r * (in + out), 1.0 / sqrt((double)r), seed, stream);
        // fall through
    case LOAM_LORA_KAIMING:
        draw_uniform(a, r * in, 0, 1.0 / sqrt((double)in), seed, stream);
        break;
    case LOAM_LORA_ORTHOGONAL:
        return compute_orthogonal(module, seed, stream, a, b, error);
    case LOAM_LORA_PISSA:
        if (init->iterations < 0) return compute_pissa(module, weight, a, b, error);
        return compute_iterated(module, weight, init->iterations, stream, a, b, error);
    case LOAM_LORA_OLORA:
        return compute_olora(module, weight, a, b, error);
    }
    return LOAM_OK;
}

void loam_lora_init_embedding(const struct loam_lora_init_choice *init, const struct loam_lora_module *module,
                              uint64_t seed, float *a, float *b)
{
    const int64_t a_count = module->rank * module->in, b_count = module->out * module->rank;
    const uint64_t stream = loam_rng_stream(LOAM_RNG_LORA, module->index);
    draw_normal(a, a_count, 0, 1, seed, stream);
    if (init->kind == LOAM_LORA_RANDOM) draw_normal(b, b_count, a_count, 1, seed, stream);
}
