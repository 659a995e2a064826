// Checkpoints: their files, detection of damage, and resumed runs that end like uninterrupted ones.
#include "test.h"

#include <math.h>
#include <sys/stat.h>

#include "common_fixture.h"
#include "evaluate/run.h"
#include "run/checkpoint_files.h"
#include "run/checkpoint_state.h"

static struct fixture fixture;

// Two steps an epoch; the second takes fewer examples.
static struct loam_train_settings settings_here(void)
{
    struct loam_train_settings settings = fixture_settings(&fixture);
    settings.epochs = 2;
    settings.accumulation = 2;
    settings.lora.dropout = 0.2;
    settings.warmup_steps = 2;
    settings.logging_steps = 1;
    settings.eval_data = FIXTURE_LIST(fixture.jsonl_files);
    settings.eval_steps = 2;
    return settings;
}

static size_t count_lines(const char *directory, const char *with)
{
    size_t count = 0;
    char *text = fixture_read(directory, "metrics.jsonl", NULL);
    assert_non_null(text);
    for (const char *at = text; (at = strstr(at, with)) != NULL; at++)
        count++;
    free(text);
    return count;
}

// ---- resuming ----

static void resumed_run_equals_uninterrupted(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_train_settings settings = settings_here();
    settings.out = fixture.adapter;
    assert_ok(loam_train_run(&settings, &fixture.callbacks, &error));
    size_t all = fixture.progress_count, first = 0;
    while (fixture.progress[first].activity != LOAM_ACTIVITY_TRAIN)
        first++;
    settings.out = fixture.out;
    settings.resume = "auto";
    for (size_t at = first + 1; at <= all; at++) {
        fixture_clear(&fixture);
        fixture.stop_at = at;
        assert_fails(loam_train_run(&settings, &fixture.callbacks, &error), LOAM_ERROR_STOPPED, "stopped");
        fixture_clear(&fixture);
        assert_ok(loam_train_run(&settings, &fixture.callbacks, &error));
        assert_true(fixture_same_file(fixture.adapter, fixture.out, "adapter_model.safetensors"));
        assert_int_equal(count_lines(fixture.out, "\"loss\""), 4);
        assert_int_equal(count_lines(fixture.out, "\"eval_loss\""), 2);
        assert_int_equal(count_lines(fixture.out, "\"train_loss\""), 1);
        test_remove_directory(fixture.out);
    }
}

static void keeps_save_total_limit(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_train_settings settings = settings_here();
    int64_t *steps;
    size_t count;
    settings.save_steps = 1;
    settings.save_total_limit = 2;
    assert_ok(loam_train_run(&settings, &fixture.callbacks, &error));
    assert_ok(loam_checkpoint_list(fixture.out, &steps, &count, &error));
    assert_int_equal(count, 2);
    assert_int_equal(steps[0], 4);
    assert_int_equal(steps[1], 3);
    free(steps);
    // A new run removes the checkpoints of the run that it overwrites.
    settings.overwrite = true;
    settings.save_steps = 3;
    settings.seed = 7;
    settings.max_steps = 3;
    assert_ok(loam_train_run(&settings, &fixture.callbacks, &error));
    assert_ok(loam_checkpoint_list(fixture.out, &steps, &count, &error));
    assert_int_equal(count, 1);
    assert_int_equal(steps[0], 3);
    free(steps);
}

// At a learning rate that is far too high, the first evaluation stays the best.
static void ends_early_with_the_best(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_train_settings settings = settings_here();
    settings.eval_steps = 1;
    settings.epochs = 20;
    settings.learning_rate = 1;
    settings.schedule = LOAM_SCHEDULE_CONSTANT_WITH_WARMUP;
    settings.early_stopping_patience = 3;
    settings.load_best_at_end = true;
    assert_ok(loam_train_run(&settings, &fixture.callbacks, &error));
    const struct loam_event *end = &fixture.events[fixture.event_count - 1];
    assert_int_equal(end->kind, LOAM_EVENT_END);
    assert_true(end->step < 40);
    int64_t best = end->step - 3;
    char directory[400];
    snprintf(directory, sizeof directory, "%s/checkpoint-%lld", fixture.out, (long long)best);
    assert_true(fixture_same_file(directory, fixture.out, "adapter_model.safetensors"));
    assert_non_null(strstr(fixture.log, "ended early at step"));
}

