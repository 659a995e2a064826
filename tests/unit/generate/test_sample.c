// Sampling: each filter on logits small enough to work out by hand, and frequencies against the softmax.
#include "test.h"

#include <math.h>

#include "generate/generate.h"

static struct loam_error error;

static int32_t sample(struct loam_sampling sampling, const float *logits, int32_t count,
                      const int32_t *history, size_t history_count, uint64_t draw)
{
    float copy[16];
    int32_t id = -1;
    memcpy(copy, logits, (size_t)count * sizeof *copy);
    assert_ok(loam_sample(&sampling, copy, count, history, history_count, draw, &id, &error));
    assert_in_range(id, 0, count - 1);
    return id;
}

static const float logits[] = {1.0f, 3.0f, 2.0f, -1.0f, 2.5f};
enum { COUNT = sizeof logits / sizeof logits[0] };

static void test_greedy_takes_the_first_largest(void **state)
{
    (void)state;
    struct loam_sampling greedy = {.top_p = 1, .repetition_penalty = 1};
    assert_int_equal(sample(greedy, logits, COUNT, NULL, 0, 0), 1);
    const float tie[] = {0.0f, 5.0f, 5.0f};
    assert_int_equal(sample(greedy, tie, 3, NULL, 0, 0), 1);
}

static void test_repetition_penalty_counts_an_id_once(void **state)
{
    (void)state;
    struct loam_sampling greedy = {.top_p = 1, .repetition_penalty = 1.3};
    const int32_t history[] = {1, 1, 1, 3};
    // 3 / 1.3 = 2.31 < 2.5, but also > 2: a penalty applied three times would give 1.37.
    assert_int_equal(sample(greedy, logits, COUNT, history, 4, 0), 4);
    const float close[] = {1.0f, 3.0f, 2.0f, -1.0f, 2.2f};
    assert_int_equal(sample(greedy, close, COUNT, history, 4, 0), 1);
    // A negative logit moves down, not up.
    const float negative[] = {-1.0f, -1.1f};
    const int32_t first[] = {0};
    assert_int_equal(sample(greedy, negative, 2, first, 1, 0), 1);
}

// Frequencies over many draws match the probabilities within five standard deviations.
static void check_frequencies(struct loam_sampling sampling, const double *expected)
{
    enum { DRAWS = 20000 };
    int counts[COUNT] = {0};
    for (uint64_t draw = 0; draw < DRAWS; draw++)
        counts[sample(sampling, logits, COUNT, NULL, 0, draw)]++;
    for (int i = 0; i < COUNT; i++) {
        double p = expected[i], deviation = sqrt(p * (1 - p) / DRAWS);
        double seen = (double)counts[i] / DRAWS;
        if (fabs(seen - p) > 5 * deviation) fail_msg("token %d: %g of the draws, expected %g", i, seen, p);
    }
}

// softmax(logits / temperature) over the ids that `kept` marks.
static void probabilities(double temperature, const int *kept, double *p)
{
    double sum = 0;
    for (int i = 0; i < COUNT; i++)
        sum += p[i] = kept[i] ? exp((double)logits[i] / temperature) : 0;
    for (int i = 0; i < COUNT; i++)
        p[i] /= sum;
}

static void test_temperature(void **state)
{
    (void)state;
    double p[COUNT];
    probabilities(0.7, (int[]){1, 1, 1, 1, 1}, p);
    check_frequencies(
        (struct loam_sampling){.temperature = 0.7, .top_p = 1, .repetition_penalty = 1, .seed = 1}, p);
}

static void test_top_k(void **state)
{
    (void)state;
    double p[COUNT];
    probabilities(1, (int[]){0, 1, 1, 0, 1}, p);
    check_frequencies(
        (struct loam_sampling){.temperature = 1, .top_k = 3, .top_p = 1, .repetition_penalty = 1, .seed = 2},
        p);
}

// The selection against a count: every id drawn has fewer than k better ones, and the k-th best does come up.
static void test_top_k_of_a_large_vocabulary(void **state)
{
    (void)state;
    enum { VOCABULARY = 5000, TOP_K = 40, DRAWS = 2000 };
    struct loam_sampling sampling = {.temperature = 1e6, .top_k = TOP_K, .top_p = 1, .repetition_penalty = 1};
    static float many[VOCABULARY], copy[VOCABULARY];
    int worst = 0;
    for (int i = 0; i < VOCABULARY; i++)
        many[i] = (float)((i * 7919) % 4999);
    for (uint64_t draw = 0; draw < DRAWS; draw++) {
        int32_t id;
        memcpy(copy, many, sizeof copy);
        assert_ok(loam_sample(&sampling, copy, VOCABULARY, NULL, 0, draw, &id, &error));
        int better = 0;
        for (int i = 0; i < VOCABULARY; i++)
            better += many[i] > many[id];
        assert_in_range(better, 0, TOP_K - 1);
        if (better > worst) worst = better;
    }
    assert_in_range(worst, TOP_K - 2, TOP_K - 1); // 39, or 38 where the last two are equal
}

