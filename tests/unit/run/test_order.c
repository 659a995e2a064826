// The examples of each step, and the number of steps as transformers' Trainer counts them.
#include "test.h"

#include <math.h>

#include "run/order.h"

static void steps_as_the_trainer(void **state)
{
    (void)state;
    static const struct {
        size_t examples, batch, accumulation;
        double epochs;
        int64_t max_steps;
        int64_t per_epoch, total;
    } cases[] = {
        {100, 8, 1, 3, 0, 13, 39},
        {96, 8, 1, 3, 0, 12, 36},
        {100, 8, 4, 3, 0, 4, 12},
        {96, 8, 4, 1, 0, 3, 3},
        {100, 8, 4, 0.5, 0, 4, 2},
        {100, 8, 1, 0.1, 0, 13, 2},
        {3, 8, 4, 2, 0, 1, 2},
        {1, 1, 1, 1, 0, 1, 1},
        {100, 8, 1, 3, 7, 13, 7},
        {10, 4, 1, 3, 1000, 3, 1000},
        {130319, 4, 1, 1, -1, 32580, 32580},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_error error;
        struct loam_order order;
        int64_t total;
        assert_ok(loam_order_init(&order, cases[i].examples, cases[i].batch, cases[i].accumulation, true, 1,
                                  &error));
        assert_int_equal(order.steps_per_epoch, cases[i].per_epoch);
        assert_ok(loam_order_total_steps(&order, cases[i].epochs, cases[i].max_steps, &total, &error));
        assert_int_equal(total, cases[i].total);
        loam_order_deinit(&order);
    }
}

// Every epoch has every example once. No step has examples of two epochs.
static void epochs_are_permutations(void **state)
{
    (void)state;
    enum { EXAMPLES = 23, BATCH = 4, ACCUMULATION = 2, EPOCHS = 3 }; // steps of 8, 8 and 7
    struct loam_error error;
    struct loam_order order;
    uint32_t epochs[EPOCHS][EXAMPLES];
    assert_ok(loam_order_init(&order, EXAMPLES, BATCH, ACCUMULATION, true, 42, &error));
    int64_t step = 0;
    for (size_t e = 0; e < EPOCHS; e++) {
        bool seen[EXAMPLES] = {false};
        size_t taken = 0;
        for (size_t s = 0; s < 3; s++, step++) {
            size_t count;
            const uint32_t *indices = loam_order_step(&order, step, &count);
            assert_int_equal(count, s < 2 ? 8 : 7);
            for (size_t i = 0; i < count; i++) {
                assert_true(indices[i] < EXAMPLES && !seen[indices[i]]);
                seen[indices[i]] = true;
                epochs[e][taken++] = indices[i];
            }
        }
        assert_int_equal(taken, EXAMPLES);
    }
    assert_memory_not_equal(epochs[0], epochs[1], sizeof epochs[0]);
    assert_memory_not_equal(epochs[1], epochs[2], sizeof epochs[0]);

    // A step can be asked for without the steps before it, as a resumed run does.
    size_t count;
    const uint32_t *indices = loam_order_step(&order, 1, &count);
    assert_memory_equal(indices, &epochs[0][8], 8 * sizeof *indices);
    loam_order_deinit(&order);

    assert_ok(loam_order_init(&order, EXAMPLES, BATCH, ACCUMULATION, true, 43, &error));
    assert_memory_not_equal(loam_order_step(&order, 0, &count), epochs[0], 8 * sizeof *indices);
    loam_order_deinit(&order);
}

static void unshuffled_is_the_file(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_order order;
    assert_ok(loam_order_init(&order, 5, 2, 1, false, 42, &error));
    static const uint32_t expected[] = {0, 1, 2, 3, 4, 0, 1};
    static const size_t counts[] = {2, 2, 1, 2};
    for (size_t step = 0, at = 0; step < 4; step++) {
        size_t count;
        const uint32_t *indices = loam_order_step(&order, (int64_t)step, &count);
        assert_int_equal(count, counts[step]);
        assert_memory_equal(indices, &expected[at], count * sizeof *indices);
        at += count;
    }
    loam_order_deinit(&order);
}

// The epoch counts batches: batches done over batches of an epoch, as in transformers' Trainer.
static void epoch_figures(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_order order;
    assert_ok(loam_order_init(&order, 23, 4, 4, true, 42, &error)); // 6 batches, steps of 4 and 2
    assert_true(fabs(loam_order_epoch_after(&order, 0) - 4.0 / 6) < 1e-15);
    assert_true(loam_order_epoch_after(&order, 1) == 1);
    assert_true(fabs(loam_order_epoch_after(&order, 2) - (1 + 4.0 / 6)) < 1e-15);
    assert_true(loam_order_epoch_after(&order, 5) == 3);
    loam_order_deinit(&order);
}

// A mixture is shuffled as a whole, and a step needs no step before it. Whole sources have the order of one file.
static void mixtures(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_order order, again;
    static const struct loam_mixture_part parts[] = {{0, 10, 5}, {10, 4, 8}, {14, 3, 4}};
    assert_ok(loam_order_init_mixed(&order, parts, 3, 4, 1, true, 42, &error));
    assert_int_equal(order.count, 17);
    assert_int_equal(order.steps_per_epoch, 5);
    size_t seen[17] = {0}, count;
    for (int64_t step = 0; step < 10; step++) {
        const uint32_t *indices = loam_order_step(&order, step, &count);
        for (size_t i = 0; i < count; i++)
            seen[indices[i]]++;
        assert_ok(loam_order_init_mixed(&again, parts, 3, 4, 1, true, 42, &error));
        size_t other;
        assert_memory_equal(loam_order_step(&again, step, &other), indices, count * sizeof *indices);
        assert_int_equal(other, count);
        loam_order_deinit(&again);
    }
    for (size_t i = 0; i < 17; i++) // of two epochs
        assert_true(i < 10 ? seen[i] == 1 : i < 14 ? seen[i] == 4 : seen[i] >= 2 && seen[i] <= 3);
    loam_order_deinit(&order);

    static const struct loam_mixture_part whole[] = {{0, 10, 10}, {10, 13, 13}};
    assert_ok(loam_order_init_mixed(&order, whole, 2, 23, 1, true, 42, &error));
    assert_ok(loam_order_init(&again, 23, 23, 1, true, 42, &error));
    for (int64_t step = 0; step < 3; step++)
        assert_memory_equal(loam_order_step(&order, step, &count), loam_order_step(&again, step, &count),
                            23 * sizeof(uint32_t));
    loam_order_deinit(&order);
    loam_order_deinit(&again);
}

static void refusals(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_order order;
    int64_t total;
    assert_fails(loam_order_init(&order, 0, 4, 1, true, 42, &error), LOAM_ERROR_ARGUMENT,
                 "0 training examples");
    loam_order_deinit(&order);
    assert_ok(loam_order_init(&order, 4, 4, 1, true, 42, &error));
    static const double epochs[] = {0, -1, NAN, INFINITY, 1e300};
    for (size_t i = 0; i < sizeof epochs / sizeof epochs[0]; i++)
        assert_fails(loam_order_total_steps(&order, epochs[i], 0, &total, &error), LOAM_ERROR_ARGUMENT,
                     "epochs");
    loam_order_deinit(&order);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_as_the_trainer),
        cmocka_unit_test(epochs_are_permutations),
        cmocka_unit_test(unshuffled_is_the_file),
        cmocka_unit_test(epoch_figures),
        cmocka_unit_test(mixtures),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
