// The records of each epoch: shares, passes over a source, and independence of earlier epochs.
#include "test.h"

#include "base/rng.h"
#include "data/mixture.h"

static struct loam_error error;

static void test_shares(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size; // of the path
        size_t records, taken;
    } cases[] = {
        {"a.jsonl", 7, 10, 10},     {"a.jsonl:0.5", 7, 10, 5},     {"a.jsonl:0.25", 7, 10, 3},
        {"a.jsonl:0.01", 7, 10, 1}, {"a.jsonl:2.0", 7, 10, 20},    {"a.jsonl:1.5", 7, 3, 5},
        {"a.jsonl:7", 7, 10, 7},    {"a.jsonl:1000", 7, 10, 1000}, {"a.jsonl:.5", 7, 10, 5},
        {"a:b.jsonl", 9, 10, 10},   {"a.jsonl:", 8, 10, 10},       {"./:0.5", 2, 10, 5},
        {"C:0.5:3", 5, 10, 3},      {"a.jsonl:e", 9, 10, 10},      {"a*.jsonl:0.1", 8, 100, 10},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loam_data_share share;
        size_t size;
        assert_ok(loam_data_share_parse(cases[i].text, &size, &share, &error));
        assert_int_equal(size, cases[i].size);
        assert_int_equal(loam_data_share_take(&share, cases[i].records), cases[i].taken);
    }
    struct loam_data_share none;
    size_t path;
    assert_fails(loam_data_share_parse(":0.5", &path, &none, &error), LOAM_ERROR_ARGUMENT,
                 "\":0.5\": expected a path before the colon");
    static const char *const wrong[] = {"a:0",    "a:0.0",   "a:-1", "a:-0.5",  "a:+1",
                                        "a:1e3",  "a:1.2.3", "a:.",  "a:1e400", "a:99999999999999999999999",
                                        "a:1.0e2"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct loam_data_share share;
        size_t size;
        if (strcmp(wrong[i], "a:.") == 0) { // no digit: a part of the name
            assert_ok(loam_data_share_parse(wrong[i], &size, &share, &error));
            assert_int_equal(size, 3);
            continue;
        }
        assert_fails(
            loam_data_share_parse(wrong[i], &size, &share, &error), LOAM_ERROR_ARGUMENT,
            "after the last colon, expected a weight above 0 such as 0.5 or 2.0, or a number of records");
    }
}

enum { MOST = 64 };

static void fill(const struct loam_mixture_part *parts, size_t count, int64_t epoch, bool shuffle,
                 uint32_t indices[MOST])
{
    struct loam_mixture mixture;
    assert_ok(loam_mixture_init(&mixture, parts, count, &error));
    assert_true(mixture.taken <= MOST);
    loam_mixture_fill(&mixture, epoch, shuffle, 42, indices);
    loam_mixture_deinit(&mixture);
}

// Whole passes are the records in their order, as many times.
static void test_whole_passes(void **state)
{
    (void)state;
    static const struct loam_mixture_part parts[] = {{0, 3, 3}, {3, 2, 4}};
    static const uint32_t expected[] = {0, 1, 2, 3, 4, 3, 4};
    for (int64_t epoch = 0; epoch < 3; epoch++) {
        uint32_t indices[MOST];
        fill(parts, 2, epoch, epoch != 1, indices);
        assert_memory_equal(indices, expected, sizeof expected);
    }
}

// Without shuffling a part goes on where the epoch before ended.
static void test_in_order(void **state)
{
    (void)state;
    static const struct loam_mixture_part part = {5, 4, 3};
    static const uint32_t expected[] = {5, 6, 7, 8, 5, 6, 7, 8, 5, 6, 7, 8};
    for (int64_t epoch = 0; epoch < 4; epoch++) {
        uint32_t indices[MOST];
        fill(&part, 1, epoch, false, indices);
        assert_memory_equal(indices, expected + 3 * epoch, 3 * sizeof *indices);
    }
}

// For random sources: after any number of epochs no record of a source was taken more than once more often than
// another, and each epoch has the records of each source that it should have.
static void test_even(void **state)
{
    (void)state;
    uint64_t draw = 0;
    for (int round = 0; round < 200; round++) {
        struct loam_mixture_part parts[3];
        size_t count = 1 + (size_t)(loam_rng_uniform(7, 1, draw++) * 3), first = 0;
        for (size_t i = 0; i < count; i++) {
            const size_t records = 1 + (size_t)(loam_rng_uniform(7, 1, draw++) * 9);
            parts[i] =
                (struct loam_mixture_part){first, records, 1 + (size_t)(loam_rng_uniform(7, 1, draw++) * 20)};
            first += records;
        }
        size_t seen[MOST] = {0};
        for (int64_t epoch = 0; epoch < 7; epoch++) {
            uint32_t indices[MOST];
            fill(parts, count, epoch, round % 2 == 0, indices);
            const uint32_t *at = indices;
            for (size_t i = 0; i < count; i++) {
                size_t least = SIZE_MAX, most = 0;
                for (size_t j = 0; j < parts[i].taken; j++, at++) {
                    assert_true(*at >= parts[i].first && *at < parts[i].first + parts[i].count);
                    seen[*at]++;
                }
                for (size_t j = parts[i].first; j < parts[i].first + parts[i].count; j++) {
                    least = seen[j] < least ? seen[j] : least;
                    most = seen[j] > most ? seen[j] : most;
                }
                assert_true(most - least <= 1);
            }
        }
    }
}

// Two sources of one size, and two passes over one of them, have other orders.
static void test_streams(void **state)
{
    (void)state;
    static const struct loam_mixture_part parts[] = {{0, 30, 15}, {30, 30, 15}};
    uint32_t first[MOST], second[MOST], third[MOST];
    fill(parts, 2, 0, true, first);
    fill(parts, 2, 1, true, second);
    fill(parts, 2, 2, true, third);
    assert_memory_not_equal(first, third, 15 * sizeof *first);
    for (size_t i = 0; i < 15; i++)
        first[i] += 30;
    assert_memory_not_equal(first, first + 15, 15 * sizeof *first);
}

static void test_refusals(void **state)
{
    (void)state;
    struct loam_mixture mixture;
    const struct loam_mixture_part none = {0, 0, 0};
    assert_fails(loam_mixture_init(&mixture, &none, 1, &error), LOAM_ERROR_ARGUMENT, "0 training examples");
    loam_mixture_deinit(&mixture);
    const struct loam_mixture_part many[] = {{0, 1, SIZE_MAX}, {1, 1, 2}};
    assert_fails(loam_mixture_init(&mixture, many, 2, &error), LOAM_ERROR_ARGUMENT,
                 "expected 1 to 4294967295");
    loam_mixture_deinit(&mixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares), cmocka_unit_test(test_whole_passes), cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_even),   cmocka_unit_test(test_streams),      cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
