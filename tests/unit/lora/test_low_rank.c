// The first terms of a singular value decomposition, from thin factors.
#include "test.h"

#include <math.h>

#include "lora/low_rank.h"

static struct loam_error error;

// Numbers in (-1, 1) that look random.
static double draw(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(int64_t)(*state >> 11) / (double)(1ll << 52) - 1;
}

struct shape {
    int64_t out, inner, in, rank;
};

// Product [out, in] of x [out, inner] and y [inner, in].
static double *multiply(const double *x, const double *y, int64_t out, int64_t inner, int64_t in)
{
    double *product = calloc((size_t)(out * in), sizeof *product);
    assert_non_null(product);
    for (int64_t i = 0; i < out; i++)
        for (int64_t k = 0; k < inner; k++)
            for (int64_t j = 0; j < in; j++)
                product[i * in + j] += x[i * inner + k] * y[k * in + j];
    return product;
}

static double square(const double *x, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += x[i] * x[i];
    return sum;
}

// Returns |b a - u v|^2 / |b a|^2. Checks that the rows of v are orthonormal and the columns of u orthogonal and
// ordered by size, for the terms that the product has.
static double compute_rest(struct shape shape)
{
    uint64_t state = 17;
    const int64_t a_count = shape.inner * shape.in, b_count = shape.out * shape.inner;
    double *a = calloc((size_t)a_count, sizeof *a), *b = calloc((size_t)b_count, sizeof *b);
    float *u = calloc((size_t)(shape.out * shape.rank), sizeof *u);
    float *v = calloc((size_t)(shape.rank * shape.in), sizeof *v);
    assert_true(a != NULL && b != NULL && u != NULL && v != NULL);
    for (int64_t i = 0; i < a_count; i++)
        a[i] = draw(&state);
    for (int64_t i = 0; i < b_count; i++)
        b[i] = draw(&state);
    double *whole = multiply(b, a, shape.out, shape.inner, shape.in);
    const struct loam_low_rank_product product = {
        .name = "a module", .out = shape.out, .inner = shape.inner, .in = shape.in, .b = b, .a = a};
    assert_ok(loam_low_rank_compute(&product, shape.rank, u, v, &error));
    const double all = square(whole, shape.out * shape.in);
    double before = INFINITY;
    for (int64_t k = 0; k < shape.rank; k++) {
        double length = 0, value = 0, across = 0, between = 0;
        for (int64_t j = 0; j < shape.in; j++) {
            length += (double)v[k * shape.in + j] * (double)v[k * shape.in + j];
            if (k > 0) across += (double)v[k * shape.in + j] * (double)v[(k - 1) * shape.in + j];
        }
        for (int64_t i = 0; i < shape.out; i++) {
            value += (double)u[i * shape.rank + k] * (double)u[i * shape.rank + k];
            if (k > 0) between += (double)u[i * shape.rank + k] * (double)u[i * shape.rank + k - 1];
        }
        assert_true(value <= before * (1 + 1e-6));
        assert_true(fabs(across) < 1e-6 && fabs(between) < 1e-6 * all);
        if (value > 1e-9 * all) assert_true(fabs(length - 1) < 1e-6);
        before = value;
    }
    for (int64_t i = 0; i < shape.out; i++)
        for (int64_t k = 0; k < shape.rank; k++)
            for (int64_t j = 0; j < shape.in; j++)
                whole[i * shape.in + j] -= (double)u[i * shape.rank + k] * (double)v[k * shape.in + j];
    const double rest = square(whole, shape.out * shape.in) / all;
    free(whole);
    free(a);
    free(b);
    free(u);
    free(v);
    return rest;
}

static void whole_products(void **state)
{
    (void)state;
    // Thin factors; a larger rank; factors wider than the outputs, the inputs and both; a single number.
    static const struct shape shapes[] = {{12, 3, 17, 3}, {12, 3, 17, 5}, {4, 9, 20, 4},
                                          {20, 9, 4, 4},  {4, 9, 5, 9},   {1, 1, 1, 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const double rest = compute_rest(shapes[i]);
        if (!(rest < 1e-12)) fail_msg("shape %zu: %g is left", i, rest);
    }
}

// What is left becomes smaller with each term.
static void best_terms(void **state)
{
    (void)state;
    double before = 1;
    for (int64_t rank = 1; rank <= 6; rank++) {
        const double rest = compute_rest((struct shape){14, 6, 11, rank});
        assert_true(rest < before);
        before = rest;
    }
    assert_true(before < 1e-12);
}

static void not_finite(void **state)
{
    (void)state;
    double a[4] = {1, NAN, 0, 1}, b[4] = {1, 0, 0, 1};
    float u[2], v[2];
    const struct loam_low_rank_product product = {
        .name = "h.1.dense", .out = 2, .inner = 2, .in = 2, .b = b, .a = a};
    assert_fails(loam_low_rank_compute(&product, 1, u, v, &error), LOAM_ERROR_NUMERIC, "h.1.dense");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_products),
        cmocka_unit_test(best_terms),
        cmocka_unit_test(not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
