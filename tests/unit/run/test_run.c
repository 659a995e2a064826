// Whole runs on a tiny model: losses, reports and output files.
#include "test.h"

#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/bytes.h"
#include "common_fixture.h"
#include "evaluate/run.h"

static struct fixture fixture;

static void run(const struct loam_train_settings *settings)
{
    struct loam_error error;
    fixture_clear(&fixture);
    assert_ok(loam_train_run(settings, &fixture.callbacks, &error));
}

static const struct loam_event *last_event(enum loam_event_kind kind)
{
    for (size_t i = fixture.event_count; i-- > 0;)
        if (fixture.events[i].kind == kind) return &fixture.events[i];
    fail_msg("no event of kind %d", (int)kind);
    return NULL;
}

static size_t count_events(enum loam_event_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < fixture.event_count; i++)
        count += fixture.events[i].kind == kind;
    return count;
}

// Returns the matrices of a saved adapter in one array, released with free().
static float *adapter_values(const char *directory, size_t *count)
{
    struct loam_error error;
    struct loam_container *file;
    char path[400];
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", directory);
    assert_ok(loam_container_open_file(&file, path, &error));
    *count = 0;
    for (size_t i = 0; i < loam_container_count(file); i++)
        *count += loam_container_at(file, i)->bytes / sizeof(float);
    float *values = calloc(*count, sizeof *values);
    assert_non_null(values);
    size_t at = 0;
    for (size_t i = 0; i < loam_container_count(file); i++) {
        const struct loam_stored_tensor *tensor = loam_container_at(file, i);
        assert_int_equal(tensor->format, LOAM_FORMAT_F32);
        memcpy(values + at, tensor->data, tensor->bytes);
        at += tensor->bytes / sizeof(float);
    }
    loam_container_destroy(file);
    return values;
}

static void assert_same_adapter(const char *a, const char *b, bool same)
{
    static const char name[] = "adapter_model.safetensors";
    assert_true(fixture_has(a, name) && fixture_has(b, name));
    assert_int_equal(fixture_same_file(a, b, name), same);
}

// Returns |a - b| / |b| of two adapters.
static double difference(const char *a, const char *b)
{
    size_t count_a, count_b;
    float *values_a = adapter_values(a, &count_a);
    float *values_b = adapter_values(b, &count_b);
    assert_int_equal(count_a, count_b);
    double squares = 0, norm = 0;
    for (size_t i = 0; i < count_a; i++) {
        squares += pow((double)values_a[i] - (double)values_b[i], 2);
        norm += pow((double)values_b[i], 2);
    }
    free(values_a);
    free(values_b);
    return sqrt(squares / norm);
}

// ---- losses and output ----

static void learns(void **state)
{
    (void)state;
    struct loam_train_settings settings = fixture_settings(&fixture);
    settings.lora.target_modules = "all-linear";
    settings.epochs = 20;
    settings.learning_rate = 2e-2;
    run(&settings);
    assert_int_equal(fixture.events[0].kind, LOAM_EVENT_START);
    assert_int_equal(fixture.events[0].total_steps, 60);
    const struct loam_event *first = &fixture.events[1];
    const struct loam_event *last = last_event(LOAM_EVENT_STEP);
    const struct loam_event *end = last_event(LOAM_EVENT_END);
    assert_int_equal(first->step, 2);
    assert_true(first->loss > 4.5); // near log(260) = 5.56, the loss of a uniform guess
    assert_true(last->loss < first->loss - 0.7);
    assert_true(end->loss < first->loss && end->loss > last->loss);
    assert_true(end->epoch == 20);
    assert_true(first->grad_norm > 0 && isfinite(first->grad_norm));
    assert_int_equal(count_events(LOAM_EVENT_STEP), 30);
    assert_int_equal(count_events(LOAM_EVENT_EVAL), 0);
    assert_true(isnan(end->eval_loss));
    // The tokens of an epoch are those of the file, EOS included.
    assert_int_equal(end->tokens, 20 * (11 + 5 + 32 + 10 + 22 + 5));
    assert_int_equal(end->trainable_parameters, 2 * 4 * (16 + 48 + 16 + 16 + 16 + 64 + 64 + 16));
    assert_true(end->parameters > end->trainable_parameters);
    assert_true(end->peak_rss > 0 && end->seconds > 0 && end->tokens_per_second > 0);
}