// At a learning rate that changes nothing, every evaluation has the same loss, and the first stays the best.
static void an_equal_loss_is_no_better(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_train_settings settings = settings_here();
    settings.eval_steps = 1;
    settings.epochs = 20;
    settings.learning_rate = 1e-30;
    settings.early_stopping_patience = 3;
    assert_ok(loam_train_run(&settings, &fixture.callbacks, &error));
    assert_int_equal(fixture.events[fixture.event_count - 1].step, 1 + 3);
}

// Trains all parameters, so that the four answers are learnt in few steps.
static struct loam_train_settings settings_for_answers(void)
{
    struct loam_train_settings settings = fixture_settings(&fixture);
    settings.data = settings.eval_data = FIXTURE_LIST(fixture.squad_files);
    settings.device = "cpu";
    settings.full = true;
    settings.loss_on = LOAM_LOSS_ON_COMPLETION;
    settings.batch_size = 4;
    settings.max_steps = 250;
    settings.logging_steps = 250;
    settings.eval_steps = 25;
    settings.best_metric = LOAM_BEST_EXACT_MATCH;
    settings.max_new_tokens = 24;
    settings.load_best_at_end = true;
    settings.early_stopping_patience = 2;
    return settings;
}

// Returns the step of the first evaluation with the highest exact match, which `*exact` is set to.
static int64_t find_best(double *exact)
{
    int64_t step = 0;
    *exact = -1;
    for (size_t i = 0; i < fixture.event_count; i++) {
        const struct loam_event *event = &fixture.events[i];
        if (event->kind != LOAM_EVENT_EVAL) continue;
        assert_true(event->eval_exact_match >= 0 && event->eval_exact_match <= event->eval_f1);
        if (event->eval_exact_match <= *exact) continue;
        *exact = event->eval_exact_match;
        step = event->step;
    }
    return step;
}

static void best_by_exact_match(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_train_settings settings = settings_for_answers();
    assert_ok(loam_train_run(&settings, &fixture.callbacks, &error));
    double exact;
    int64_t best = find_best(&exact);
    const struct loam_event *end = &fixture.events[fixture.event_count - 1];
    assert_true(exact == 100);
    assert_int_equal(end->step, best + 2 * 25); // an equal exact match is not better
    assert_true(end->step < 250);
    assert_non_null(strstr(fixture.log, "no better than that of step"));
    assert_non_null(strstr(fixture.log, ", with an exact match of 100.00 %"));
    char directory[400], name[64];
    snprintf(name, sizeof name, "checkpoint-%lld", (long long)best);
    snprintf(directory, sizeof directory, "%s/%s", fixture.out, name);
    assert_true(fixture_same_file(directory, fixture.out, "model.safetensors"));
    assert_int_equal(count_lines(fixture.out, "\"eval_exact_match\": 100,"), 3);
    char *card = fixture_read(fixture.out, "README.md", NULL);
    snprintf(name, sizeof name, "| eval_exact_match (step %lld) | 100 |", (long long)best);
    assert_non_null(strstr(card, name));
    free(card);
    assert_true(end->eval_exact_match == 100 && end->eval_f1 == 100);

    // The saved result reaches the exact match of the best evaluation.
    struct loam_evaluate_result result;
    struct loam_evaluate_settings eval = {.model = fixture.out,
                                          .data = FIXTURE_LIST(fixture.squad_files),
                                          .device = "cpu",
                                          .threads = 1,
                                          .dtype = LOAM_F32,
                                          .generate = true,
                                          .max_new_tokens = 24};
    assert_ok(loam_evaluate_run(&eval, NULL, &result, &error));
    assert_true(result.overall.exact == 100);
}

