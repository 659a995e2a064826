// Each part of a plan equals the memory that the run then takes.
#include "run/plan.h"

#include "run/job.h"
#include "test.h"
#include "unit/run/common_fixture.h"

#include <stdint.h>
#include <unistd.h>

enum { PROCESS = 1000 };

struct kind {
    const char *family;
    const char *device;
    enum loam_dtype dtype;
    bool full;
    enum loam_checkpointing checkpointing;
    const char *saved; // modules_to_save
};

static struct loam_train_settings settings_of(const struct fixture *fixture, const struct kind *kind)
{
    struct loam_train_settings settings = fixture_settings(fixture);
    settings.device = kind->device;
    settings.dtype = kind->dtype;
    settings.full = kind->full;
    settings.checkpointing = kind->checkpointing;
    settings.max_length = 80;
    settings.token_budget = 200;
    settings.lora.modules_to_save = kind->saved;
    return settings;
}

static void test_plan_is_what_is_taken(void **state)
{
    struct loam_error error;
    struct fixture fixture;
    const struct kind *kind = *state;
    fixture_make(&fixture, kind->family);
    struct loam_train_settings settings = settings_of(&fixture, kind);
    struct loam_train_job job = {0};
    struct loam_plan plan;
    assert_ok(loam_train_job_open(&job, &settings, NULL, &error));
    assert_ok(loam_plan_make(&plan, &settings, PROCESS, job.order.count, &error));
    assert_ok(loam_train_job_load(&job, &error));

    struct loam_decoder_bytes decoder = loam_decoder_bytes(job.trainer.decoder);
    size_t in_file = 0;
    for (size_t i = 0; i < job.session.model->parameter_count; i++)
        in_file += loam_tensor_bytes(&job.session.model->parameters[i].value);
    assert_int_equal(plan.weights_mapped + (kind->full || kind->dtype == LOAM_BF16 ? in_file : 0), in_file);
    assert_int_equal(plan.weights_converted, job.session.model->arena.capacity);
    assert_int_equal(plan.gradients, loam_tensor_bytes(&job.trainables.gradients));
    const size_t held = loam_adapter_held_bytes(job.adapter);
    assert_int_equal(plan.trained + plan.gradients + plan.optimiser, job.trainables.arena.capacity + held);
    // In bf16 the model reads copies of the f32 values that replace its parameters.
    assert_true((held > 0) == (kind->saved != NULL && kind->dtype == LOAM_BF16));
    assert_int_equal(plan.activations, decoder.step);
    assert_true(plan.activations > 200 * 16 * sizeof(uint16_t));
    assert_int_equal(plan.scratch, decoder.scratch + job.trainer.optimiser.arena.capacity +
                                       job.trainer.optimiser.stream.scratch.capacity);
    assert_true(plan.process > PROCESS);
    assert_int_equal(plan.peak, plan.weights_mapped + plan.weights_converted + plan.trained + plan.gradients +
                                    plan.optimiser + plan.activations + plan.scratch + plan.process);
    assert_int_equal(plan.token_budget, 200);
    assert_int_equal(plan.dtype, kind->dtype);
    loam_train_job_close(&job);
    fixture_remove(&fixture);
}

static void test_config_alone(void **state)
{
    (void)state;
    struct loam_error error;
    struct fixture fixture;
    char path[400];
    struct loam_plan with, without;
    fixture_make(&fixture, "llama");
    struct loam_train_settings settings =
        settings_of(&fixture, &(struct kind){"llama", "cpu", LOAM_F32, false, LOAM_CHECKPOINT_NONE, NULL});
    assert_ok(loam_plan_make(&with, &settings, PROCESS, 0, &error));
    snprintf(path, sizeof path, "%s/model.safetensors", fixture.model);
    assert_int_equal(unlink(path), 0);
    assert_ok(loam_plan_make(&without, &settings, PROCESS, 0, &error));
    with.free = without.free = (struct loam_free_memory){0}; // free memory changes all the time
    assert_memory_equal(&with, &without, sizeof with);
    // The run, unlike the plan, needs the files.
    assert_fails(loam_train_run(&settings, NULL, &error), LOAM_ERROR_IO, "model.safetensors");
    fixture_remove(&fixture);
}

