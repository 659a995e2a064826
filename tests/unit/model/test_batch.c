#include "test.h"

#include <math.h>

#include "device/ops.h"
#include "model/batch.h"

static struct loam_error error;

struct sequence {
    const int32_t *ids;
    const float *weights;
    int32_t count;
};
static const float ones[] = {1, 1, 1, 1};

static enum loam_status append(struct loam_batch *batch, const struct sequence *sequence)
{
    return loam_batch_append(batch, "abc", sequence->ids, sequence->weights, sequence->count, &error);
}

static void assert_ints(const int32_t *got, const int32_t *expected, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(got[i], expected[i]);
}

static void assert_floats(const float *got, const float *expected, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_true(got[i] == expected[i]);
}

static void test_packs_without_padding(void **state)
{
    (void)state;
    enum { X = LOAM_NO_TARGET };
    static const float last_two[] = {0, 0, 0.5f, 2};
    int32_t first[] = {5, 6, 7};
    int32_t second[] = {8};
    int32_t third[] = {9, 10, 11, 12};
    const struct sequence sequences[] = {{first, ones, 3}, {third, last_two, 4}, {second, ones, 1}};
    struct loam_batch batch;
    assert_ok(loam_batch_init(&batch, 10, 4, &error));
    for (int round = 0; round < 2; round++) { // cleared, it starts over
        for (int i = 0; i < 3; i++)
            assert_ok(append(&batch, &sequences[i]));
        assert_int_equal(batch.tokens, 8);
        assert_int_equal(batch.sequences, 3);
        assert_int_equal(batch.max_sequence, 4);
        assert_int_equal(batch.labels.count, 4);
        assert_true(batch.labels.weight == 4.5);
        assert_ints(batch.ids, (const int32_t[]){5, 6, 7, 9, 10, 11, 12, 8}, 8);
        // Shifted within each sequence; of the second, tokens 2 and 3 are labels.
        assert_ints(batch.targets, (const int32_t[]){6, 7, X, X, 11, 12, X, X}, 8);
        assert_floats(batch.weights, (const float[]){1, 1, 0, 0, 0.5f, 2, 0, 0}, 8);
        assert_ints(batch.rows, (const int32_t[]){0, 1, 4, 5}, 4);
        assert_ints(batch.positions, (const int32_t[]){0, 1, 2, 0, 1, 2, 3, 0}, 8);
        assert_ints(batch.offsets, (const int32_t[]){0, 3, 7, 8}, 4);
        loam_batch_clear(&batch);
        assert_int_equal(batch.tokens + batch.sequences + batch.max_sequence, 0);
        assert_int_equal(batch.labels.count, 0);
        assert_true(batch.labels.weight == 0);
        assert_int_equal(batch.offsets[0], 0);
    }
    loam_batch_deinit(&batch);
}

static void test_labels(void **state)
{
    (void)state;
    // The first token is never predicted, whatever its weight.
    static const struct {
        float weights[4];
        int64_t count;
        double weight;
    } cases[] = {{{1, 1, 1, 1}, 3, 3}, {{0, 1, 1, 1}, 3, 3}, {{0, 0, 3, 0.25f}, 2, 3.25},
                 {{1, 0, 0, 1}, 1, 1}, {{1, 0, 0, 0}, 0, 0}, {{0, 0.5f, 0, 0.5f}, 2, 1}};
    const int32_t ids[] = {1, 2, 3, 4};
    struct loam_batch batch;
    assert_ok(loam_batch_init(&batch, 4, 1, &error));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const float *weights = cases[i].weights;
        const struct sequence one = {ids, weights, 4};
        const struct loam_labels labels = loam_labels_count(weights, 4);
        loam_batch_clear(&batch);
        assert_ok(append(&batch, &one));
        assert_int_equal(batch.labels.count, cases[i].count);
        assert_true(batch.labels.weight == cases[i].weight);
        assert_true(labels.count == cases[i].count && labels.weight == cases[i].weight);
        for (int32_t t = 0; t < 4; t++) {
            const bool counts = t < 3 && weights[t + 1] > 0;
            assert_int_equal(batch.targets[t], counts ? ids[t + 1] : LOAM_NO_TARGET);
            assert_true(batch.weights[t] == (counts ? weights[t + 1] : 0));
        }
    }
    loam_batch_clear(&batch);
    assert_ok(loam_batch_append(&batch, "abc", ids, NULL, 4, &error));
    assert_int_equal(batch.labels.count, 0);
    assert_int_equal(batch.targets[0], LOAM_NO_TARGET);
    loam_batch_deinit(&batch);
}

