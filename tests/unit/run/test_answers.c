// Answers to SQuAD questions: a model that has learnt four of them by heart is asked again.
#include "test.h"

#include <math.h>

#include "common_fixture.h"
#include "evaluate/run.h"

static struct loam_evaluate_settings settings_of(const struct fixture *fixture, const char *model)
{
    return (struct loam_evaluate_settings){.model = model,
                                           .data = fixture->squad,
                                           .device = "cpu",
                                           .threads = 1,
                                           .dtype = LOAM_F32,
                                           .generate = true,
                                           .max_new_tokens = 24};
}

static void knows_what_it_learnt(void **state)
{
    struct loam_error error;
    struct fixture fixture;
    fixture_make(&fixture, *state);
    struct loam_evaluate_result result;
    struct loam_evaluate_settings eval = settings_of(&fixture, fixture.model);
    assert_ok(loam_evaluate_run(&eval, NULL, &result, &error));
    assert_true(result.scored);
    assert_int_equal(result.overall.count, 4);
    assert_int_equal(result.answerable.count, 3);
    assert_int_equal(result.unanswerable.count, 1);
    assert_true(result.answerable.exact == 0); // random weights talk nonsense
    assert_true(result.generated_tokens > 0 && result.generated_tokens <= 4 * 24);

    struct loam_train_settings train = fixture_settings(&fixture);
    train.data = fixture.squad;
    train.device = "cpu";
    train.full = true;
    train.loss_on = LOAM_LOSS_ON_COMPLETION;
    train.batch_size = 4;
    train.max_steps = 250;
    train.logging_steps = 40;
    assert_ok(loam_train_run(&train, &fixture.callbacks, &error));

    eval = settings_of(&fixture, fixture.out);
    eval.loss_on = LOAM_LOSS_ON_COMPLETION;
    assert_ok(loam_evaluate_run(&eval, NULL, &result, &error));
    if (result.loss.loss > 0.05) fail_msg("%s: loss %g", (const char *)*state, result.loss.loss);
    assert_true(result.overall.exact == 100 && result.overall.f1 == 100);
    assert_true(result.answerable.exact == 100);
    assert_true(result.unanswerable.exact == 100); // "Can not find answer" is the empty answer
    // "red", "hat", "Tom" and "Can not find answer", a token a byte; EOS is not counted.
    assert_int_equal(result.generated_tokens, 3 + 3 + 3 + 19);

    eval.limit = 2;
    assert_ok(loam_evaluate_run(&eval, NULL, &result, &error));
    assert_int_equal(result.overall.count, 2);
    assert_int_equal(result.unanswerable.count, 0);
    assert_true(isnan(result.unanswerable.exact));

    // An answer that is cut off is another answer; a prompt that is too long loses the start of its context.
    eval.max_new_tokens = 2;
    eval.limit = 0;
    assert_ok(loam_evaluate_run(&eval, NULL, &result, &error));
    assert_int_equal(result.generated_tokens, 4 * 2);
    assert_true(result.answerable.exact == 0);
    fixture_remove(&fixture);
}

static void only_for_squad(void **state)
{
    (void)state;
    struct loam_error error;
    struct fixture fixture;
    struct loam_evaluate_result result;
    fixture_make(&fixture, "bloom");
    struct loam_evaluate_settings eval = settings_of(&fixture, fixture.model);
    eval.data = fixture.jsonl;
    assert_fails(loam_evaluate_run(&eval, NULL, &result, &error), LOAM_ERROR_ARGUMENT, "is not a SQuAD file");
    fixture_remove(&fixture);
}

// A model with few positions: what does not fit is cut from the context, or has the empty answer.
static void room_for_the_answer(void **state)
{
    (void)state;
    struct loam_error error;
    struct fixture fixture;
    struct loam_evaluate_result result;
    fixture_make(&fixture, "llama"); // 96 positions; the prompts have 53 to 57 tokens
    struct loam_evaluate_settings eval = settings_of(&fixture, fixture.model);
    eval.max_new_tokens = 45;
    assert_ok(loam_evaluate_run(&eval, NULL, &result, &error));
    assert_true(result.generated_tokens > 0);
    eval.max_new_tokens = 80; // the question alone is longer than the 16 that are left
    assert_ok(loam_evaluate_run(&eval, NULL, &result, &error));
    assert_int_equal(result.generated_tokens, 0);
    assert_true(result.unanswerable.exact == 100 && result.answerable.exact == 0);
    eval.max_new_tokens = 96;
    assert_fails(loam_evaluate_run(&eval, NULL, &result, &error), LOAM_ERROR_ARGUMENT,
                 "no room for a prompt");
    fixture_remove(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"knows_what_it_learnt, bloom", knows_what_it_learnt, NULL, NULL, "bloom"},
        {"knows_what_it_learnt, llama", knows_what_it_learnt, NULL, NULL, "llama"},
        cmocka_unit_test(only_for_squad),
        cmocka_unit_test(room_for_the_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