// A run that stops between two answers of the last evaluation resumes with the best evaluation of the
// checkpoint.
static void best_by_exact_match_resumed(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_train_settings settings = settings_for_answers();
    settings.out = fixture.adapter;
    assert_ok(loam_train_run(&settings, &fixture.callbacks, &error));
    size_t at = fixture.progress_count;
    while (fixture.progress[at - 1].activity != LOAM_ACTIVITY_ANSWER)
        at--;
    settings.out = fixture.out;
    fixture_clear(&fixture);
    fixture.stop_at = at - 2;
    assert_fails(loam_train_run(&settings, &fixture.callbacks, &error), LOAM_ERROR_STOPPED, "saved in");
    settings.resume = "auto";
    struct loam_train_settings changed = settings;
    changed.best_metric = LOAM_BEST_EVAL_LOSS;
    fixture_clear(&fixture);
    assert_fails(loam_train_run(&changed, &fixture.callbacks, &error), LOAM_ERROR_ARGUMENT,
                 "--metric-for-best-model was exact_match and is eval_loss");
    fixture_clear(&fixture);
    assert_ok(loam_train_run(&settings, &fixture.callbacks, &error));
    assert_non_null(strstr(fixture.log, "no better than that of step"));
    assert_true(fixture_same_file(fixture.adapter, fixture.out, "model.safetensors"));
    assert_int_equal(count_lines(fixture.out, "\"eval_exact_match\""),
                     count_lines(fixture.adapter, "\"eval_exact_match\""));
}

// A state of an older version, without exact match, is accepted. A state that lacks other fields is an error.
static void reads_state_of_older_version(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_loop loop = {.step = 3, .updates = 3}, read = {0};
    loam_loop_begin(&loop);
    loop.eval.exact_match = 12.5;
    loop.best.exact_match = 25;
    json_t *json = loam_checkpoint_state_format(&loop);
    assert_ok(loam_checkpoint_state_parse(&read, json, "state", &error));
    assert_true(read.eval.exact_match == 12.5 && read.best.exact_match == 25);
    json_object_del(json, "best_exact_match");
    assert_ok(loam_checkpoint_state_parse(&read, json, "state", &error));
    assert_true(isnan(read.best.exact_match));
    json_object_del(json, "best_loss");
    assert_fails(loam_checkpoint_state_parse(&read, json, "state", &error), LOAM_ERROR_FORMAT, "best_loss");
    json_decref(json);
}