static void test_loss(void **state)
{
    (void)state;
    const int32_t ids[] = {1, 2, 3, 4};
    const float weights[] = {9, 2, 0, 0.5f};
    const struct sequence one = {ids, weights, 4};
    struct loam_batch batch;
    assert_ok(loam_batch_init(&batch, 4, 1, &error));
    assert_ok(append(&batch, &one));
    assert_true(loam_batch_loss(&batch) == 0); // before any pass
    batch.losses[0] = 3;
    batch.losses[2] = 8;
    assert_true(loam_batch_loss(&batch) == 10);
    batch.losses[2] = NAN;
    assert_true(isnan(loam_batch_loss(&batch)));
    loam_batch_clear(&batch);
    assert_ok(append(&batch, &one));
    assert_true(loam_batch_loss(&batch) == 0);
    loam_batch_deinit(&batch);
}

static void test_refuses_weights(void **state)
{
    (void)state;
    const int32_t ids[] = {1, 2, 3, 4};
    const float bad[] = {-1, NAN, INFINITY};
    struct loam_batch batch;
    assert_ok(loam_batch_init(&batch, 4, 1, &error));
    for (size_t i = 0; i < 3; i++) {
        const float weights[] = {1, 1, bad[i], 1};
        const struct sequence one = {ids, weights, 4};
        assert_fails(append(&batch, &one), LOAM_ERROR_ARGUMENT, "record abc: token 2 has the weight");
        assert_int_equal(batch.tokens, 0);
    }
    loam_batch_deinit(&batch);
}

static void test_capacity(void **state)
{
    (void)state;
    int32_t ids[] = {1, 2, 3, 4};
    struct loam_batch batch;
    assert_ok(loam_batch_init(&batch, 4, 2, &error));
    const struct sequence three = {ids, ones, 3};
    const struct sequence one = {ids, ones, 1};
    const struct sequence dropped = {ids, ones, 0};
    assert_true(loam_batch_fits(&batch, 4));
    assert_false(loam_batch_fits(&batch, 5));
    assert_false(loam_batch_fits(&batch, INT32_MAX));
    assert_ok(append(&batch, &three));
    assert_false(loam_batch_fits(&batch, 2));
    assert_fails(append(&batch, &three), LOAM_ERROR_ARGUMENT,
                 "record abc of 3 tokens does not fit: 3 of 4 tokens and 1 of 2 sequences are taken");
    assert_int_equal(batch.tokens, 3);
    assert_fails(append(&batch, &dropped), LOAM_ERROR_ARGUMENT, "record abc has no tokens");
    assert_ok(append(&batch, &one));
    loam_batch_clear(&batch);
    assert_ok(append(&batch, &one));
    assert_ok(append(&batch, &one));
    assert_false(loam_batch_fits(&batch, 1)); // two sequences are all
    loam_batch_deinit(&batch);
    assert_fails(loam_batch_init(&batch, 0, 1, &error), LOAM_ERROR_ARGUMENT, "room for a token");
    assert_fails(loam_batch_init(&batch, 1, 0, &error), LOAM_ERROR_ARGUMENT, "room for a token");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packs_without_padding),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_refuses_weights),
        cmocka_unit_test(test_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
