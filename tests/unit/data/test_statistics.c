// Statistics of a data set, and the text of an example's tokens.
#include "test.h"

#include "data/example_text.h"
#include "data/statistics.h"
#include "helpers/byte_tokenizer.h"

static struct loam_error error;

// ---- Sets of texts ----

static void test_text_hash(void **state)
{
    (void)state;
    static const char *const same[] = {"A b", "a  B", " a\tb\n", "A\xC2\xA0 b"};
    uint64_t hash = loam_text_hash_normalized("a b", 3);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        assert_true(loam_text_hash_normalized(same[i], strlen(same[i])) == hash);
    assert_true(loam_text_hash_normalized("ab", 2) != hash);
    assert_true(loam_text_hash("a b", 3) != loam_text_hash("A b", 3));
    assert_true(loam_text_hash_normalized("\xC3\x84", 2) == loam_text_hash_normalized("\xC3\xA4", 2));
    assert_true(loam_text_hash("", 0) != loam_text_hash("\0", 1));
}

static void test_text_set(void **state)
{
    (void)state;
    struct loam_text_set set = {0};
    size_t earlier;
    assert_true(loam_text_set_find(&set, 7) == SIZE_MAX);
    for (size_t i = 0; i < 1000; i++) {
        assert_ok(loam_text_set_add(&set, i * 64, i, &earlier, &error)); // equal lower bits
        assert_true(earlier == SIZE_MAX);
    }
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(loam_text_set_find(&set, i * 64), i);
        assert_ok(loam_text_set_add(&set, i * 64, 5000, &earlier, &error));
        assert_int_equal(earlier, i);
    }
    assert_int_equal(set.count, 1000);
    assert_true(loam_text_set_find(&set, 1) == SIZE_MAX);
    loam_text_set_deinit(&set);
}

// ---- Statistics ----

static void add(struct loam_statistics *statistics, int32_t length, int32_t count, int32_t learnt,
                const char *text)
{
    float weights[64] = {0};
    int32_t ids[64] = {0};
    for (int32_t i = count - learnt; i < count; i++)
        weights[i] = 1;
    const struct loam_example example = {
        .ids = ids, .weights = weights, .count = count, .length = length, .dropped = count == 0};
    assert_ok(loam_statistics_add(statistics, statistics->records, &example, text, strlen(text), &error));
}

static void test_statistics(void **state)
{
    (void)state;
    struct loam_statistics statistics = {0};
    add(&statistics, 10, 10, 4, "The first \xD0\xBC\xD0\xB8\xD1\x80, 12345.");
    add(&statistics, 25, 20, 20, "the  FIRST \xD0\x9C\xD0\x98\xD0\xA0, 12345. ");
    add(&statistics, 90, 0, 0, "\xE6\xBC\xA2\xE5\xAD\x97");
    add(&statistics, 1, 1, 1, "The first \xD0\xBC\xD0\xB8\xD1\x80, 12345.");
    loam_statistics_finish(&statistics);
    assert_int_equal(statistics.records, 4);
    assert_int_equal(statistics.tokens, 31);
    assert_int_equal(statistics.learnt, 4 + 19); // the first token of an example has none that predicts it
    assert_int_equal(statistics.cut, 1);
    assert_int_equal(statistics.dropped, 1);
    assert_int_equal(statistics.removed, 5 + 90);
    assert_int_equal(statistics.without_label, 1);
    assert_int_equal(statistics.repeats.count, 1);
    assert_int_equal(statistics.repeats.first, 3);
    assert_int_equal(statistics.repeats.of, 0);
    assert_int_equal(statistics.normalized_repeats.count, 2);
    assert_int_equal(statistics.normalized_repeats.first, 1);

    struct loam_script_share shares[LOAM_SHOWN_SCRIPTS];
    assert_int_equal(loam_statistics_scripts(&statistics, shares), 3);
    assert_string_equal(shares[0].name, "latin");
    assert_int_equal(shares[0].characters, 24);
    assert_string_equal(shares[1].name, "cyrillic");
    assert_int_equal(shares[1].characters, 9);
    assert_string_equal(shares[2].name, "han");
    assert_float_equal(shares[2].share, 2.0 / 35, 1e-9);

    assert_int_equal(loam_statistics_length(&statistics, 0), 1);
    assert_int_equal(loam_statistics_length(&statistics, 50), 10);
    assert_int_equal(loam_statistics_length(&statistics, 51), 25);
    assert_int_equal(loam_statistics_length(&statistics, 100), 90);
    struct loam_histogram histogram = loam_statistics_histogram(&statistics);
    assert_int_equal(histogram.step, 10);
    assert_int_equal(histogram.start, 0);
    assert_int_equal(histogram.bars, 9);
    assert_int_equal(histogram.counts[0], 2);
    assert_int_equal(histogram.counts[2], 1);
    assert_int_equal(histogram.counts[8], 1);
    loam_statistics_deinit(&statistics);
}