// A state may have fewer updates than steps, even none, but not more.
static void refuses_more_updates_than_steps(void **state)
{
    (void)state;
    static const struct {
        int64_t step, updates;
        bool possible;
    } cases[] = {{3, 0, true}, {3, 3, true}, {1, 1, true}, {3, 4, false}, {0, 0, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loam_error error;
        struct loam_loop loop = {.step = cases[i].step, .updates = cases[i].updates}, read = {0};
        loam_loop_begin(&loop);
        json_t *json = loam_checkpoint_state_format(&loop);
        if (cases[i].possible) {
            assert_ok(loam_checkpoint_state_parse(&read, json, "state", &error));
            assert_int_equal(read.updates, cases[i].updates);
        } else {
            assert_fails(loam_checkpoint_state_parse(&read, json, "state", &error), LOAM_ERROR_FORMAT,
                         "cannot be");
        }
        json_decref(json);
    }
}

// Counts that no run has: each is refused with its key.
static void refuses_impossible_counts(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *text;
    } cases[] = {
        {"overflows", "-1", "state: \"overflows\" is -1, which cannot be: expected 0 to 2^53"},
        {"overflows", "9007199254740993", "state: \"overflows\" is 9007199254740993, which cannot be"},
        {"overflows", "5", "\"overflows\" 5 and \"unlabelled\" 0 cannot be"},
        {"overflows", "\"1\"", "state: \"overflows\" is not a whole number"},
        {"overflows", "2", NULL},
        {"step", "null", "state: \"step\" is not a whole number; resume from another checkpoint"},
        {"updates", "2.0", "state: \"updates\" is not a whole number"},
        {"loss_sum", "\"x\"", "state: \"loss_sum\" must be a number"},
        {"seconds", "null", "state has no \"seconds\"; resume from another checkpoint"},
        {"seconds", "[]", "state: \"seconds\" must be a number"},
        {"skipped", "3", "\"skipped\" 3, \"overflows\" 0"},
        {"unlabelled", "3", "\"unlabelled\" 3 cannot be"},
        {"tokens", "-1", "state: \"tokens\" is -1, which cannot be"},
        {"step", "0", "state: \"step\" is 0, which cannot be: expected 1 to 2^53"},
        {"best_step", "-2", "state: \"best_step\" is -2, which cannot be: expected -1 to 2^53"},
        {"best_step", "-1", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loam_error error;
        struct loam_loop loop = {.step = 4, .updates = 2}, read = {0};
        loam_loop_begin(&loop);
        json_t *json = loam_checkpoint_state_format(&loop);
        json_t *value = json_loads(cases[i].value, JSON_DECODE_ANY, NULL);
        assert_int_equal(json_object_set_new(json, cases[i].key, value), 0);
        if (cases[i].text == NULL)
            assert_ok(loam_checkpoint_state_parse(&read, json, "state", &error));
        else
            assert_fails(loam_checkpoint_state_parse(&read, json, "state", &error), LOAM_ERROR_FORMAT,
                         cases[i].text);
        json_decref(json);
    }
}

// A scale of the loss is absent, null or whole, in runs that use it and in those that do not.
static void reads_scale_of_the_loss(void **state)
{
    (void)state;
    static const struct {
        const char *json, *text;
        double factor;
    } cases[] = {
        {"{}", NULL, 65536},
        {"{\"loss_scale\": null}", NULL, 65536},
        {"{\"loss_scale\": {\"factor\": 8.0, \"good_steps\": 3}}", NULL, 8},
        {"{\"loss_scale\": {\"factor\": 8, \"good_steps\": 3}}", NULL, 8},
        {"{\"loss_scale\": 5}", "state: \"loss_scale\" must be an object or null", 0},
        {"{\"loss_scale\": []}", "state: \"loss_scale\" must be an object or null", 0},
        {"{\"loss_scale\": {}}", "state: \"loss_scale\" has no number \"factor\"", 0},
        {"{\"loss_scale\": {\"factor\": null, \"good_steps\": 3}}",
         "state: \"loss_scale\" has no number \"factor\"", 0},
        {"{\"loss_scale\": {\"factor\": 8.0}}", "state: \"loss_scale\" has no number \"good_steps\"", 0},
        {"{\"loss_scale\": {\"factor\": 8.0, \"good_steps\": 0.5}}",
         "state: \"good_steps\" must be an integer", 0},
        {"{\"loss_scale\": {\"factor\": 3.0, \"good_steps\": 3}}",
         "with a factor of 3 after 3 good steps of 5 cannot be", 0},
        {"{\"loss_scale\": {\"factor\": 8.0, \"good_steps\": 5}}", NULL, 8},
        {"{\"loss_scale\": {\"factor\": 8.0, \"good_steps\": 6}}", "after 6 good steps of 5 cannot be", 0},
        {"{\"loss_scale\": {\"factor\": 8.0, \"good_steps\": -1}}", "after -1 good steps of 5 cannot be", 0},
    };
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        struct loam_error error;
        const bool dynamic = i % 2 == 1;
        struct loam_loss_scale scale = loam_loss_scale_make(dynamic);
        json_t *root = json_loads(cases[i / 2].json, 0, NULL);
        assert_non_null(root);
        if (cases[i / 2].text == NULL) {
            assert_ok(loam_checkpoint_loss_scale_parse(&scale, 5, root, "state", &error));
            assert_true(scale.factor == (dynamic ? cases[i / 2].factor : 1));
        } else {
            assert_fails(loam_checkpoint_loss_scale_parse(&scale, 5, root, "state", &error),
                         LOAM_ERROR_FORMAT, cases[i / 2].text);
        }
        json_decref(root);
    }
}

// A learning rate so high that the loss is soon not finite.
static struct loam_train_settings settings_that_diverge(void)
{
    struct loam_train_settings settings = settings_here();
    settings.eval_data = (struct loam_text_list){0};
    settings.epochs = 20;
    settings.learning_rate = 30;
    settings.schedule = LOAM_SCHEDULE_CONSTANT_WITH_WARMUP;
    return settings;
}