static void test_top_p_keeps_the_smallest_set_that_reaches_it(void **state)
{
    (void)state;
    double all[COUNT], p[COUNT];
    probabilities(1, (int[]){1, 1, 1, 1, 1}, all);
    // Just above the mass of the best one: two must stay; just below: one.
    struct loam_sampling two = {.temperature = 1, .top_p = all[1] + 0.01, .repetition_penalty = 1, .seed = 3};
    probabilities(1, (int[]){0, 1, 0, 0, 1}, p);
    check_frequencies(two, p);
    struct loam_sampling one = {.temperature = 1, .top_p = all[1] - 0.01, .repetition_penalty = 1, .seed = 3};
    for (uint64_t draw = 0; draw < 200; draw++)
        assert_int_equal(sample(one, logits, COUNT, NULL, 0, draw), 1);
}

// The cases are those of make_min_p.py, from transformers.
static void test_min_p(void **state)
{
    (void)state;
    static const struct {
        double temperature;
        int32_t top_k;
        double top_p, min_p;
        int kept[COUNT];
    } cases[] = {
        {1, 0, 1, 0.1, {1, 1, 1, 0, 1}},     {1, 0, 1, 0.5, {0, 1, 0, 0, 1}},
        {1, 0, 1, 0.6, {0, 1, 0, 0, 1}},     {1, 0, 1, 0.62, {0, 1, 0, 0, 0}},
        {1, 0, 1, 1, {0, 1, 0, 0, 0}},       {2, 0, 1, 0.3, {1, 1, 1, 0, 1}},
        {0.5, 0, 1, 0.3, {0, 1, 0, 0, 1}},   {1, 3, 1, 0.01, {0, 1, 1, 0, 1}},
        {1, 0, 0.7, 0.01, {0, 1, 0, 0, 1}},  {1, 0, 0.9, 0.4, {0, 1, 0, 0, 1}},
        {3, 4, 0.95, 0.55, {0, 1, 1, 0, 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double p[COUNT];
        probabilities(cases[i].temperature, cases[i].kept, p);
        check_frequencies((struct loam_sampling){.temperature = cases[i].temperature,
                                                 .top_k = cases[i].top_k,
                                                 .top_p = cases[i].top_p,
                                                 .min_p = cases[i].min_p,
                                                 .repetition_penalty = 1,
                                                 .seed = i},
                          p);
    }
}

static void test_a_seed_repeats_and_another_differs(void **state)
{
    (void)state;
    struct loam_sampling a = {.temperature = 1, .top_p = 1, .repetition_penalty = 1, .seed = 7}, b = a;
    b.seed = 8;
    int differences = 0;
    for (uint64_t draw = 0; draw < 100; draw++) {
        int32_t id = sample(a, logits, COUNT, NULL, 0, draw);
        assert_int_equal(id, sample(a, logits, COUNT, NULL, 0, draw));
        differences += id != sample(b, logits, COUNT, NULL, 0, draw);
    }
    assert_in_range(differences, 10, 100);
}

static void test_damaged_logits_are_refused(void **state)
{
    (void)state;
    struct loam_sampling greedy = {.top_p = 1, .repetition_penalty = 1};
    float damaged[] = {0.0f, NAN, 1.0f};
    int32_t id;
    assert_fails(loam_sample(&greedy, damaged, 3, NULL, 0, 0, &id, &error), LOAM_ERROR_NUMERIC, "token 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greedy_takes_the_first_largest),
        cmocka_unit_test(test_repetition_penalty_counts_an_id_once),
        cmocka_unit_test(test_temperature),
        cmocka_unit_test(test_top_k),
        cmocka_unit_test(test_top_k_of_a_large_vocabulary),
        cmocka_unit_test(test_top_p_keeps_the_smallest_set_that_reaches_it),
        cmocka_unit_test(test_min_p),
        cmocka_unit_test(test_a_seed_repeats_and_another_differs),
        cmocka_unit_test(test_damaged_logits_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
