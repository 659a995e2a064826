// Adapters with parameters in place of the model's: the same bits at every level of gradient checkpointing, frozen
// and trained, saved and loaded; off, they are the base.
#include "parity/run/common_golden.h"

#include "isa.h"
#include "train/optimiser.h"

static const struct golden_run_options adapted = {.adapter = "adapter"};

static struct golden_run_options options_of(const struct golden_case *c, struct golden_run_options options)
{
    options.device = c->device;
    options.dtype = c->dtype;
    return options;
}

static size_t logit_bytes(const struct golden_run *run)
{
    return (size_t)(run->batch.tokens * run->model->config.vocabulary) * sizeof(float);
}

static void same_gradients_at_each_level(void **state)
{
    static const enum loam_checkpointing levels[] = {LOAM_CHECKPOINT_NONE, LOAM_CHECKPOINT_MLP,
                                                     LOAM_CHECKPOINT_BLOCK};
    const struct golden_case *c = *state;
    struct golden golden;
    float *first = NULL;
    golden_open(&golden, c->golden);
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        struct golden_run run;
        struct golden_run_options options = options_of(c, adapted);
        options.checkpointing = levels[i];
        golden_run_start(&run, &golden, &options);
        (void)golden_run_train(&run, 1 / run.batch.labels.weight);
        float *gradients = golden_run_download(&run, &run.set.gradients);
        if (first == NULL) {
            first = gradients;
        } else {
            assert_memory_equal(gradients, first, loam_tensor_bytes(&run.set.gradients));
            free(gradients);
        }
        golden_run_end(&run);
    }
    free(first);
    golden_close(&golden);
}

static void move(struct golden_run *run)
{
    struct loam_error error;
    struct loam_optimiser optimiser;
    const struct loam_optimiser_settings settings = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
    assert_ok(loam_optimiser_init(&optimiser, &run->set, &settings, &error));
    golden_run_zero_gradients(run);
    (void)golden_run_train(run, 1 / run->batch.labels.weight);
    assert_ok(loam_optimiser_update(&optimiser, 1e-2, &error));
    loam_optimiser_deinit(&optimiser);
}

// The logits of the trained adapter, saved into `directory`.
static float *train_and_save(const struct golden *golden, const struct golden_case *c, const char *directory)
{
    struct loam_error error;
    struct golden_run run;
    const struct golden_run_options options = options_of(c, adapted);
    golden_run_start(&run, golden, &options);
    float *before = golden_run_logits(&run);
    move(&run);
    float *logits = golden_run_logits(&run);
    assert_memory_not_equal(logits, before, logit_bytes(&run));
    assert_ok(loam_adapter_save(run.adapter, "base", NULL, directory, &error));
    golden_run_end(&run);
    free(before);
    return logits;
}

// Trained again, for inference, and with memory of its own for training later.
static void saved_is_loaded(void **state)
{
    const struct golden_case *c = *state;
    struct golden golden;
    char directory[256];
    golden_open(&golden, c->golden);
    assert_non_null(test_make_directory(directory));
    float *expected = train_and_save(&golden, c, directory);
    for (int frozen = 0; frozen < 2; frozen++) {
        struct golden_run run;
        struct golden_run_options options = options_of(c, (struct golden_run_options){.adapter = directory});
        options.frozen = frozen == 1;
        golden_run_start(&run, &golden, &options);
        float *logits = golden_run_logits(&run);
        assert_memory_equal(logits, expected, logit_bytes(&run));
        free(logits);
        golden_run_end(&run);
    }
    free(expected);
    test_remove_directory(directory);
    golden_close(&golden);
}

