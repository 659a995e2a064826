// Answers and choices of tiny models that were trained on a few records of each shape.
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

static void fails_without_answers(void **state)
{
    (void)state;
    struct loam_error error;
    struct fixture fixture;
    struct loam_evaluate_result result;
    fixture_make(&fixture, "bloom");
    struct loam_evaluate_settings eval = settings_of(&fixture, fixture.model);
    eval.data = FIXTURE_LIST(fixture.jsonl_files);
    assert_fails(loam_evaluate_run(&eval, NULL, &result, &error), LOAM_ERROR_ARGUMENT,
                 "has nothing to score: --generate needs completions, answers in conversations");
    fixture_remove(&fixture);
}

// Records of one shape, and what a model scores that was trained on them.
struct shape_case {
    const char *name, *chat_template;
    enum loam_loss_on loss_on;
    const char *records;
    int count, unanswerable, unscored; // answers, of which so many have no right answer; other records
    int tokens;                        // generated, one for each byte of an answer
};

static const struct shape_case shape_cases[] = {
    {"completions", NULL, LOAM_LOSS_ON_DEFAULT,
     "{\"prompt\": \"Colour? \", \"completion\": \"red\"}\n{\"prompt\": \"Who? \", \"completion\": "
     "\"Tom\"}\n",
     2, 0, 0, 6},
    {"instructions", "zephyr", LOAM_LOSS_ON_DEFAULT,
     "{\"instruction\": \"Name\", \"input\": \"one\", \"output\": \"Al\"}\n"
     "{\"instruction\": \"Say\", \"output\": \"yes\"}\n",
     2, 0, 0, 5},
    // The last answer counts, and a list of right answers takes its place. The third record has no answer.
    {"conversations", "zephyr", LOAM_LOSS_ON_DEFAULT,
     "{\"messages\": [{\"role\": \"user\", \"content\": \"A\"}, {\"role\": \"assistant\", \"content\": "
     "\"be\"}]}\n"
     "{\"messages\": [{\"role\": \"user\", \"content\": \"C\"}, {\"role\": \"assistant\", \"content\": "
     "\"dog\"}, "
     "{\"role\": \"user\", \"content\": \"E\"}], \"answers\": [\"cat\", \"Dog!\"]}\n"
     "{\"messages\": [{\"role\": \"user\", \"content\": \"F\"}]}\n",
     2, 0, 1, 5},
    // The end of a turn is a text of several tokens.
    {"an end that is a text", "chatml", LOAM_LOSS_ON_ALL,
     "{\"conversations\": [{\"from\": \"human\", \"value\": \"A\"}, {\"from\": \"gpt\", \"value\": "
     "\"be\"}]}\n",
     1, 0, 0, 12},
};

static void train_on(struct fixture *fixture, const struct shape_case *item, const char *path)
{
    struct loam_error error;
    struct loam_train_settings train = fixture_settings(fixture);
    train.data = FIXTURE_FILE(path);
    train.device = "cpu";
    train.full = true;
    train.chat_template = item->chat_template;
    train.loss_on = item->loss_on;
    train.batch_size = 4;
    train.max_steps = 250;
    train.logging_steps = 125;
    assert_ok(loam_train_run(&train, &fixture->callbacks, &error));
}

static void answers_every_shape(void **state)
{
    const struct shape_case *item = *state;
    struct loam_error error;
    struct fixture fixture;
    struct loam_evaluate_result result;
    char path[300];
    fixture_make(&fixture, "bloom");
    fixture_write(&fixture, "records.jsonl", item->records, path);
    struct loam_evaluate_settings eval = settings_of(&fixture, fixture.model);
    eval.data = FIXTURE_FILE(path);
    eval.chat_template = item->chat_template;
    eval.loss_on = item->loss_on;
    assert_ok(loam_evaluate_run(&eval, NULL, &result, &error));
    assert_true(result.scored && !result.is_squad);
    assert_int_equal(result.overall.count, item->count);
    assert_int_equal(result.unanswerable.count, item->unanswerable);
    assert_int_equal(result.unscored, item->unscored);
    assert_true(result.overall.exact == 0); // the weights are random

    train_on(&fixture, item, path);
    eval.model = fixture.out;
    assert_ok(loam_evaluate_run(&eval, NULL, &result, &error));
    if (result.overall.exact < 100) fail_msg("%s: exact match %g", item->name, result.overall.exact);
    assert_true(result.overall.f1 == 100 && result.answerable.rouge_l == 100);
    assert_int_equal(result.generated_tokens, item->tokens);
    fixture_remove(&fixture);
}

