// The distance of two models' logits, on logits of which it is known.
#include "test.h"

#include <math.h>

#include "commands/merge_check.h"

enum { V = 3 };

// Logits [V] in a block of their exact size, so that a sanitizer sees a read past the end.
static float *logits(double a, double b, double c)
{
    float *block = malloc(V * sizeof *block);
    assert_non_null(block);
    block[0] = (float)a, block[1] = (float)b, block[2] = (float)c;
    return block;
}

// p = (1/2, 1/4, 1/4) and q = (1/4, 1/4, 1/2), each up to a constant of its logits.
static void divergence_of_known_distributions(void **state)
{
    (void)state;
    const double two = log(2), four = log(4);
    struct loam_merge_check check = {.count = 2, .vocabulary = V};
    float *p = logits(5 - two, 5 - four, 5 - four), *q = logits(-four - 7, -four - 7, -two - 7);
    loam_merge_check_add(&check, p, q);
    // KL = 1/2 log 2 + 0 + 1/4 log 1/2 = 1/4 log 2, of one token in two.
    assert_true(fabs(check.divergence - two / 8) < 1e-6);
    assert_true(fabs(check.largest - (12 + two)) < 1e-5);
    loam_merge_check_add(&check, p, p);
    assert_true(fabs(check.divergence - two / 8) < 1e-6);
    assert_true(fabs(check.largest - (12 + two)) < 1e-5);
    free(p);
    free(q);
}

static void a_logit_that_is_no_number_shows(void **state)
{
    (void)state;
    struct loam_merge_check check = {.count = 1, .vocabulary = V};
    float *p = logits(0, 1, 2), *q = logits(0, NAN, 2);
    loam_merge_check_add(&check, p, q);
    assert_true(isnan(check.divergence));
    assert_true(isnan(check.largest));
    free(p);
    free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(divergence_of_known_distributions),
                                       cmocka_unit_test(a_logit_that_is_no_number_shows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
