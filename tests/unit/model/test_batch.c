#include "test.h"

#include "model/batch.h"

static struct loam_error error;

struct sequence {
    const int32_t *ids;
    int32_t count, label_start;
};

static enum loam_status append(struct loam_batch *batch, const struct sequence *sequence)
{
    return loam_batch_append(batch, "abc", sequence->ids, sequence->label_start, sequence->count, &error);
}

static void assert_ints(const int32_t *got, const int32_t *expected, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(got[i], expected[i]);
}

static void test_packs_without_padding(void **state)
{
    (void)state;
    enum { X = LOAM_IGNORED_LABEL };
    int32_t first[] = {5, 6, 7};
    int32_t second[] = {8};
    int32_t third[] = {9, 10, 11, 12};
    const struct sequence sequences[] = {{first, 3, 0}, {third, 4, 2}, {second, 1, 0}};
    struct loam_batch batch;
    assert_ok(loam_batch_init(&batch, 10, 4, &error));
    for (int round = 0; round < 2; round++) { // cleared, it starts over
        for (int i = 0; i < 3; i++)
            assert_ok(append(&batch, &sequences[i]));
        assert_int_equal(batch.tokens, 8);
        assert_int_equal(batch.sequences, 3);
        assert_int_equal(batch.max_sequence, 4);
        assert_int_equal(batch.label_count, 4);
        assert_ints(batch.ids, (const int32_t[]){5, 6, 7, 9, 10, 11, 12, 8}, 8);
        // Shifted within each sequence; the second counts from its token 2 on.
        assert_ints(batch.labels, (const int32_t[]){6, 7, X, X, 11, 12, X, X}, 8);
        assert_ints(batch.positions, (const int32_t[]){0, 1, 2, 0, 1, 2, 3, 0}, 8);
        assert_ints(batch.offsets, (const int32_t[]){0, 3, 7, 8}, 4);
        loam_batch_clear(&batch);
        assert_int_equal(batch.tokens + batch.sequences + batch.max_sequence, 0);
        assert_int_equal(batch.label_count, 0);
        assert_int_equal(batch.offsets[0], 0);
    }
    loam_batch_deinit(&batch);
}

static void test_label_start(void **state)
{
    (void)state;
    // A label belongs to the token that it predicts: 0 and 1 are the same, and a start at the end leaves
    // none.
    static const int32_t counts[][2] = {{0, 3}, {1, 3}, {2, 2}, {3, 1}, {4, 0}};
    int32_t ids[] = {1, 2, 3, 4};
    struct loam_batch batch;
    assert_ok(loam_batch_init(&batch, 4, 1, &error));
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        const struct sequence one = {ids, 4, counts[i][0]};
        loam_batch_clear(&batch);
        assert_ok(append(&batch, &one));
        assert_int_equal(batch.label_count, counts[i][1]);
        for (int32_t t = 0; t < 4; t++)
            assert_int_equal(batch.labels[t],
                             t >= 3 - counts[i][1] && t < 3 ? ids[t + 1] : LOAM_IGNORED_LABEL);
    }
    loam_batch_deinit(&batch);
}

static void test_capacity(void **state)
{
    (void)state;
    int32_t ids[] = {1, 2, 3, 4};
    struct loam_batch batch;
    assert_ok(loam_batch_init(&batch, 4, 2, &error));
    const struct sequence three = {ids, 3, 0};
    const struct sequence one = {ids, 1, 0};
    const struct sequence dropped = {ids, 0, 0};
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
        cmocka_unit_test(test_label_start),
        cmocka_unit_test(test_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
