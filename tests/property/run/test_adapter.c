// An adapter and its base: a fresh adapter has no effect, a saved one loads unchanged, the base never
// changes.
#include "parity/run/common_golden.h"

#include "train/optimiser.h"

static const struct loam_lora_settings all_linear = {
    .rank = 4, .alpha = 8, .target_modules = "all-linear", .init = "gaussian"};

static float *logits_of(const struct golden *golden, const struct golden_run_options *options, size_t *bytes)
{
    struct golden_run run;
    golden_run_start(&run, golden, options);
    float *logits = golden_run_logits(&run);
    *bytes = (size_t)(run.batch.tokens * run.model->config.vocabulary) * sizeof(float);
    golden_run_end(&run);
    return logits;
}

// B starts at zero, so the first forward equals the base bit for bit.
static void test_start_is_base(void **state)
{
    const struct golden_case *c = *state;
    struct golden golden;
    size_t bytes;
    golden_open(&golden, c->golden);
    struct golden_run_options plain = {.device = c->device, .dtype = c->dtype};
    struct golden_run_options adapted = {.device = c->device, .dtype = c->dtype, .lora = &all_linear};
    float *base = logits_of(&golden, &plain, &bytes);
    float *fresh = logits_of(&golden, &adapted, &bytes);
    assert_memory_equal(fresh, base, bytes);
    free(base);
    free(fresh);
    golden_close(&golden);
}

static void train_steps(struct golden_run *run, int steps)
{
    struct loam_error error;
    struct loam_optimiser optimiser;
    struct loam_optimiser_settings settings = {
        .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .max_grad_norm = 1};
    assert_ok(loam_optimiser_init(&optimiser, &run->set, &settings, &error));
    for (int step = 0; step < steps; step++) {
        double norm;
        assert_ok(loam_optimiser_zero_gradients(&optimiser, &error));
        golden_run_train(run, 1 / run->batch.labels.weight);
        assert_ok(loam_optimiser_gradient_norm(&optimiser, &norm, &error));
        assert_ok(loam_optimiser_update(&optimiser, 1e-2, &error));
    }
    loam_optimiser_deinit(&optimiser);
}

static void check_loads_the_same(const struct golden *golden, const struct golden_case *c,
                                 const char *directory, const float *expected)
{
    for (int frozen = 0; frozen < 2; frozen++) {
        struct golden_run_options options = {
            .device = c->device, .dtype = c->dtype, .adapter = directory, .frozen = frozen == 1};
        size_t bytes;
        float *logits = logits_of(golden, &options, &bytes);
        assert_memory_equal(logits, expected, bytes);
        free(logits);
    }
}

// A trained adapter that is saved and loaded, for use or for training, gives the same logits bit for bit.
static void test_saved_is_loaded(void **state)
{
    const struct golden_case *c = *state;
    struct loam_error error;
    struct golden golden;
    struct golden_run run;
    char directory[256];
    golden_open(&golden, c->golden);
    struct golden_run_options options = {.device = c->device, .dtype = c->dtype, .lora = &all_linear};
    assert_non_null(test_make_directory(directory));
    golden_run_start(&run, &golden, &options);
    size_t bytes = (size_t)(run.batch.tokens * run.model->config.vocabulary) * sizeof(float);
    float *before = golden_run_logits(&run);
    train_steps(&run, 3);
    float *after = golden_run_logits(&run);
    assert_memory_not_equal(before, after, bytes);
    assert_ok(loam_adapter_save(run.adapter, "base", NULL, directory, &error));
    golden_run_end(&run);
    check_loads_the_same(&golden, c, directory, after);
    free(before);
    free(after);
    test_remove_directory(directory);
    golden_close(&golden);
}

// Copies all parameters of the base into one array, released with free().
static uint8_t *copy_parameters(const struct golden_run *run, size_t *bytes)
{
    struct loam_error error;
    struct loam_stream stream;
    const struct loam_model *model = run->model;
    *bytes = 0;
    for (size_t i = 0; i < model->parameter_count; i++)
        *bytes += loam_tensor_bytes(&model->parameters[i].value);
    uint8_t *copy = malloc(*bytes);
    uint8_t *next = copy;
    assert_non_null(copy);
    assert_ok(loam_stream_init(&stream, run->device, 0, &error));
    for (size_t i = 0; i < model->parameter_count; i++) {
        const struct loam_tensor *value = &model->parameters[i].value;
        loam_download(&stream, next, value->data, loam_tensor_bytes(value));
        next += loam_tensor_bytes(value);
    }
    assert_ok(loam_stream_finish(&stream, &error));
    loam_stream_deinit(&stream);
    return copy;
}

static void test_base_is_untouched(void **state)
{
    const struct golden_case *c = *state;
    struct golden golden;
    struct golden_run run;
    size_t bytes;
    golden_open(&golden, c->golden);
    struct golden_run_options options = {.device = c->device, .dtype = c->dtype, .adapter = "adapter"};
    golden_run_start(&run, &golden, &options);
    uint8_t *before = copy_parameters(&run, &bytes);
    train_steps(&run, 3);
    uint8_t *after = copy_parameters(&run, &bytes);
    // Every parameter was copied, in two bytes at least.
    assert_true(bytes >= 2 * (size_t)loam_model_parameter_total(run.model));
    assert_memory_equal(after, before, bytes);
    free(before);
    free(after);
    golden_run_end(&run);
    golden_close(&golden);
}

int main(void)
{
    static struct golden_case cases[3][GOLDEN_CASES];
    struct CMUnitTest tests[3 * GOLDEN_CASES];
    golden_cases(cases[0], tests, "B = 0 is the base", test_start_is_base);
    golden_cases(cases[1], tests + GOLDEN_CASES, "saved = loaded", test_saved_is_loaded);
    golden_cases(cases[2], tests + 2 * GOLDEN_CASES, "base untouched", test_base_is_untouched);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
