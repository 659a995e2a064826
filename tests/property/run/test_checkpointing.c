// Gradient checkpointing changes only memory: losses, gradients and adapters are the same bit for bit.
#include "parity/run/common_golden.h"
#include "unit/run/common_fixture.h"

#include <sys/stat.h>

// ---- one backward ----

struct backward {
    double loss;
    float *gradients;
    size_t step_bytes;
};

static const enum loam_checkpointing levels[] = {LOAM_CHECKPOINT_NONE, LOAM_CHECKPOINT_MLP,
                                                 LOAM_CHECKPOINT_BLOCK};
enum { LEVELS = sizeof levels / sizeof levels[0] };

static struct backward run_backward(const struct golden *golden, struct golden_run_options options,
                                    enum loam_checkpointing level)
{
    struct golden_run run;
    struct backward result;
    options.checkpointing = level;
    golden_run_start(&run, golden, &options);
    result.loss = golden_run_train(&run, 1 / run.batch.labels.weight);
    // Twice, so that a result that depends on memory left by the first pass is found.
    result.loss += golden_run_train(&run, 1 / run.batch.labels.weight);
    result.gradients = golden_run_download(&run, &run.set.gradients);
    result.step_bytes = loam_decoder_bytes(run.decoder).step;
    golden_run_end(&run);
    return result;
}

static void same_backward(const struct golden_case *c, struct golden_run_options options)
{
    struct golden golden;
    struct golden_run run;
    struct backward results[LEVELS];
    golden_open(&golden, c->golden);
    options.device = c->device;
    options.dtype = c->dtype;
    golden_run_start(&run, &golden, &options);
    size_t bytes = loam_tensor_bytes(&run.set.gradients);
    const bool plain = golden_is_plain(run.model);
    golden_run_end(&run);
    for (int i = 0; i < LEVELS; i++)
        results[i] = run_backward(&golden, options, levels[i]);
    assert_true(results[0].loss > 1);
    for (int i = 1; i < LEVELS; i++) {
        assert_memory_equal(&results[i].loss, &results[0].loss, sizeof results[0].loss);
        assert_memory_equal(results[i].gradients, results[0].gradients, bytes);
        // In some goldens of other families the loss needs the most memory, and not the layers.
        const size_t before = results[i - 1].step_bytes;
        assert_true(plain ? results[i].step_bytes < before : results[i].step_bytes <= before);
    }
    for (int i = 0; i < LEVELS; i++)
        free(results[i].gradients);
    golden_close(&golden);
}

static void same_gradients_of_an_adapter(void **state)
{
    struct loam_lora_settings lora = {
        .rank = 4, .alpha = 8, .dropout = 0.3, .init = "gaussian", .target_modules = "all-linear"};
    same_backward(*state, (struct golden_run_options){.lora = &lora});
}

static void same_gradients_of_the_model(void **state)
{
    same_backward(*state, (struct golden_run_options){.full = true});
}

// ---- whole runs ----

// At least three layers, and a batch that is split into micro-batches.
enum { LAYERS = 4, TOKEN_BUDGET = 40 };

struct kind {
    const char *family;
    const char *device;
    enum loam_dtype dtype;
    bool full;
    const char *targets; // NULL: the family's
};

static void deepen(struct fixture *fixture)
{
    struct loam_error error;
    struct loam_config config;
    struct loam_model *model;
    char path[400];
    char *text = fixture_read(fixture->model, "config.json", NULL);
    assert_non_null(text);
    char *layers = strstr(text, "layer\": 2");
    if (layers == NULL) layers = strstr(text, "layers\": 2");
    assert_non_null(layers);
    *strchr(layers, '2') = '0' + LAYERS;
    snprintf(path, sizeof path, "%s/config.json", fixture->model);
    test_write_file(path, text, strlen(text));
    free(text);
    assert_ok(loam_config_load(&config, fixture->model, &error));
    assert_int_equal(config.layers, LAYERS);
    assert_ok(loam_model_create(&model, &config, &error));
    assert_ok(loam_model_init_checkpoint(model, 3, LOAM_F32, fixture->model, NULL, &error));
    loam_model_destroy(model);
}