// The losses of roles are those of all tokens. Where all are learnt, they add up to the loss.
static void adds_up_roles(void **state)
{
    (void)state;
    struct loam_error error;
    struct fixture fixture;
    struct loam_evaluate_result result;
    char path[300];
    fixture_make(&fixture, "bloom");
    fixture_write(&fixture, "records.jsonl", shape_cases[2].records, path);
    struct loam_evaluate_settings eval = settings_of(&fixture, fixture.model);
    eval.data = FIXTURE_FILE(path);
    eval.chat_template = "zephyr";
    eval.generate = false;
    eval.loss_on = LOAM_LOSS_ON_ALL;
    for (eval.batch_size = 0; eval.batch_size < 2;
         eval.batch_size++) { // one batch, and a batch for each example
        double sum = 0;
        int64_t count = 0;
        assert_ok(loam_evaluate_run(&eval, NULL, &result, &error));
        assert_true(result.has_roles);
        for (int i = 0; i < LOAM_CHAT_ROLES; i++) {
            const struct loam_role_loss *item = &result.roles.items[i];
            count += item->count;
            if (item->count > 0) sum += (double)item->count * item->loss;
        }
        assert_int_equal(count, result.loss.labels.count);
        assert_int_equal(result.roles.items[LOAM_CHAT_ROLE_ASSISTANT].count, 2 + 3);
        assert_int_equal(result.roles.items[LOAM_CHAT_ROLE_USER].count, 4);
        assert_true(fabs(sum / (double)count - result.loss.loss) < 1e-9);
    }
    eval.loss_on = LOAM_LOSS_ON_ASSISTANT; // the roles stay the same
    const double user = result.roles.items[LOAM_CHAT_ROLE_USER].loss, all = result.loss.loss;
    assert_ok(loam_evaluate_run(&eval, NULL, &result, &error));
    assert_true(result.roles.items[LOAM_CHAT_ROLE_USER].loss == user && result.loss.loss != all);
    fixture_remove(&fixture);
}

// A model that was trained on the right options chooses them, and never the others where these count as right.
static void chooses_what_it_learnt(void **state)
{
    const char *chat_template = *state;
    struct loam_error error;
    struct fixture fixture;
    struct loam_evaluate_result result;
    char right[300], wrong[300];
    fixture_make(&fixture, "bloom");
    fixture_write(&fixture, "right.jsonl",
                  "{\"question\": \"A?\", \"choices\": [\"cat\", \"dog\", \"cow\"], \"answer\": 1}\n"
                  "{\"question\": \"B?\", \"choices\": [\"red\", \"blue\"], \"answer\": \"A\"}\n",
                  right);
    fixture_write(&fixture, "wrong.jsonl",
                  "{\"question\": \"A?\", \"choices\": [\"cat\", \"dog\", \"cow\"], \"answer\": 2}\n"
                  "{\"question\": \"B?\", \"choices\": [\"red\", \"blue\"], \"answer\": \"blue\"}\n",
                  wrong);
    const struct shape_case item = {.chat_template = chat_template};
    train_on(&fixture, &item, right);
    struct loam_evaluate_settings eval = settings_of(&fixture, fixture.out);
    eval.chat_template = chat_template;
    eval.generate = false;
    eval.data = FIXTURE_FILE(right);
    assert_ok(loam_evaluate_run(&eval, NULL, &result, &error));
    assert_false(result.scored);
    assert_int_equal(result.choices.count, 2);
    assert_true(result.choices.accuracy == 100 && result.choices.accuracy_normalised == 100);
    if (result.loss.loss > 0.05) fail_msg("loss %g", result.loss.loss);
    eval.data = FIXTURE_FILE(wrong);
    assert_ok(loam_evaluate_run(&eval, NULL, &result, &error));
    assert_true(result.choices.accuracy == 0 && result.choices.accuracy_normalised == 0);
    assert_true(result.loss.loss > 1);
    // A question with an option that is too long is told, and does not count.
    fixture_write(&fixture, "long.jsonl",
                  "{\"question\": \"A?\", \"choices\": [\"no\", \"a long option\"], \"answer\": 0}\n", wrong);
    eval.max_length = chat_template == NULL ? 26 : 33;
    assert_ok(loam_evaluate_run(&eval, NULL, &result, &error));
    assert_int_equal(result.choices.count, 0);
    assert_int_equal(result.choices.too_long, 1);
    assert_true(isnan(result.choices.accuracy));
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
        cmocka_unit_test(fails_without_answers),
        {"answers, completions", answers_every_shape, NULL, NULL, (void *)(uintptr_t)&shape_cases[0]},
        {"answers, instructions", answers_every_shape, NULL, NULL, (void *)(uintptr_t)&shape_cases[1]},
        {"answers, conversations", answers_every_shape, NULL, NULL, (void *)(uintptr_t)&shape_cases[2]},
        {"answers, an end that is a text", answers_every_shape, NULL, NULL,
         (void *)(uintptr_t)&shape_cases[3]},
        cmocka_unit_test(adds_up_roles),
        {"chooses, plain", chooses_what_it_learnt, NULL, NULL, NULL},
        {"chooses, zephyr", chooses_what_it_learnt, NULL, NULL, "zephyr"},
        cmocka_unit_test(cuts_context_for_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