// The lines of metrics.jsonl have the values of the events.
static void metrics_are_the_events(void **state)
{
    (void)state;
    struct loam_train_settings settings = fixture_settings(&fixture);
    settings.eval_data = FIXTURE_LIST(fixture.jsonl_files);
    settings.eval_steps = 4;
    settings.schedule = LOAM_SCHEDULE_LINEAR;
    run(&settings); // 9 steps: logged at 2, 4, 6, 8, 9, evaluated at 4, 8, 9
    assert_int_equal(count_events(LOAM_EVENT_STEP), 5);
    assert_int_equal(count_events(LOAM_EVENT_EVAL), 3);
    char *text = fixture_read(fixture.out, "metrics.jsonl", NULL);
    assert_non_null(text);
    size_t at = 1; // after LOAM_EVENT_START
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"), at++) {
        assert_true(at < fixture.event_count);
        const struct loam_event *event = &fixture.events[at];
        static const char *const loss_names[] = {
            [LOAM_EVENT_STEP] = "loss", [LOAM_EVENT_EVAL] = "eval_loss", [LOAM_EVENT_END] = "train_loss"};
        json_t *root = json_loads(line, 0, NULL);
        assert_non_null(root);
        double loss = event->kind == LOAM_EVENT_EVAL ? event->eval_loss : event->loss;
        assert_true(json_number_value(json_object_get(root, loss_names[event->kind])) == loss);
        assert_int_equal(json_integer_value(json_object_get(root, "step")), event->step);
        assert_true(json_number_value(json_object_get(root, "epoch")) == event->epoch);
        if (event->kind == LOAM_EVENT_STEP) {
            double rate = json_number_value(json_object_get(root, "learning_rate"));
            assert_true(rate == event->learning_rate);
            // The rate is that of the last step, counted from 0.
            assert_true(fabs(rate - 1e-2 * (double)(9 - (event->step - 1)) / 9) < 1e-16);
            assert_true(json_number_value(json_object_get(root, "grad_norm")) == event->grad_norm);
        }
        if (event->kind == LOAM_EVENT_END) {
            assert_true(json_number_value(json_object_get(root, "train_runtime")) > 0);
            assert_true(json_number_value(json_object_get(root, "train_samples_per_second")) > 0);
            assert_true(json_number_value(json_object_get(root, "train_steps_per_second")) > 0);
            assert_true(json_number_value(json_object_get(root, "peak_memory_bytes")) > 0);
            assert_int_equal(json_integer_value(json_object_get(root, "trainable_parameters")),
                             event->trainable_parameters);
        }
        json_decref(root);
    }
    assert_int_equal(at, fixture.event_count);
    free(text);

    // The mean over all steps is the mean of the logged means, weighted by their steps.
    double sum = 0;
    int64_t before = 0;
    for (size_t i = 0; i < fixture.event_count; i++) {
        if (fixture.events[i].kind != LOAM_EVENT_STEP) continue;
        sum += fixture.events[i].loss * (double)(fixture.events[i].step - before);
        before = fixture.events[i].step;
    }
    assert_true(fabs(sum / 9 - last_event(LOAM_EVENT_END)->loss) < 1e-12);
}