// Without segments a decoder computes the base, which the adapter never changes.
static void off_is_the_base(void **state)
{
    const struct golden_case *c = *state;
    struct loam_error error;
    struct golden golden;
    struct golden_run base, run;
    golden_open(&golden, c->golden);
    struct golden_run_options options = options_of(c, (struct golden_run_options){0});
    golden_run_start(&base, &golden, &options);
    float *expected = golden_run_logits(&base);
    options = options_of(c, adapted);
    golden_run_start(&run, &golden, &options);
    move(&run);
    float *on = golden_run_logits(&run);
    assert_ok(loam_decoder_adapt(run.decoder, &(struct loam_segments){0}, &error));
    float *off = golden_run_logits(&run);
    assert_memory_equal(off, expected, logit_bytes(&run));
    const struct loam_segments whole = loam_adapter_segments(run.adapter);
    assert_ok(loam_decoder_adapt(run.decoder, &whole, &error));
    float *again = golden_run_logits(&run);
    assert_memory_equal(again, on, logit_bytes(&run));
    free(expected);
    free(on);
    free(off);
    free(again);
    golden_run_end(&base);
    golden_run_end(&run);
    golden_close(&golden);
}

// A batch in which rows would need parameters of their own.
static void whole_batches_alone(void **state)
{
    const struct golden_case *c = *state;
    struct loam_error error;
    struct golden golden;
    struct golden_run run;
    golden_open(&golden, c->golden);
    const struct golden_run_options options = options_of(c, adapted);
    golden_run_start(&run, &golden, &options);
    const int32_t rows = run.batch.tokens, half = rows / 2;
    const struct loam_adapter_slots *slots = loam_adapter_slots(run.adapter);
    const struct {
        struct loam_segment segments[2];
        size_t count;
        bool ok;
    } cases[] = {
        {{{slots, 0, half, 1}, {slots, half, LOAM_ALL_ROWS, 1}}, 2, true},
        {{{slots, 0, rows, 1}, {slots, rows, 0, 1}}, 2, true},
        {{{slots, 0, half, 1}}, 1, false},
        {{{slots, 1, LOAM_ALL_ROWS, 1}}, 1, false},
        {{{slots, 0, LOAM_ALL_ROWS, 0.5f}}, 1, false},
        {{{slots, 0, LOAM_ALL_ROWS, -1}}, 1, false},
        {{{slots, 0, half, 1}, {slots, half - 1, rows - half, 1}}, 2, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct loam_segments segments = {cases[i].segments, cases[i].count};
        float *logits = calloc((size_t)rows * (size_t)run.model->config.vocabulary, sizeof *logits);
        // Each row may go through as many segments as the decoder has adapters: one.
        assert_ok(loam_decoder_adapt(run.decoder, &segments, &error));
        if (cases[i].ok)
            assert_ok(loam_decoder_logits(run.decoder, &run.batch, logits, &error));
        else
            assert_int_equal(loam_decoder_logits(run.decoder, &run.batch, logits, &error),
                             LOAM_ERROR_ARGUMENT);
        free(logits);
    }
    golden_run_end(&run);
    golden_close(&golden);
}

int main(void)
{
    static const char *const names[] = {"modules-embedding",   "modules-head",
                                        "modules-tied",        "modules-copies-tied",
                                        "modules-copies-dora", "modules-copies-tokens"};
    enum { NAMES = sizeof names / sizeof names[0] };
    static const struct {
        const char *name;
        void (*run)(void **state);
    } checks[] = {
        {"levels", same_gradients_at_each_level},
        {"saved", saved_is_loaded},
        {"off", off_is_the_base},
        {"segments", whole_batches_alone},
    };
    enum { CHECKS = sizeof checks / sizeof checks[0] };
    static struct golden_case cases[CHECKS][4 * NAMES];
    static struct CMUnitTest tests[CHECKS * 4 * NAMES];
    for (size_t i = 0; i < CHECKS; i++)
        golden_fill_cases(names, NAMES, cases[i], tests + i * 4 * NAMES, checks[i].name, checks[i].run);
    const int missing = test_level_is_missing();
    return missing != 0 ? missing
                        : _cmocka_run_group_tests("replaced", tests, CHECKS * 4 * NAMES, NULL, NULL);
}
