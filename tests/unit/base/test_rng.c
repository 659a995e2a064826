#include <math.h>

#include "base/rng.h"
#include "test.h"

// Known answers of philox4x32-10 from the Random123 distribution (kat_vectors): counter, key and block.
static void philox_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint64_t seed, stream, counter;
        uint32_t expected[4];
    } cases[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x299f31d0a4093822,
         0x0370734413198a2e,
         0x85a308d3243f6a88,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t block[4];
        loam_rng_block(cases[i].seed, cases[i].stream, cases[i].counter, block);
        assert_memory_equal(block, cases[i].expected, sizeof block);
    }
}

static void uniform_is_the_word_of_its_block(void **state)
{
    (void)state;
    uint64_t stream = loam_rng_stream(LOAM_RNG_DROPOUT, 5);
    assert_int_equal(stream, (3ull << 32) | 5);
    double sum = 0;
    for (uint64_t i = 0; i < 40000; i++) {
        uint32_t block[4];
        loam_rng_block(9, stream, i / 4, block);
        float value = loam_rng_uniform(9, stream, i);
        assert_true(value == (float)(block[i % 4] >> 8) / 16777216.0f);
        assert_true(value >= 0.0f && value < 1.0f);
        sum += (double)value;
    }
    assert_true(fabs(sum / 40000 - 0.5) < 4 * sqrt(1.0 / 12 / 40000));
}

static void normal_has_the_moments(void **state)
{
    (void)state;
    enum { N = 200000 };
    double sums[4] = {0};
    double product = 0; // of neighbours, which share a radius but must not be correlated
    for (uint64_t i = 0; i < N; i++) {
        double x = (double)loam_rng_normal(7, 1, i);
        double power = x;
        assert_true(isfinite(x));
        for (int k = 0; k < 4; k++, power *= x)
            sums[k] += power;
        if (i % 2 == 1) product += x * (double)loam_rng_normal(7, 1, i - 1);
    }
    assert_true(fabs(sums[0] / N) < 4 / sqrt(N));
    assert_true(fabs(sums[1] / N - 1) < 4 * sqrt(2.0 / N));
    assert_true(fabs(sums[2] / N) < 4 * sqrt(15.0 / N));
    assert_true(fabs(sums[3] / N - 3) < 4 * sqrt(96.0 / N));
    assert_true(fabs(product / (N / 2.0)) < 4 / sqrt(N / 2.0));
}

static void fill_is_the_same_numbers(void **state)
{
    (void)state;
    for (uint64_t first = 0; first < 9; first++) {
        for (size_t count = 0; count < 14; count++) {
            float values[16];
            for (int i = 0; i < 16; i++)
                values[i] = -99.0f;
            loam_rng_fill_normal(3, 4, first, values, count);
            for (size_t i = 0; i < count; i++)
                assert_true(values[i] == loam_rng_normal(3, 4, first + i));
            assert_true(values[count] == -99.0f);
        }
    }
}

static void permutation_has_everyone_once(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 2, 3, 1000, 130319};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        size_t count = counts[c];
        uint32_t *order = calloc(count + 1, sizeof *order);
        unsigned char *seen = calloc(count + 1, 1);
        assert_non_null(order);
        assert_non_null(seen);
        order[count] = 12345;
        loam_rng_permutation(42, loam_rng_stream(LOAM_RNG_SHUFFLE, 0), order, count);
        for (size_t i = 0; i < count; i++) {
            assert_true(order[i] < count);
            assert_int_equal(seen[order[i]]++, 0);
        }
        assert_int_equal(order[count], 12345);
        free(order);
        free(seen);
    }
}

// Over many streams, the 24 orders of four are equally frequent (chi squared, 23 degrees, p about 1e-5).
static void permutation_is_fair(void **state)
{
    (void)state;
    enum { DRAWS = 24000 };
    int hits[4][4][4] = {0};
    for (uint32_t i = 0; i < DRAWS; i++) {
        uint32_t order[4];
        loam_rng_permutation(1, loam_rng_stream(LOAM_RNG_SHUFFLE, i), order, 4);
        hits[order[0]][order[1]][order[2]]++;
    }
    double chi = 0;
    int orders = 0;
    for (int a = 0; a < 4; a++)
        for (int b = 0; b < 4; b++)
            for (int c = 0; c < 4; c++) {
                if (a == b || b == c || a == c) continue;
                double off = hits[a][b][c] - DRAWS / 24.0;
                chi += off * off / (DRAWS / 24.0);
                orders++;
            }
    assert_int_equal(orders, 24);
    assert_true(chi < 67);
}

static void seeds_and_streams_differ(void **state)
{
    (void)state;
    uint32_t a[100], b[100], c[100], again[100];
    loam_rng_permutation(1, loam_rng_stream(LOAM_RNG_SHUFFLE, 0), a, 100);
    loam_rng_permutation(1, loam_rng_stream(LOAM_RNG_SHUFFLE, 1), b, 100);
    loam_rng_permutation(2, loam_rng_stream(LOAM_RNG_SHUFFLE, 0), c, 100);
    loam_rng_permutation(1, loam_rng_stream(LOAM_RNG_SHUFFLE, 0), again, 100);
    assert_memory_not_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
    assert_memory_equal(a, again, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answers),          cmocka_unit_test(uniform_is_the_word_of_its_block),
        cmocka_unit_test(normal_has_the_moments),        cmocka_unit_test(fill_is_the_same_numbers),
        cmocka_unit_test(permutation_has_everyone_once), cmocka_unit_test(permutation_is_fair),
        cmocka_unit_test(seeds_and_streams_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