static void leaves_what_peft_loads(void **state)
{
    (void)state;
    struct loam_train_settings settings = fixture_settings(&fixture);
    run(&settings);
    static const char *const files[] = {"adapter_config.json", "adapter_model.safetensors", "README.md",
                                        "tokenizer.json",      "tokenizer_config.json",     "metrics.jsonl"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        assert_true(fixture_has(fixture.out, files[i]));
    assert_false(fixture_has(fixture.out, "config.json")); // only the base has it
    assert_false(fixture_has(fixture.out, "special_tokens_map.json"));

    size_t a_size, b_size;
    char *a = fixture_read(fixture.model, "tokenizer.json", &a_size);
    char *b = fixture_read(fixture.out, "tokenizer.json", &b_size);
    assert_int_equal(a_size, b_size);
    assert_memory_equal(a, b, a_size);
    free(a);
    free(b);

    char *card = fixture_read(fixture.out, "README.md", NULL);
    char expected[400];
    // A hub cannot link to a local directory.
    static const char head[] = "---\nlibrary_name: peft\n";
    assert_memory_equal(card, head, sizeof head - 1);
    assert_non_null(strstr(card, "\n- lora\n"));
    assert_non_null(strstr(card, "| target_modules | `query_key_value` |"));
    assert_non_null(strstr(card, "| learning_rate | 0.01 |"));
    assert_non_null(strstr(card, "| r | 4 |"));
    static const char row[] = "| train_loss (mean over all steps) | ";
    const char *told = strstr(card, row);
    assert_non_null(told);
    assert_true(fabs(strtod(told + sizeof row - 1, NULL) - last_event(LOAM_EVENT_END)->loss) < 0.5001e-4);
    free(card);

    char *config = fixture_read(fixture.out, "adapter_config.json", NULL);
    snprintf(expected, sizeof expected, "\"base_model_name_or_path\": \"%s\"", fixture.model);
    assert_non_null(strstr(config, expected));
    free(config);

    settings.model_name = "org/base";
    settings.overwrite = true;
    run(&settings);
    card = fixture_read(fixture.out, "README.md", NULL);
    assert_non_null(strstr(card, "---\nbase_model: org/base\n"));
    assert_non_null(strstr(card, "\n- base_model:adapter:org/base\n"));
    free(card);
    config = fixture_read(fixture.out, "adapter_config.json", NULL);
    assert_non_null(strstr(config, "\"base_model_name_or_path\": \"org/base\""));
    free(config);
}

// ---- repeated runs ----

static void repeats_bit_for_bit(void **state)
{
    (void)state;
    struct loam_train_settings settings = fixture_settings(&fixture);
    settings.lora.dropout = 0.2;
    run(&settings);
    settings.out = fixture.adapter;
    run(&settings);
    assert_same_adapter(fixture.out, fixture.adapter, true);
    settings.overwrite = true;
    settings.seed = 43;
    run(&settings);
    assert_same_adapter(fixture.out, fixture.adapter, false);
    settings.seed = 42;
    settings.lora.dropout = 0.1;
    run(&settings);
    assert_same_adapter(fixture.out, fixture.adapter, false);
}

// The loss of a step is normalised over all of its labels, independent of micro-batches and accumulation.
static void splits_change_nothing(void **state)
{
    (void)state;
    struct loam_train_settings settings = fixture_settings(&fixture);
    settings.batch_size = 4;
    settings.max_length = 40;
    settings.max_steps = 4;
    settings.shuffle = false;
    run(&settings); // one micro-batch
    double loss = last_event(LOAM_EVENT_END)->loss;
    static const struct {
        int64_t batch_size, accumulation, token_budget;
    } cases[] = {{4, 1, 40}, {4, 1, 47}, {2, 2, 0}, {1, 4, 0}, {1, 4, 40}};
    settings.out = fixture.adapter;
    settings.overwrite = true;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        settings.batch_size = cases[i].batch_size;
        settings.accumulation = cases[i].accumulation;
        settings.token_budget = cases[i].token_budget;
        run(&settings);
        assert_true(fabs(last_event(LOAM_EVENT_END)->loss - loss) < 1e-5);
        assert_true(difference(fixture.out, fixture.adapter) < 1e-4);
    }
    settings.batch_size = 3; // other batches are other steps
    run(&settings);
    assert_true(difference(fixture.out, fixture.adapter) > 1e-3);
}

static void goes_on_from_an_adapter(void **state)
{
    (void)state;
    struct loam_train_settings settings = fixture_settings(&fixture);
    settings.lora.rank = 3;
    settings.lora.target_modules = "dense,query_key_value";
    settings.out = fixture.adapter;
    run(&settings);
    double before = last_event(LOAM_EVENT_STEP)->loss;

    // The adapter's settings replace those of the options. At a learning rate of 0 its values stay the same.
    settings = fixture_settings(&fixture);
    settings.adapter = fixture.adapter;
    settings.learning_rate = 0;
    run(&settings);
    assert_non_null(strstr(fixture.log, "going on from adapter"));
    assert_non_null(strstr(fixture.log, "r 3, alpha 8, dropout 0, target modules dense, query_key_value"));
    assert_same_adapter(fixture.out, fixture.adapter, true);
    settings.learning_rate = 1e-2;
    settings.overwrite = true;
    settings.epochs = 10;
    run(&settings);
    assert_true(last_event(LOAM_EVENT_STEP)->loss < before - 0.1);
    assert_same_adapter(fixture.out, fixture.adapter, false);
}

