// Learning rates, next to those of transformers' get_scheduler for the same settings (learning rate 2e-4).
#include "test.h"

#include <math.h>

#include "train/schedule.h"

static void as_transformers(void **state)
{
    (void)state;
    static const struct {
        enum loam_schedule_kind kind;
        int64_t warmup;
        int64_t total;
        int64_t step;
        double rate;
    } cases[] = {
        {LOAM_SCHEDULE_LINEAR, 0, 100, 0, 0.00020000000000000001},
        {LOAM_SCHEDULE_LINEAR, 0, 100, 1, 0.00019800000000000002},
        {LOAM_SCHEDULE_LINEAR, 0, 100, 50, 0.0001},
        {LOAM_SCHEDULE_LINEAR, 0, 100, 99, 2.0000000000000003e-06},
        {LOAM_SCHEDULE_LINEAR, 0, 100, 100, 0},
        {LOAM_SCHEDULE_LINEAR, 10, 100, 0, 0},
        {LOAM_SCHEDULE_LINEAR, 10, 100, 1, 2.0000000000000002e-05},
        {LOAM_SCHEDULE_LINEAR, 10, 100, 9, 0.00018000000000000001},
        {LOAM_SCHEDULE_LINEAR, 10, 100, 10, 0.00020000000000000001},
        {LOAM_SCHEDULE_LINEAR, 10, 100, 11, 0.00019777777777777778},
        {LOAM_SCHEDULE_LINEAR, 10, 100, 50, 0.00011111111111111112},
        {LOAM_SCHEDULE_LINEAR, 10, 100, 99, 2.2222222222222225e-06},
        {LOAM_SCHEDULE_LINEAR, 10, 100, 100, 0},
        {LOAM_SCHEDULE_LINEAR, 10, 10, 0, 0},
        {LOAM_SCHEDULE_LINEAR, 10, 10, 1, 2.0000000000000002e-05},
        {LOAM_SCHEDULE_LINEAR, 10, 10, 5, 0.0001},
        {LOAM_SCHEDULE_LINEAR, 10, 10, 9, 0.00018000000000000001},
        {LOAM_SCHEDULE_LINEAR, 10, 10, 10, 0},
        {LOAM_SCHEDULE_COSINE, 0, 100, 0, 0.00020000000000000001},
        {LOAM_SCHEDULE_COSINE, 0, 100, 1, 0.00019995065603657316},
        {LOAM_SCHEDULE_COSINE, 0, 100, 50, 0.0001},
        {LOAM_SCHEDULE_COSINE, 0, 100, 99, 4.9343963426839999e-08},
        {LOAM_SCHEDULE_COSINE, 0, 100, 100, 0},
        {LOAM_SCHEDULE_COSINE, 7, 50, 0, 0},
        {LOAM_SCHEDULE_COSINE, 7, 50, 1, 2.8571428571428571e-05},
        {LOAM_SCHEDULE_COSINE, 7, 50, 6, 0.00017142857142857143},
        {LOAM_SCHEDULE_COSINE, 7, 50, 7, 0.00020000000000000001},
        {LOAM_SCHEDULE_COSINE, 7, 50, 8, 0.00019973322836635518},
        {LOAM_SCHEDULE_COSINE, 7, 50, 25, 0.00012529333823916807},
        {LOAM_SCHEDULE_COSINE, 7, 50, 49, 2.6677163364483559e-07},
        {LOAM_SCHEDULE_COSINE, 7, 50, 50, 0},
        {LOAM_SCHEDULE_CONSTANT_WITH_WARMUP, 5, 20, 0, 0},
        {LOAM_SCHEDULE_CONSTANT_WITH_WARMUP, 5, 20, 1, 4.0000000000000003e-05},
        {LOAM_SCHEDULE_CONSTANT_WITH_WARMUP, 5, 20, 4, 0.00016000000000000001},
        {LOAM_SCHEDULE_CONSTANT_WITH_WARMUP, 5, 20, 5, 0.00020000000000000001},
        {LOAM_SCHEDULE_CONSTANT_WITH_WARMUP, 5, 20, 6, 0.00020000000000000001},
        {LOAM_SCHEDULE_CONSTANT_WITH_WARMUP, 5, 20, 10, 0.00020000000000000001},
        {LOAM_SCHEDULE_CONSTANT_WITH_WARMUP, 5, 20, 19, 0.00020000000000000001},
        {LOAM_SCHEDULE_CONSTANT_WITH_WARMUP, 5, 20, 20, 0.00020000000000000001},
        {LOAM_SCHEDULE_CONSTANT, 5, 20, 0, 0.00020000000000000001}, // it has no warm-up
        {LOAM_SCHEDULE_CONSTANT, 5, 20, 1, 0.00020000000000000001},
        {LOAM_SCHEDULE_CONSTANT, 5, 20, 19, 0.00020000000000000001},
        {LOAM_SCHEDULE_CONSTANT, 0, 20, 0, 0.00020000000000000001},
        {LOAM_SCHEDULE_CONSTANT, 0, 20, 1, 0.00020000000000000001},
        {LOAM_SCHEDULE_CONSTANT, 0, 20, 10, 0.00020000000000000001},
        {LOAM_SCHEDULE_CONSTANT, 0, 20, 19, 0.00020000000000000001},
        {LOAM_SCHEDULE_CONSTANT, 0, 20, 20, 0.00020000000000000001},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_schedule_settings settings = {
            .kind = cases[i].kind, .learning_rate = 2e-4, .warmup_steps = cases[i].warmup};
        struct loam_schedule schedule = loam_schedule_make(&settings, cases[i].total);
        double rate = loam_schedule_rate(&schedule, cases[i].step);
        if (!(fabs(rate - cases[i].rate) <= 1e-15 * 2e-4 + 1e-14 * cases[i].rate))
            fail_msg("case %zu: %.17g, expected %.17g", i, rate, cases[i].rate);
    }
}

static void warmup_ratio(void **state)
{
    (void)state;
    static const struct {
        int64_t steps;
        double ratio;
        int64_t total;
        int64_t warmup;
    } cases[] = {
        {0, 0.1, 100, 10}, {0, 0.1, 101, 11}, {5, 0.5, 100, 5},
        {0, 0, 100, 0},    {0, 1, 7, 7},      {0, 1, INT64_MAX, INT64_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_schedule_settings settings = {.warmup_steps = cases[i].steps,
                                                  .warmup_ratio = cases[i].ratio};
        assert_int_equal(loam_schedule_make(&settings, cases[i].total).warmup_steps, cases[i].warmup);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_transformers),
        cmocka_unit_test(warmup_ratio),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