// Trains to fixture->out, and returns the contents of the weights file.
static char *train(struct fixture *fixture, const struct kind *kind, enum loam_checkpointing level,
                   size_t *size)
{
    struct loam_error error;
    struct loam_train_settings settings = fixture_settings(fixture);
    settings.device = kind->device;
    settings.threads = 1;
    settings.dtype = kind->dtype;
    settings.full = kind->full;
    settings.lora.dropout = kind->full ? 0 : 0.2;
    settings.lora.target_modules = kind->targets;
    settings.learning_rate = 1e-2;
    settings.max_length = TOKEN_BUDGET;
    settings.token_budget = TOKEN_BUDGET;
    settings.batch_size = 2;
    settings.accumulation = 2;
    settings.max_steps = 5;
    settings.logging_steps = 1;
    settings.overwrite = true;
    settings.checkpointing = level;
    fixture_clear(fixture);
    assert_ok(loam_train_run(&settings, &fixture->callbacks, &error));
    return fixture_read(fixture->out, kind->full ? "model.safetensors" : "adapter_model.safetensors", size);
}

static void same_run(void **state)
{
    const struct kind *kind = *state;
    struct fixture fixture;
    struct loam_event events[FIXTURE_MAX_EVENTS];
    fixture_make(&fixture, kind->family);
    deepen(&fixture);
    size_t size, other_size;
    char *file = train(&fixture, kind, LOAM_CHECKPOINT_NONE, &size);
    assert_non_null(file);
    size_t count = fixture.event_count, steps = 0;
    memcpy(events, fixture.events, count * sizeof *events);
    for (int level = 1; level < LEVELS; level++) {
        char *other = train(&fixture, kind, levels[level], &other_size);
        assert_int_equal(other_size, size);
        assert_memory_equal(other, file, size);
        assert_int_equal(fixture.event_count, count);
        for (size_t i = 0; i < count; i++) {
            if (events[i].kind != LOAM_EVENT_STEP) continue;
            steps++;
            assert_true(events[i].loss > 0 && events[i].grad_norm > 0);
            assert_memory_equal(&fixture.events[i].loss, &events[i].loss, sizeof(double));
            assert_memory_equal(&fixture.events[i].grad_norm, &events[i].grad_norm, sizeof(double));
        }
        free(other);
    }
    assert_int_equal(steps, 2 * 5);
    free(file);
    fixture_remove(&fixture);
}

int main(void)
{
    static struct golden_case cases[2][GOLDEN_CASES];
    static struct kind kinds[] = {
        {"bloom", "ref", LOAM_F32, false, NULL},
        {"bloom", "cpu", LOAM_F32, false, NULL},
        {"bloom", "cpu", LOAM_BF16, false, "all-linear"},
        {"bloom", "cpu", LOAM_F32, true, NULL},
        {"bloom", "cpu", LOAM_BF16, true, NULL},
        {"llama", "ref", LOAM_F32, false, "all-linear"},
        {"llama", "cpu", LOAM_F32, false, "all-linear"},
        {"llama", "cpu", LOAM_BF16, false, NULL},
        {"llama", "cpu", LOAM_F32, true, NULL},
        {"llama", "cpu", LOAM_F32, false, "down_proj"},
        {"bloom", "cpu", LOAM_F32, false, ".*\\.h\\.[23]\\..*dense_h_to_4h"},
    };
    enum { RUNS = sizeof kinds / sizeof kinds[0] };
    struct CMUnitTest tests[2 * GOLDEN_CASES + RUNS];
    static char names[RUNS][96];
    golden_cases(cases[0], tests, "adapter", same_gradients_of_an_adapter);
    golden_cases(cases[1], tests + GOLDEN_CASES, "model", same_gradients_of_the_model);
    for (int i = 0; i < RUNS; i++) {
        const struct kind *kind = &kinds[i];
        snprintf(names[i], sizeof names[i], "run: %s %s %s %s", kind->family, kind->device,
                 loam_dtype_name(kind->dtype),
                 kind->full              ? "full"
                 : kind->targets != NULL ? kind->targets
                                         : "default targets");
        tests[2 * GOLDEN_CASES + i] =
            (struct CMUnitTest){.name = names[i], .test_func = same_run, .initial_state = &kinds[i]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