static void test_no_records(void **state)
{
    (void)state;
    struct loam_statistics statistics = {0};
    struct loam_script_share shares[LOAM_SHOWN_SCRIPTS];
    loam_statistics_finish(&statistics);
    assert_int_equal(loam_statistics_length(&statistics, 50), 0);
    assert_int_equal(loam_statistics_histogram(&statistics).bars, 0);
    assert_int_equal(loam_statistics_scripts(&statistics, shares), 0);
}

// More scripts than are shown: those with the most characters stay, in their order.
static void test_many_scripts(void **state)
{
    (void)state;
    struct loam_statistics statistics = {0};
    struct loam_script_share shares[LOAM_SHOWN_SCRIPTS];
    for (uint32_t script = 0; script < 20; script++)
        statistics.scripts[script] = 100 + (script * 7) % 20;
    assert_int_equal(loam_statistics_scripts(&statistics, shares), LOAM_SHOWN_SCRIPTS);
    for (int i = 0; i < LOAM_SHOWN_SCRIPTS; i++)
        assert_int_equal(shares[i].characters, 119 - i);
}

static void test_steps(void **state)
{
    (void)state;
    static const struct {
        int32_t shortest, longest, step, start;
        int bars;
    } cases[] = {
        {1, 1, 1, 0, 1},      {1, 12, 1, 0, 12}, {1, 13, 2, 0, 7},       {1, 24, 2, 0, 12},
        {1, 25, 5, 0, 5},     {1, 61, 10, 0, 7}, {51, 98, 5, 50, 10},    {500, 500, 1, 499, 1},
        {100, 112, 2, 98, 7}, {0, 0, 1, 0, 1},   {999, 1001, 1, 998, 3}, {1, INT32_MAX, 200000000, 0, 11},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loam_statistics statistics = {0};
        add(&statistics, cases[i].longest, 0, 0, "x");
        add(&statistics, cases[i].shortest, 0, 0, "x");
        loam_statistics_finish(&statistics);
        struct loam_histogram histogram = loam_statistics_histogram(&statistics);
        assert_int_equal(histogram.step, cases[i].step);
        assert_int_equal(histogram.start, cases[i].start);
        assert_int_equal(histogram.bars, cases[i].bars);
        assert_true(histogram.counts[0] >= 1);
        assert_true(histogram.counts[histogram.bars - 1] >= 1);
        loam_statistics_deinit(&statistics);
    }
}

// ---- The text of tokens ----

static void test_example_text(void **state)
{
    const char *directory = *state;
    struct loam_tokenizer *tokenizer = test_byte_tokenizer(directory, false, false);
    struct loam_example_text text = {0};
    // "<s>", the two bytes of a character, a line break with "z", an id that is no token of the tokenizer.
    int32_t ids[] = {TEST_BOS,          TEST_BYTE + 0xC3,    TEST_BYTE + 0xA4,
                     TEST_LINE_BREAK_Z, TEST_VOCABULARY + 5, TEST_BYTE + 'a'};
    float weights[] = {1, 0, 1, 0, 1, 0.5F};
    static const char *const parts[] = {"<s>", "", "\xC3\xA4", "\nz", "<|id 266|>", "a"};
    const struct loam_example example = {.ids = ids, .weights = weights, .count = 6};
    assert_ok(loam_example_text_decode(&text, &example, tokenizer, &error));
    assert_int_equal(text.count, 6);
    for (int32_t i = 0; i < 6; i++) {
        size_t start, end = loam_example_text_token(&text, i, &start);
        assert_int_equal(end - start, strlen(parts[i]));
        assert_memory_equal(text.text.data + start, parts[i], end - start);
        assert_int_equal(loam_example_learns(&example, i), i == 2 || i == 4 || i == 5);
    }
    assert_ok(loam_example_text_decode(&text, &(struct loam_example){0}, tokenizer, &error));
    assert_int_equal(text.count, 0);
    assert_int_equal(text.text.size, 0);
    loam_example_text_deinit(&text);
    loam_tokenizer_destroy(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_hash),     cmocka_unit_test(test_text_set),
        cmocka_unit_test(test_statistics),    cmocka_unit_test(test_no_records),
        cmocka_unit_test(test_many_scripts),  cmocka_unit_test(test_steps),
        test_in_directory(test_example_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