// Rewrites part of the adapter's configuration.
static void change_config(const char *from, const char *to)
{
    char path[400];
    size_t size;
    char *config = fixture_read(fixture.adapter, "adapter_config.json", &size);
    char *at = strstr(config, from);
    assert_non_null(at);
    struct loam_bytes text = {0};
    struct loam_error error;
    assert_ok(loam_bytes_append(&text, config, (size_t)(at - config), &error));
    assert_ok(loam_bytes_append_text(&text, to, &error));
    assert_ok(loam_bytes_append_text(&text, at + strlen(from), &error));
    snprintf(path, sizeof path, "%s/adapter_config.json", fixture.adapter);
    test_write_file(path, text.data, text.size);
    loam_bytes_deinit(&text);
    free(config);
}

// With use_rslora the scale is alpha / sqrt(r), here 8 / 2, which equals alpha / r with an alpha of 16. The
// two train to the same bytes, and the saved config keeps use_rslora.
static void goes_on_from_a_rank_stabilised_adapter(void **state)
{
    (void)state;
    struct loam_train_settings settings = fixture_settings(&fixture);
    settings.out = fixture.adapter;
    run(&settings); // r 4, alpha 8
    settings = fixture_settings(&fixture);
    settings.adapter = fixture.adapter;
    char usual[340], larger[340];
    snprintf(usual, sizeof usual, "%s-usual", fixture.out);
    snprintf(larger, sizeof larger, "%s-larger", fixture.out);
    settings.out = usual;
    run(&settings);
    change_config("\"use_rslora\": false", "\"use_rslora\": true");
    settings.out = fixture.out;
    run(&settings);
    char *config = fixture_read(fixture.out, "adapter_config.json", NULL);
    assert_non_null(strstr(config, "\"use_rslora\": true"));
    assert_non_null(strstr(config, "\"lora_alpha\": 8,"));
    assert_non_null(strstr(config, "\"r\": 4,"));
    free(config);
    change_config("\"use_rslora\": true", "\"use_rslora\": false");
    change_config("\"lora_alpha\": 8,", "\"lora_alpha\": 16,");
    settings.out = larger;
    run(&settings);
    assert_same_adapter(fixture.out, larger, true);
    assert_same_adapter(fixture.out, usual, false);
}

// ---- every parameter ----