static void test_bad_weights_are_no_plan(void **state)
{
    (void)state;
    struct loam_error error;
    struct fixture fixture;
    char path[400];
    struct loam_plan plan;
    fixture_make(&fixture, "bloom");
    struct loam_train_settings settings = fixture_settings(&fixture);
    snprintf(path, sizeof path, "%s/model.safetensors", fixture.model);
    test_write_file(path, "nothing of the kind", 19);
    assert_fails(loam_plan_make(&plan, &settings, PROCESS, 0, &error), LOAM_ERROR_FORMAT,
                 "model.safetensors");
    fixture_remove(&fixture);
}

// A run that follows the advice is below its limit. A lower limit never gives a larger plan.
static void test_advice(void **state)
{
    (void)state;
    struct loam_error error;
    struct fixture fixture;
    struct loam_plan plan;
    struct loam_plan_advice advice;
    struct loam_plan_limit limit = {.device_bytes = SIZE_MAX};
    fixture_make(&fixture, "bloom");
    struct loam_train_settings settings = fixture_settings(&fixture);
    settings.dtype = LOAM_F32;
    settings.max_length = 8192;
    settings.token_budget = 65536;
    assert_ok(loam_plan_make(&plan, &settings, PROCESS, 0, &error));
    limit.bytes = plan.peak - 1;
    assert_ok(loam_plan_advise(&advice, &settings, PROCESS, 0, &limit, &error));
    assert_true(advice.found);
    assert_string_equal(advice.options, "--token-budget 8192");
    assert_true(advice.plan.peak < plan.peak);

    settings.token_budget = 8192;
    settings.checkpointing = LOAM_CHECKPOINT_MLP;
    limit.bytes = 1;
    assert_ok(loam_plan_advise(&advice, &settings, PROCESS, 0, &limit, &error));
    assert_false(advice.found);
    assert_string_equal(advice.options, "--max-length 128 --token-budget 128 --dtype bf16 "
                                        "--gradient-checkpointing block");
    settings.full = true;
    assert_ok(loam_plan_advise(&advice, &settings, PROCESS, 0, &limit, &error));
    assert_false(advice.found);
    fixture_remove(&fixture);
}

static void test_check(void **state)
{
    (void)state;
    struct loam_error error;
    struct fixture fixture;
    fixture_make(&fixture, "bloom");
    struct loam_train_settings settings = fixture_settings(&fixture);
    settings.memory_limit = 1 << 20;
    assert_fails(loam_train_run(&settings, &fixture.callbacks, &error), LOAM_ERROR_MEMORY, "--memory-limit");
    assert_non_null(strstr(fixture.log, "memory: "));
    assert_false(fixture_has(fixture.out, ""));
    settings.memory_limit = INT64_MAX;
    const struct loam_plan plan = {.free = {1 << 30, "a device"}};
    assert_int_equal(loam_plan_limit(&settings, &plan).bytes, SIZE_MAX);
    assert_ok(loam_train_run(&settings, &fixture.callbacks, &error));
    settings.memory_limit = 0;
    const struct loam_plan_limit limit = loam_plan_limit(&settings, &plan);
    assert_int_equal(limit.bytes, ((size_t)1 << 30) + limit.resident);
    assert_string_equal(limit.by, "a device");
    fixture_remove(&fixture);
}

#define TAKEN(...)                                                                                           \
    {                                                                                                        \
        "taken: " #__VA_ARGS__, test_plan_is_what_is_taken, NULL, NULL, &(struct kind)                       \
        {                                                                                                    \
            __VA_ARGS__                                                                                      \
        }                                                                                                    \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TAKEN("bloom", "ref", LOAM_F32, false, LOAM_CHECKPOINT_NONE, NULL),
        TAKEN("bloom", "cpu", LOAM_F32, false, LOAM_CHECKPOINT_BLOCK, NULL),
        TAKEN("bloom", "cpu", LOAM_BF16, false, LOAM_CHECKPOINT_MLP, NULL),
        TAKEN("bloom", "cpu", LOAM_F32, false, LOAM_CHECKPOINT_NONE, "word_embeddings,ln_f"),
        TAKEN("llama", "cpu", LOAM_BF16, false, LOAM_CHECKPOINT_BLOCK, "lm_head,norm"),
        TAKEN("llama", "cpu", LOAM_F32, true, LOAM_CHECKPOINT_NONE, NULL),
        TAKEN("llama", "cpu", LOAM_BF16, true, LOAM_CHECKPOINT_BLOCK, NULL),
        cmocka_unit_test(test_config_alone),
        cmocka_unit_test(test_bad_weights_are_no_plan),
        cmocka_unit_test(test_advice),
        cmocka_unit_test(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
