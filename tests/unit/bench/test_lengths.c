#include "bench/lengths.h"
#include "test.h"

#include "helpers/labels.h"

static void test_parse(void **state)
{
    struct loam_error error;
    struct loam_bench_lengths lengths;
    char path[300];
    snprintf(path, sizeof path, "%s/lengths", (char *)*state);
    static const char text[] = "\n 180,240:12\t7:1 \n";
    test_write_file(path, text, sizeof text - 1);
    const char *const same[] = {"180,240:12,7:1", path};
    for (int i = 0; i < 2; i++) {
        assert_ok(loam_bench_lengths_parse(&lengths, same[i], false, &error));
        assert_int_equal(lengths.count, 3);
        assert_int_equal(lengths.longest, 240);
        assert_int_equal(lengths.items[0].tokens, 180);
        assert_int_equal(lengths.items[0].labels, 0);
        assert_int_equal(lengths.items[1].labels, 12);
        assert_int_equal(lengths.items[2].tokens, 7);
        loam_bench_lengths_deinit(&lengths);
    }
    assert_ok(loam_bench_lengths_parse(&lengths, "9:2", true, &error));
    loam_bench_lengths_deinit(&lengths);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "1", "0", "8:0", "8:8", "8:", "8:2:2", ",", "16777217", "99999999999999999999"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct loam_error error;
        struct loam_bench_lengths lengths;
        const enum loam_status status = loam_bench_lengths_parse(&lengths, texts[i], false, &error);
        loam_bench_lengths_deinit(&lengths);
        if (status == LOAM_OK) fail_msg("%s is taken", texts[i]);
    }
    struct loam_error error;
    struct loam_bench_lengths lengths;
    assert_fails(loam_bench_lengths_parse(&lengths, "8:2,9", true, &error), LOAM_ERROR_USAGE, "9:12");
    loam_bench_lengths_deinit(&lengths);
}

// The same seed gives the same tokens, all within the vocabulary.
static void test_collect(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_bench_lengths lengths;
    struct loam_step_buffers buffers;
    int32_t first[20];
    const uint32_t indices[] = {1, 0};
    assert_ok(loam_bench_lengths_parse(&lengths, "12,20:5", false, &error));
    assert_ok(loam_step_buffers_init(&buffers, 2, 32, &error));
    for (int pass = 0; pass < 2; pass++) {
        assert_ok(loam_bench_lengths_collect(&lengths, 50, 7, indices, 2, &buffers, &error));
        assert_int_equal(buffers.count, 2);
        assert_int_equal(buffers.tokens, 32);
        assert_int_equal(buffers.labels.count, 5 + 11);
        assert_int_equal(buffers.examples[0].count, 20);
        assert_int_equal(test_first_label(buffers.examples[0].weights, 20), 15);
        for (int i = 0; i < 20; i++)
            assert_in_range(buffers.examples[0].ids[i], 0, 49);
        if (pass == 0)
            memcpy(first, buffers.examples[0].ids, sizeof first);
        else
            assert_memory_equal(first, buffers.examples[0].ids, sizeof first);
    }
    loam_step_buffers_deinit(&buffers);
    loam_bench_lengths_deinit(&lengths);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_directory(test_parse),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_collect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