static void trains_in_full(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_train_settings settings = fixture_settings(&fixture);
    settings.full = true;
    settings.epochs = 10;
    settings.weight_decay = 0.01;
    settings.eval_data = FIXTURE_LIST(fixture.jsonl_files);
    run(&settings);
    const struct loam_event *end = last_event(LOAM_EVENT_END);
    assert_int_equal(end->parameters, end->trainable_parameters);
    assert_true(last_event(LOAM_EVENT_STEP)->loss < fixture.events[1].loss - 1);
    static const char *const files[] = {"config.json", "model.safetensors", "tokenizer.json", "README.md"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        assert_true(fixture_has(fixture.out, files[i]));
    assert_false(fixture_has(fixture.out, "adapter_config.json"));

    // The output is a model directory: its loss is the run's last evaluation, and it can be trained further.
    struct loam_evaluate_result result;
    struct loam_evaluate_settings eval = {.model = fixture.out,
                                          .data = FIXTURE_LIST(fixture.jsonl_files),
                                          .device = "ref",
                                          .threads = 1,
                                          .dtype = LOAM_F32};
    assert_ok(loam_evaluate_run(&eval, NULL, &result, &error));
    assert_true(fabs(result.loss.loss - end->eval_loss) < 1e-6);
    settings = fixture_settings(&fixture);
    settings.model = fixture.out;
    settings.out = fixture.adapter;
    run(&settings);
    assert_true(fixture.events[1].loss < 3);
}

// The base stays as it is, byte for byte.
static void base_is_read_only(void **state)
{
    (void)state;
    size_t before_size, after_size;
    char *before = fixture_read(fixture.model, "model.safetensors", &before_size);
    struct loam_train_settings settings = fixture_settings(&fixture);
    run(&settings);
    settings.full = true;
    settings.out = fixture.adapter;
    run(&settings);
    char *after = fixture_read(fixture.model, "model.safetensors", &after_size);
    assert_int_equal(before_size, after_size);
    assert_memory_equal(before, after, before_size);
    free(before);
    free(after);
}

// ---- evaluation ----

static void evaluates_what_it_saved(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_train_settings settings = fixture_settings(&fixture);
    settings.eval_data = FIXTURE_LIST(fixture.squad_files);
    run(&settings);
    assert_int_equal(count_events(LOAM_EVENT_EVAL), 1);
    double measured = last_event(LOAM_EVENT_END)->eval_loss;

    struct loam_evaluate_result result;
    const struct loam_adapter_choice choice = {fixture.out, 1};
    struct loam_evaluate_settings eval = {.model = fixture.model,
                                          .adapters = {&choice, 1},
                                          .data = FIXTURE_LIST(fixture.squad_files),
                                          .device = "ref",
                                          .threads = 1,
                                          .dtype = LOAM_F32};
    assert_ok(loam_evaluate_run(&eval, NULL, &result, &error));
    assert_true(fabs(result.loss.loss - measured) < 1e-6);
    assert_true(fabs(result.loss.perplexity - exp(measured)) < 1e-2);
    assert_int_equal(result.loss.examples, 4);
    assert_int_equal(result.loss.labels.count, result.loss.tokens - 4);
    assert_false(result.scored);
    // Another packing gives the same loss.
    double all = result.loss.loss;
    eval.batch_size = 1;
    assert_ok(loam_evaluate_run(&eval, NULL, &result, &error));
    assert_true(fabs(result.loss.loss - all) < 1e-6);
    eval.limit = 2;
    assert_ok(loam_evaluate_run(&eval, NULL, &result, &error));
    assert_int_equal(result.loss.examples, 2);
    assert_true(fabs(result.loss.loss - all) > 1e-4);
    eval.loss_on = LOAM_LOSS_ON_COMPLETION;
    assert_ok(loam_evaluate_run(&eval, NULL, &result, &error));
    assert_int_equal(result.loss.labels.count, 3 + 1 + 3 + 1); // "red", "hat", each with EOS
}

// ---- failures ----

static void refused_settings(void **state)
{
    (void)state;
    struct loam_train_settings usual = fixture_settings(&fixture);
    struct loam_train_settings s;
    struct loam_error error;
    char bad[300], empty[300], fieldless[300];
    fixture_write(&fixture, "bad.jsonl", "{\"text\": \"fine\"}\n{\"text\": \n", bad);
    fixture_write(&fixture, "empty.jsonl", "", empty);
    fixture_write(&fixture, "fieldless.jsonl", "{\"words\": \"fine\"}\n", fieldless);
#define REFUSED(expected, text, ...)                                                                         \
    do {                                                                                                     \
        s = usual;                                                                                           \
        __VA_ARGS__;                                                                                         \
        assert_fails(loam_train_run(&s, NULL, &error), expected, text);                                      \
        assert_int_equal(access(fixture.out, F_OK), -1);                                                     \
    } while (0)
    REFUSED(LOAM_ERROR_IO, "nowhere", s.model = "/nowhere");
    REFUSED(LOAM_ERROR_IO, "config.json", s.model = fixture.directory);
    REFUSED(LOAM_ERROR_IO, "/nowhere.jsonl", s.data = FIXTURE_FILE("/nowhere.jsonl"));
    REFUSED(LOAM_ERROR_IO, "/nowhere.jsonl", s.eval_data = FIXTURE_FILE("/nowhere.jsonl"));
    REFUSED(LOAM_ERROR_FORMAT, "bad.jsonl", s.data = FIXTURE_FILE(bad));
    REFUSED(LOAM_ERROR_FORMAT, "empty.jsonl", s.data = FIXTURE_FILE(empty));
    REFUSED(LOAM_ERROR_FORMAT, "text", s.data = FIXTURE_FILE(fieldless));
    REFUSED(LOAM_ERROR_IO, "/nowhere.txt", s.prompt_template = "/nowhere.txt");
    REFUSED(LOAM_ERROR_IO, "adapter_config.json", s.adapter = fixture.model);
    REFUSED(LOAM_ERROR_ARGUMENT, "device \"gpu\"", s.device = "gpu");
    REFUSED(LOAM_ERROR_ARGUMENT, "rank is 0", s.lora.rank = 0);
    REFUSED(LOAM_ERROR_ARGUMENT, "it has: dense, dense_4h_to_h", s.lora.target_modules = "q_proj");
    REFUSED(LOAM_ERROR_ARGUMENT, "--method full", (s.full = true, s.adapter = fixture.model));
    REFUSED(LOAM_ERROR_ARGUMENT, "--token-budget 39", (s.max_length = 40, s.token_budget = 39));
    REFUSED(LOAM_ERROR_ARGUMENT, "--max-length 1", s.max_length = 1);
    REFUSED(LOAM_ERROR_ARGUMENT, "--batch-size 0", s.batch_size = 0);
    REFUSED(LOAM_ERROR_ARGUMENT, "--gradient-accumulation-steps -1", s.accumulation = -1);
    REFUSED(LOAM_ERROR_ARGUMENT, "--learning-rate nan", s.learning_rate = NAN);
    REFUSED(LOAM_ERROR_ARGUMENT, "--weight-decay -1", s.weight_decay = -1);
    REFUSED(LOAM_ERROR_ARGUMENT, "--adam-beta1 1", s.adam_beta1 = 1);
    REFUSED(LOAM_ERROR_ARGUMENT, "--adam-beta2 -0.1", s.adam_beta2 = -0.1);
    REFUSED(LOAM_ERROR_ARGUMENT, "--adam-epsilon 0", s.adam_epsilon = 0);
    REFUSED(LOAM_ERROR_ARGUMENT, "--max-grad-norm inf", s.max_grad_norm = INFINITY);
    REFUSED(LOAM_ERROR_ARGUMENT, "--warmup-ratio 2", s.warmup_ratio = 2);
    REFUSED(LOAM_ERROR_ARGUMENT, "--num-train-epochs 0", s.epochs = 0);
    REFUSED(LOAM_ERROR_ARGUMENT, "epochs", s.epochs = 1e300);
#undef REFUSED
}

static void output_is_guarded(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_train_settings settings = fixture_settings(&fixture);
    settings.max_steps = 1;
    run(&settings);
    assert_fails(loam_train_run(&settings, NULL, &error), LOAM_ERROR_EXISTS, "--overwrite");
    settings.overwrite = true;
    run(&settings);
    settings.full = true;
    assert_fails(loam_train_run(&settings, NULL, &error), LOAM_ERROR_EXISTS, "holds an adapter");
    settings.out = fixture.adapter;
    run(&settings);
    settings.full = false;
    assert_fails(loam_train_run(&settings, NULL, &error), LOAM_ERROR_EXISTS, "holds a model");
    settings.out = fixture.model;
    assert_fails(loam_train_run(&settings, NULL, &error), LOAM_ERROR_ARGUMENT, "the model's own directory");
    settings.out = fixture.jsonl;
    assert_fails(loam_train_run(&settings, NULL, &error), LOAM_ERROR_EXISTS, fixture.jsonl);
}

// Weights that fail to load leave no output directory.
static void broken_weights_leave_nothing(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_train_settings settings = fixture_settings(&fixture);
    char path[400];
    snprintf(path, sizeof path, "%s/model.safetensors", fixture.model);
    assert_int_equal(truncate(path, 2000), 0);
    assert_fails(loam_train_run(&settings, &fixture.callbacks, &error), LOAM_ERROR_FORMAT,
                 "model.safetensors");
    assert_int_equal(access(fixture.out, F_OK), -1);
}

static void stops_at_loss_not_finite(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_train_settings settings = fixture_settings(&fixture);
    settings.learning_rate = 1e30;
    settings.max_grad_norm = 0;
    settings.logging_steps = 1;
    settings.shuffle = false;
    fixture_clear(&fixture);
    assert_fails(loam_train_run(&settings, &fixture.callbacks, &error), LOAM_ERROR_NUMERIC, "step ");
    assert_non_null(strstr(error.message, "examples: line "));
    assert_false(fixture_has(fixture.out, "adapter_config.json"));
    assert_false(fixture_has(fixture.out, "adapter_model.safetensors"));
    assert_true(fixture_has(fixture.out, "metrics.jsonl")); // has the steps before the failure
    assert_int_equal(count_events(LOAM_EVENT_END), 0);
}

// Limits the size of files from the first step on.
static bool fill_disk(void *user, const struct loam_event *event)
{
    if (event->kind == LOAM_EVENT_START) assert_int_equal(setrlimit(RLIMIT_FSIZE, user), 0);
    return true;
}

// The disk is full when the result is saved. Only the metrics stay in a directory that the run made. A
// directory that existed before keeps its contents.
static void fails_while_saving(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_train_settings settings = fixture_settings(&fixture);
    settings.max_steps = 2;
    settings.lora.rank = 8;
    settings.lora.target_modules = "all-linear"; // 20 kB: more than the tokenizer
    settings.out = fixture.adapter;
    run(&settings);
    size_t size;
    char *before = fixture_read(fixture.adapter, "adapter_model.safetensors", &size);
    struct rlimit usual;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &usual), 0);
    signal(SIGXFSZ, SIG_IGN); // the write fails instead
    // Only some files fit, so that the failure comes after the first ones are written.
    static const rlim_t limits[] = {600, 2000, 10000};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        settings.out = fixture.out;
        settings.overwrite = false;
        struct rlimit limit = {limits[i], usual.rlim_max};
        const struct loam_callbacks filling = {.event = fill_disk, .user = &limit};
        enum loam_status made = loam_train_run(&settings, &filling, &error);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &usual), 0);
        settings.out = fixture.adapter;
        settings.overwrite = true;
        enum loam_status overwritten = loam_train_run(&settings, &filling, &error);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &usual), 0);
        assert_int_equal(made, LOAM_ERROR_IO);
        assert_int_equal(overwritten, LOAM_ERROR_IO);
        static const char *const files[] = {"README.md", "adapter_model.safetensors", "adapter_config.json",
                                            "tokenizer.json", "tokenizer_config.json"};
        for (size_t j = 0; j < sizeof files / sizeof files[0]; j++)
            assert_false(fixture_has(fixture.out, files[j]));
        char command[400];
        snprintf(command, sizeof command, "test \"$(ls -A '%s')\" = metrics.jsonl", fixture.out);
        assert_int_equal(system(command), 0);
        test_remove_directory(fixture.out);
        char *after = fixture_read(fixture.adapter, "adapter_model.safetensors", NULL);
        assert_memory_equal(before, after, size);
        free(after);
    }
    signal(SIGXFSZ, SIG_DFL);
    free(before);
}

