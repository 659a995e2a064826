#include "lora/low_rank.h"

#include <lapacke.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"

// The QR decomposition of a matrix [rows, columns] in the memory of the matrix.
struct factor {
    double *q;    // [rows, columns], of which `size` columns are orthonormal
    double *r;    // [size, columns], upper trapezoid
    int64_t size; // the smaller dimension
};

static enum loam_status fail_lapack(const char *name, int code, struct loam_error *error)
{
    if (code == LAPACK_WORK_MEMORY_ERROR || code == LAPACK_TRANSPOSE_MEMORY_ERROR)
        return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: the decomposition of %s", name);
    return loam_fail(error, LOAM_ERROR_NUMERIC,
                     "the sum of the updates of %s cannot be decomposed (LAPACK: %d); are its values finite?",
                     name, code);
}

static enum loam_status decompose(struct factor *factor, double *x, int64_t rows, int64_t columns,
                                  const char *name, struct loam_error *error)
{
    const int64_t size = rows < columns ? rows : columns;
    *factor = (struct factor){.q = x, .size = size};
    double *tau = loam_calloc((size_t)size, sizeof *tau, error);
    factor->r = loam_calloc((size_t)(size * columns), sizeof *factor->r, error);
    if (tau == NULL || factor->r == NULL) {
        free(tau);
        return LOAM_ERROR_MEMORY;
    }
    const int m = (int)rows, n = (int)columns, k = (int)size;
    int code = LAPACKE_dgeqrf(LAPACK_ROW_MAJOR, m, n, x, n, tau);
    for (int64_t i = 0; i < size && code == 0; i++)
        memcpy(factor->r + i * columns + i, x + i * columns + i, (size_t)(columns - i) * sizeof *x);
    if (code == 0) code = LAPACKE_dorgqr(LAPACK_ROW_MAJOR, m, k, k, x, n, tau);
    free(tau);
    return code == 0 ? LOAM_OK : fail_lapack(name, code, error);
}

// The singular value decomposition of a small matrix [rows, columns].
struct values {
    double *u;  // [rows, size]
    double *s;  // [size]
    double *vt; // [size, columns]
    int64_t size;
};

static enum loam_status find_values(struct values *values, double *x, int64_t rows, int64_t columns,
                                    const char *name, struct loam_error *error)
{
    const int64_t size = rows < columns ? rows : columns;
    values->size = size;
    values->u = loam_calloc((size_t)(rows * size), sizeof(double), error);
    values->s = loam_calloc((size_t)size, sizeof(double), error);
    values->vt = loam_calloc((size_t)(size * columns), sizeof(double), error);
    if (values->u == NULL || values->s == NULL || values->vt == NULL) return LOAM_ERROR_MEMORY;
    const int code = LAPACKE_dgesdd(LAPACK_ROW_MAJOR, 'S', (int)rows, (int)columns, x, (int)columns,
                                    values->s, values->u, (int)size, values->vt, (int)columns);
    return code == 0 ? LOAM_OK : fail_lapack(name, code, error);
}

// middle [left, right] = rb raT, the product between the orthonormal factors: b a = qb rb raT qaT.
static double *multiply_middle(const struct factor *b, const struct factor *a, int64_t inner,
                               struct loam_error *error)
{
    double *middle = loam_calloc((size_t)(b->size * a->size), sizeof *middle, error);
    if (middle == NULL) return NULL;
    for (int64_t i = 0; i < b->size; i++)
        for (int64_t j = 0; j < a->size; j++)
            for (int64_t k = i > j ? i : j; k < inner; k++)
                middle[i * a->size + j] += b->r[i * inner + k] * a->r[j * inner + k];
    return middle;
}

// u = qb us, v = vtT qaT, for the first `rank` values.
static void project(const struct loam_low_rank_product *product, const struct factor *b,
                    const struct factor *a, const struct values *values, int64_t rank, float *u, float *v)
{
    const int64_t count = rank < values->size ? rank : values->size;
    for (int64_t i = 0; i < product->out; i++)
        for (int64_t k = 0; k < count; k++) {
            double sum = 0;
            for (int64_t j = 0; j < b->size; j++)
                sum += b->q[i * product->inner + j] * values->u[j * values->size + k];
            u[i * rank + k] = (float)(sum * values->s[k]);
        }
    for (int64_t k = 0; k < count; k++)
        for (int64_t i = 0; i < product->in; i++) {
            double sum = 0;
            for (int64_t j = 0; j < a->size; j++)
                sum += a->q[i * product->inner + j] * values->vt[k * a->size + j];
            v[k * product->in + i] = (float)sum;
        }
}

static double *transpose(const double *x, int64_t rows, int64_t columns, struct loam_error *error)
{
    double *y = loam_calloc((size_t)(rows * columns), sizeof *y, error);
    for (int64_t i = 0; y != NULL && i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            y[j * rows + i] = x[i * columns + j];
    return y;
}

enum loam_status loam_low_rank_compute(const struct loam_low_rank_product *product, int64_t rank, float *u,
                                       float *v, struct loam_error *error)
{
    const int64_t out = product->out, inner = product->inner, in = product->in;
    struct factor b = {0}, a = {0};
    struct values values = {0};
    double *middle = NULL, *across = NULL; // [in, inner]
    if (out > INT32_MAX || in > INT32_MAX || inner > INT32_MAX)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s is too large to be decomposed", product->name);
    enum loam_status status = decompose(&b, product->b, out, inner, product->name, error);
    if (status == LOAM_OK) {
        across = transpose(product->a, inner, in, error);
        status = across == NULL ? LOAM_ERROR_MEMORY : decompose(&a, across, in, inner, product->name, error);
    }
    if (status == LOAM_OK) {
        middle = multiply_middle(&b, &a, inner, error);
        status = middle == NULL ? LOAM_ERROR_MEMORY
                                : find_values(&values, middle, b.size, a.size, product->name, error);
    }
    if (status == LOAM_OK) project(product, &b, &a, &values, rank, u, v);
    free(b.r);
    free(a.r);
    free(across);
    free(middle);
    free(values.u);
    free(values.s);
    free(values.vt);
    return status;
}