static void skips_steps_that_are_not_finite(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_train_settings settings = settings_that_diverge();
    assert_fails(loam_train_run(&settings, &fixture.callbacks, &error), LOAM_ERROR_NUMERIC, "step ");
    settings.overwrite = true;
    settings.on_nonfinite = LOAM_NONFINITE_SKIP;
    fixture_clear(&fixture);
    assert_ok(loam_train_run(&settings, &fixture.callbacks, &error));
    assert_non_null(strstr(fixture.log, "; skipped"));
    assert_non_null(strstr(fixture.log, "of 40 steps were skipped"));
}

static size_t list_checkpoints(int64_t newest[1])
{
    struct loam_error error;
    int64_t *steps;
    size_t count;
    assert_ok(loam_checkpoint_list(fixture.out, &steps, &count, &error));
    *newest = count > 0 ? steps[0] : -1;
    free(steps);
    return count;
}

// The steps before a loss that is not finite are saved. A run resumed from there that skips the step ends
// like a run that skipped it at once.
static void saves_steps_before_not_finite(void **state)
{
    (void)state;
    struct loam_error error;
    int64_t step;
    struct loam_train_settings settings = settings_that_diverge(), skipping = settings;
    skipping.on_nonfinite = LOAM_NONFINITE_SKIP;
    skipping.out = fixture.adapter;
    assert_ok(loam_train_run(&skipping, &fixture.callbacks, &error));
    fixture_clear(&fixture);
    assert_fails(loam_train_run(&settings, &fixture.callbacks, &error), LOAM_ERROR_NUMERIC,
                 "there with --on-nonfinite skip");
    assert_int_equal(list_checkpoints(&step), 1);
    assert_true(step > 1);
    assert_false(fixture_has(fixture.out, "adapter_model.safetensors"));
    // The resumed run fails at the same step until it is told to skip it.
    settings.resume = "auto";
    fixture_clear(&fixture);
    assert_fails(loam_train_run(&settings, &fixture.callbacks, &error), LOAM_ERROR_NUMERIC, "is saved in");
    settings.on_nonfinite = LOAM_NONFINITE_SKIP;
    settings.allow_change = true;
    fixture_clear(&fixture);
    assert_ok(loam_train_run(&settings, &fixture.callbacks, &error));
    assert_true(fixture_same_file(fixture.adapter, fixture.out, "adapter_model.safetensors"));
    // The last checkpoint may be bad, so the ones before it stay in spite of the limit.
    settings = settings_that_diverge();
    settings.overwrite = true;
    settings.save_steps = step - 1;
    settings.save_total_limit = 1;
    fixture_clear(&fixture);
    assert_fails(loam_train_run(&settings, &fixture.callbacks, &error), LOAM_ERROR_NUMERIC, "is saved in");
    assert_int_equal(list_checkpoints(&step), 2);
    settings.overwrite = false;
    settings.resume = "auto";
    fixture_clear(&fixture);
    assert_fails(loam_train_run(&settings, &fixture.callbacks, &error), LOAM_ERROR_NUMERIC, "is saved in");
    assert_int_equal(list_checkpoints(&step), 2);
}

// Values that are not finite are not saved: --resume would take them as the newest checkpoint.
static void values_that_are_not_finite_are_not_saved(void **state)
{
    (void)state;
    struct loam_error error;
    int64_t step;
    struct loam_train_settings settings = settings_that_diverge();
    settings.learning_rate = 1e39; // more than a float holds
    assert_fails(loam_train_run(&settings, &fixture.callbacks, &error), LOAM_ERROR_NUMERIC,
                 "not saved: not all trained values are finite");
    assert_int_equal(list_checkpoints(&step), 0);
}

static void an_evaluation_that_is_not_finite(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_train_settings settings = settings_that_diverge();
    settings.learning_rate = 3e38; // after the first step, at a rate of zero
    settings.max_steps = 12;
    settings.eval_data = FIXTURE_LIST(fixture.jsonl_files);
    settings.eval_steps = 1;
    settings.load_best_at_end = true;
    assert_fails(loam_train_run(&settings, &fixture.callbacks, &error), LOAM_ERROR_NUMERIC,
                 "the evaluation loss is not a number");
    assert_non_null(strstr(error.message, "step 2 is saved in"));
    settings.overwrite = true;
    settings.on_nonfinite = LOAM_NONFINITE_SKIP;
    fixture_clear(&fixture);
    assert_ok(loam_train_run(&settings, &fixture.callbacks, &error));
    assert_non_null(strstr(fixture.log, "; it is not the best, and the run goes on"));
    const struct loam_event *end = &fixture.events[fixture.event_count - 1];
    assert_int_equal(end->step, 12);
    assert_true(isfinite(end->eval_loss)); // the loss of the best evaluation
    settings.early_stopping_patience = 4;
    fixture_clear(&fixture);
    assert_ok(loam_train_run(&settings, &fixture.callbacks, &error));
    assert_int_equal(fixture.events[fixture.event_count - 1].step, 1 + 4);
}