static void fails_without_labels(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_train_settings settings = fixture_settings(&fixture);
    settings.too_long = LOAM_TOO_LONG_DROP;
    settings.max_length = 3;
    fixture_clear(&fixture);
    assert_fails(loam_train_run(&settings, &fixture.callbacks, &error), LOAM_ERROR_ARGUMENT, "--max-length");
    assert_null(strstr(fixture.log, "skipped")); // the error tells the same
    assert_false(fixture_has(fixture.out, "adapter_config.json"));

    // If some are too long, the others are used, and the count is logged.
    settings.max_length = 12;
    settings.overwrite = true;
    run(&settings);
    assert_non_null(strstr(fixture.log, "warning: "));
    assert_non_null(strstr(fixture.log, "could not be cut and were dropped"));
}

// A Llama with a limit on positions and an untied head.
static void llama(void **state)
{
    (void)state;
    struct loam_error error;
    fixture_make(&fixture, "llama");
    struct loam_train_settings settings = fixture_settings(&fixture);
    settings.epochs = 10;
    run(&settings);
    assert_true(last_event(LOAM_EVENT_STEP)->loss < fixture.events[1].loss - 0.3);
    assert_non_null(strstr(fixture.log, "target modules q_proj, v_proj"));
    settings.overwrite = true;
    settings.max_length = 97;
    assert_fails(loam_train_run(&settings, NULL, &error), LOAM_ERROR_ARGUMENT, "made for 96 positions");
    settings.max_length = 0;
    settings.full = true;
    settings.out = fixture.adapter;
    run(&settings);
    assert_true(last_event(LOAM_EVENT_STEP)->loss < fixture.events[1].loss - 1);
    fixture_remove(&fixture);
}

#define TEST(name) fixture_test(name, &fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(learns),
        TEST(metrics_are_the_events),
        TEST(leaves_what_peft_loads),
        TEST(repeats_bit_for_bit),
        TEST(splits_change_nothing),
        TEST(goes_on_from_an_adapter),
        TEST(goes_on_from_a_rank_stabilised_adapter),
        TEST(trains_in_full),
        TEST(base_is_read_only),
        TEST(evaluates_what_it_saved),
        TEST(refused_settings),
        TEST(output_is_guarded),
        TEST(broken_weights_leave_nothing),
        TEST(stops_at_loss_not_finite),
        TEST(fails_while_saving),
        TEST(fails_without_labels),
        cmocka_unit_test(llama),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
