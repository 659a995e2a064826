// The result that follows from what became of each record.
#include "test.h"

#include <math.h>

#include "evaluate/outcome.h"

static const char *const words[] = {"no", "certainly not", "yes"};

// As lm-evaluation-harness: the largest sum, the largest sum for each character, the first one of equals.
static void test_choice(void **state)
{
    (void)state;
    static const double likelihoods[] = {-2, -6.5, -3};
    // In any order of coming.
    for (size_t first = 0; first < 3; first++) {
        struct loam_outcome outcome = {.kind = LOAM_QUESTION_CHOICE};
        for (size_t i = 0; i < 3; i++) {
            const size_t option = (first + 3 - i) % 3;
            loam_outcome_choose(&outcome, option, likelihoods[option], strlen(words[option]));
        }
        assert_int_equal(outcome.best.option, 0);       // -2
        assert_int_equal(outcome.best_short.option, 1); // -1, -0.5, -1
        outcome = (struct loam_outcome){.kind = LOAM_QUESTION_CHOICE};
        for (size_t i = 0; i < 3; i++)
            loam_outcome_choose(&outcome, (first + i) % 3, -1, 1);
        assert_int_equal(outcome.best.option, 0);
    }
}

static void test_sums(void **state)
{
    (void)state;
    struct loam_outcome outcomes[] = {
        {.kind = LOAM_QUESTION_CHOICE, .right = 1, .best = {1, 0, true}, .best_short = {1, 0, true}},
        {.kind = LOAM_QUESTION_CHOICE, .right = 1, .best = {0, 0, true}, .best_short = {1, 0, true}},
        {.kind = LOAM_QUESTION_CHOICE, .right = 0, .lacks_option = true},
        {.kind = LOAM_QUESTION_ANSWER, .answerable = true, .score = {1, 1, 0.5}},
        {.kind = LOAM_QUESTION_ANSWER, .answerable = false, .score = {0, 0, 0}},
        {.kind = LOAM_QUESTION_NONE},
        {.read = true, .tokens = 4, .labels = {2, 3}, .loss = 1.5},
    };
    struct loam_evaluate_result result = {0};
    double loss;
    loam_outcomes_sum(outcomes, sizeof outcomes / sizeof *outcomes, true, &result, &loss);
    assert_true(loss == 1.5 && result.loss.examples == 1 && result.loss.tokens == 4);
    assert_int_equal(result.choices.count, 2);
    assert_int_equal(result.choices.too_long, 1);
    assert_true(result.choices.accuracy == 50 && result.choices.accuracy_normalised == 100);
    assert_int_equal(result.overall.count, 2);
    assert_true(result.overall.exact == 50 && result.answerable.rouge_l == 50);
    assert_int_equal(result.unscored, 2);
    assert_true(result.scored && !result.is_squad);
    // Without answers only losses and choices count.
    result = (struct loam_evaluate_result){0};
    loam_outcomes_sum(outcomes, sizeof outcomes / sizeof *outcomes, false, &result, &loss);
    assert_false(result.scored);
    assert_true(isnan(result.overall.exact) && result.choices.count == 2 && result.unscored == 0);
    // Questions of SQuAD alone.
    result = (struct loam_evaluate_result){0};
    outcomes[0] = (struct loam_outcome){.kind = LOAM_QUESTION_SQUAD};
    loam_outcomes_sum(outcomes, 1, true, &result, &loss);
    assert_true(result.is_squad && isnan(result.choices.accuracy));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_choice), cmocka_unit_test(test_sums)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