static void refuses_impossible_resumes(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_train_settings settings = settings_here();
    settings.eval_data = (struct loam_text_list){0};
    settings.load_best_at_end = true;
    assert_fails(loam_train_run(&settings, &fixture.callbacks, &error), LOAM_ERROR_ARGUMENT, "--eval-data");
    settings.load_best_at_end = false;
    settings.early_stopping_patience = 1;
    assert_fails(loam_train_run(&settings, &fixture.callbacks, &error), LOAM_ERROR_ARGUMENT, "--eval-data");
    settings.early_stopping_patience = 0;
    settings.best_metric = LOAM_BEST_EXACT_MATCH;
    assert_fails(loam_train_run(&settings, &fixture.callbacks, &error), LOAM_ERROR_ARGUMENT,
                 "--metric-for-best-model depends on evaluations: it needs --eval-data");
    settings.eval_data = FIXTURE_LIST(fixture.jsonl_files);
    assert_fails(loam_train_run(&settings, &fixture.callbacks, &error), LOAM_ERROR_ARGUMENT,
                 "has nothing to score: --metric-for-best-model needs");
}

// Starts another run in the same directory while this one holds the lock.
static bool run_another(void *user, const struct loam_event *event)
{
    static const struct loam_callbacks none;
    struct loam_error error;
    struct loam_train_settings settings = *(const struct loam_train_settings *)user;
    settings.overwrite = true;
    if (event->kind == LOAM_EVENT_START)
        assert_fails(loam_train_run(&settings, &none, &error), LOAM_ERROR_EXISTS, "written by another run");
    return true;
}

static void one_run_at_a_time(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_train_settings settings = settings_here();
    struct loam_callbacks callbacks = {.user = &settings, .event = run_another};
    assert_ok(loam_train_run(&settings, &callbacks, &error));
    assert_true(fixture_has(fixture.out, "adapter_model.safetensors"));
}

// ---- damage ----

static char checkpoint[400];

static void make_checkpoint(void)
{
    struct loam_error error;
    struct loam_train_settings settings = settings_here();
    settings.save_steps = 4;
    assert_ok(loam_train_run(&settings, &fixture.callbacks, &error));
    snprintf(checkpoint, sizeof checkpoint, "%s/checkpoint-4", fixture.out);
    assert_ok(loam_checkpoint_verify(checkpoint, &error));
}

static const char *const files[] = {LOAM_CHECKPOINT_STATE,       LOAM_CHECKPOINT_TENSORS,
                                    LOAM_CHECKPOINT_METRICS,     LOAM_CHECKPOINT_SUMS,
                                    "adapter_model.safetensors", "adapter_config.json"};
enum { FILES = sizeof files / sizeof files[0], SAMPLE = 40 };

static void assert_damaged(const char *file, size_t at)
{
    struct loam_error error = {0};
    enum loam_status status = loam_checkpoint_verify(checkpoint, &error);
    if (status != LOAM_ERROR_FORMAT && status != LOAM_ERROR_IO) fail_msg("%s, byte %zu: not seen", file, at);
    assert_non_null(strstr(error.message, checkpoint));
}

static void a_flipped_bit_is_seen(void **state)
{
    (void)state;
    struct loam_error error;
    make_checkpoint();
    for (size_t i = 0; i < FILES; i++) {
        char path[500];
        size_t size = 0;
        char *text = fixture_read(checkpoint, files[i], &size);
        assert_true(size > 0);
        snprintf(path, sizeof path, "%s/%s", checkpoint, files[i]);
        size_t stride = strcmp(files[i], LOAM_CHECKPOINT_SUMS) == 0 ? 1 : size / SAMPLE + 1;
        for (size_t at = 0; at < size; at += stride) {
            text[at] = (char)(text[at] ^ (1 << at % 8));
            test_write_file(path, text, size);
            assert_damaged(files[i], at);
            text[at] = (char)(text[at] ^ (1 << at % 8));
        }
        test_write_file(path, text, size);
        free(text);
        assert_ok(loam_checkpoint_verify(checkpoint, &error));
    }
}

