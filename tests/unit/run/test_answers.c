// Answers to SQuAD questions of a model that was trained on four of them.
#include "test.h"

#include <math.h>

#include "common_fixture.h"
#include "evaluate/run.h"

static struct loam_evaluate_settings settings_of(const struct fixture *fixture, const char *model)
{
    return (struct loam_evaluate_settings){.model = model,
                                           .data = FIXTURE_LIST(fixture->squad_files),
                                           .device = "cpu",
                                           .threads = 1,
                                           .dtype = LOAM_F32,
                                           .generate = true,
                                           .max_new_tokens = 24};
}

static void answers_trained_questions(void **state)
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
    assert_true(result.answerable.exact == 0); // the weights are random
    assert_true(result.generated_tokens > 0 && result.generated_tokens <= 4 * 24);

    struct loam_train_settings train = fixture_settings(&fixture);
    train.data = FIXTURE_LIST(fixture.squad_files);
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
    // "red", "hat", "Tom" and "Can not find answer" are one token a byte; EOS is not counted.
    assert_int_equal(result.generated_tokens, 3 + 3 + 3 + 19);

    eval.limit = 2;
    assert_ok(loam_evaluate_run(&eval, NULL, &result, &error));
    assert_int_equal(result.overall.count, 2);
    assert_int_equal(result.unanswerable.count, 0);
    assert_true(isnan(result.unanswerable.exact));

    // A limit on new tokens cuts the answers. A prompt that is too long loses the start of its context.
    eval.max_new_tokens = 2;
    eval.limit = 0;
    assert_ok(loam_evaluate_run(&eval, NULL, &result, &error));
    assert_int_equal(result.generated_tokens, 4 * 2);
    assert_true(result.answerable.exact == 0);
    fixture_remove(&fixture);
}

static void fails_without_squad(void **state)
{
    (void)state;
    struct loam_error error;
    struct fixture fixture;
    struct loam_evaluate_result result;
    fixture_make(&fixture, "bloom");
    struct loam_evaluate_settings eval = settings_of(&fixture, fixture.model);
    eval.data = FIXTURE_LIST(fixture.jsonl_files);
    assert_fails(loam_evaluate_run(&eval, NULL, &result, &error), LOAM_ERROR_ARGUMENT, "is not a SQuAD file");
    fixture_remove(&fixture);
}

// In a model with few positions, the context is cut. If the question alone does not fit, the answer is empty.
static void cuts_context_for_answer(void **state)
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
        {"knows_what_it_learnt, bloom", answers_trained_questions, NULL, NULL, "bloom"},
        {"knows_what_it_learnt, llama", answers_trained_questions, NULL, NULL, "llama"},
        cmocka_unit_test(fails_without_squad),
        cmocka_unit_test(cuts_context_for_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
