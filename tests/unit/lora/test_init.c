// Initial values of A and B: what each initialisation promises about their product and the weight.
#include "test.h"

#include <math.h>

#include "base/rng.h"
#include "lora/init.h"

enum { IN = 24, OUT = 17, RANK = 4 };

struct values {
    float weight[OUT * IN], used[OUT * IN]; // `used` is overwritten
    float a[RANK * IN], b[OUT * RANK];
};

static void compute(struct values *values, const char *name, float scale)
{
    struct loam_error error;
    struct loam_lora_init_choice init;
    const struct loam_lora_module module = {"h.0.dense", RANK, IN, OUT, scale, 3};
    *values = (struct values){0};
    for (size_t i = 0; i < OUT * IN; i++)
        values->weight[i] = values->used[i] = loam_rng_normal(5, 1, i);
    assert_ok(loam_lora_init_parse(&init, name, &error));
    assert_ok(loam_lora_init_compute(&init, &module, 42, values->used, values->a, values->b, NULL, &error));
}

static double product(const struct values *values, int out, int in)
{
    double sum = 0;
    for (int k = 0; k < RANK; k++)
        sum += (double)values->b[out * RANK + k] * (double)values->a[k * IN + in];
    return sum;
}

static double norm(const float *x, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

// Of singular triples u s v, with A = sqrt(s / scale) vT and B = u sqrt(s / scale): W AT = scale |A|^2 B.
static void test_pissa(void **state)
{
    (void)state;
    const float scale = 0.75f;
    struct values exact, iterated;
    compute(&exact, "pissa", scale);
    compute(&iterated, "PiSSA_niter_500", scale);
    double before = INFINITY;
    for (int k = 0; k < RANK; k++) {
        const double size = norm(exact.a + k * IN, IN), value = (double)scale * size * size;
        assert_true(value <= before && value > 4);
        before = value;
        for (int o = 0; o < OUT; o++) {
            double sum = 0;
            for (int i = 0; i < IN; i++)
                sum += (double)exact.weight[o * IN + i] * (double)exact.a[k * IN + i];
            assert_true(fabs(sum - value * (double)exact.b[o * RANK + k]) < 1e-4);
        }
    }
    for (int o = 0; o < OUT; o++)
        for (int i = 0; i < IN; i++)
            assert_true(fabs(product(&exact, o, i) - product(&iterated, o, i)) < 1e-3);
}

// The first columns of W = Q R need only the first columns of Q.
static void test_olora(void **state)
{
    (void)state;
    struct values values;
    compute(&values, "olora", 0.5f);
    for (int o = 0; o < OUT; o++)
        for (int i = 0; i < RANK; i++)
            assert_true(fabs(product(&values, o, i) - (double)values.weight[o * IN + i]) < 1e-4);
    assert_true(fabs(norm(values.b, OUT * RANK) - sqrt(RANK)) < 1e-4);
}

static void test_orthogonal(void **state)
{
    (void)state;
    struct values values;
    compute(&values, "orthogonal", 1);
    assert_true(norm(values.a, RANK * IN) > 0.1 && norm(values.b, OUT * RANK) > 0.1);
    for (int o = 0; o < OUT; o++)
        for (int i = 0; i < IN; i++)
            assert_true(fabs(product(&values, o, i)) < 1e-6);
}

static void test_random(void **state)
{
    (void)state;
    struct values all, fresh;
    compute(&all, "false", 1);
    compute(&fresh, "true", 1);
    assert_memory_equal(all.a, fresh.a, sizeof all.a);
    assert_true(norm(fresh.b, OUT * RANK) == 0);
    double most = 0;
    for (int i = 0; i < OUT * RANK; i++)
        most = fmax(most, fabs((double)all.b[i]));
    assert_true(most <= 0.5 && most > 0.4); // 1 / sqrt(4)
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const unknown[] = {"ones",           "",   "pissa_niter_", "pissa_niter_1001",
                                          "pissa_niter_2x", "eva"};
    struct loam_error error;
    struct loam_lora_init_choice init;
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        assert_fails(loam_lora_init_parse(&init, unknown[i], &error), LOAM_ERROR_ARGUMENT,
                     "expected gaussian");
    float x[9] = {0}, a[9], b[9];
    const struct loam_lora_module odd = {"m", 3, 3, 3, 1, 0}, wide = {"m", 3, 2, 4, 1, 0};
    assert_ok(loam_lora_init_parse(&init, "orthogonal", &error));
    assert_fails(loam_lora_init_compute(&init, &odd, 0, NULL, a, b, NULL, &error), LOAM_ERROR_ARGUMENT,
                 "even rank");
    assert_ok(loam_lora_init_parse(&init, "olora", &error));
    assert_fails(loam_lora_init_compute(&init, &wide, 0, x, a, b, NULL, &error), LOAM_ERROR_ARGUMENT,
                 "its rank is 3");
    x[4] = NAN;
    assert_ok(loam_lora_init_parse(&init, "pissa", &error));
    assert_fails(loam_lora_init_compute(&init, &odd, 0, x, a, b, NULL, &error), LOAM_ERROR_NUMERIC,
                 "decomposed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pissa), cmocka_unit_test(test_olora),
                                       cmocka_unit_test(test_orthogonal), cmocka_unit_test(test_random),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