static void a_cut_is_seen(void **state)
{
    (void)state;
    struct loam_error error;
    make_checkpoint();
    for (size_t i = 0; i < FILES; i++) {
        char path[500];
        size_t size = 0;
        char *text = fixture_read(checkpoint, files[i], &size);
        snprintf(path, sizeof path, "%s/%s", checkpoint, files[i]);
        // A cut within the last lines of the checksums may concern files that a resumed run does not need.
        size_t most = strcmp(files[i], LOAM_CHECKPOINT_SUMS) == 0 ? 3 * 66 : size;
        for (size_t at = 0; at < most; at += most / SAMPLE + 1) {
            test_write_file(path, text, at);
            assert_damaged(files[i], at);
        }
        assert_int_equal(unlink(path), 0);
        assert_damaged(files[i], 0);
        test_write_file(path, text, size);
        free(text);
        assert_ok(loam_checkpoint_verify(checkpoint, &error));
    }
}

// Directories of other programs are not taken for checkpoints and not removed.
static void foreign_files(void **state)
{
    (void)state;
    static const char *const names[] = {"checkpoint-9",  "checkpoint-007", "checkpoint-",
                                        "checkpoint-4x", "checkpoint--4",  "checkpoint-99999999999999999999"};
    struct loam_error error;
    int64_t *steps;
    size_t count;
    char path[600];
    make_checkpoint();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", fixture.out, names[i]);
        assert_int_equal(mkdir(path, 0777), 0);
        if (i == 0) continue; // a directory of another program has no state
        snprintf(path, sizeof path, "%s/%s/%s", fixture.out, names[i], LOAM_CHECKPOINT_STATE);
        test_write_file(path, "{}", 2);
    }
    snprintf(path, sizeof path, "%s/notes.txt", checkpoint);
    test_write_file(path, "mine", 4);
    assert_ok(loam_checkpoint_verify(checkpoint, &error));
    assert_ok(loam_checkpoint_list(fixture.out, &steps, &count, &error));
    assert_int_equal(count, 1);
    assert_int_equal(steps[0], 4);
    free(steps);
    snprintf(path, sizeof path, "%s/nowhere", fixture.out);
    assert_ok(loam_checkpoint_list(path, &steps, &count, &error));
    assert_int_equal(count, 0);
    free(steps);
    assert_fails(loam_checkpoint_verify(path, &error), LOAM_ERROR_IO, "nowhere");
    // Links are not followed.
    snprintf(path, sizeof path, "%s/%s", checkpoint, LOAM_CHECKPOINT_SUMS);
    static const char leads_out[] =
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  ../../../dev/null\n";
    test_write_file(path, leads_out, sizeof leads_out - 1);
    assert_fails(loam_checkpoint_verify(checkpoint, &error), LOAM_ERROR_FORMAT, "damaged");
}

#define TEST(name) fixture_test(name, &fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(resumed_run_equals_uninterrupted),
        TEST(keeps_save_total_limit),
        TEST(ends_early_with_the_best),
        TEST(an_equal_loss_is_no_better),
        TEST(best_by_exact_match),
        TEST(best_by_exact_match_resumed),
        cmocka_unit_test(reads_state_of_older_version),
        cmocka_unit_test(refuses_more_updates_than_steps),
        cmocka_unit_test(refuses_impossible_counts),
        cmocka_unit_test(reads_scale_of_the_loss),
        TEST(skips_steps_that_are_not_finite),
        TEST(saves_steps_before_not_finite),
        TEST(values_that_are_not_finite_are_not_saved),
        TEST(an_evaluation_that_is_not_finite),
        TEST(refuses_impossible_resumes),
        TEST(one_run_at_a_time),
        TEST(a_flipped_bit_is_seen),
        TEST(a_cut_is_seen),
        TEST(foreign_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
