// Evaluators and trainers of loam.h.
#include "common_handles.h"

#include <math.h>

#include "base/bytes.h"
#include "base/file.h"

static struct loam_error error;
static const char *const lines[] = {"the cat sat", "a dog", "the cat sat on the mat and slept", "birds sing",
                                    "a dog ran to the house"};

static struct loam_trainer_handle *open_trainer(const struct opened *opened,
                                                struct loam_adapter_handle *const *adapters, size_t count)
{
    struct loam_trainer_handle *trainer;
    struct loam_trainer_config config = LOAM_TRAINER_CONFIG_INIT;
    config.tokens = 64;
    config.sequences = 4;
    config.adapters = adapters;
    config.adapter_count = count;
    assert_ok(loam_trainer_open(&trainer, opened->model, &config, &error));
    return trainer;
}

// One update of the adapters by some of the lines.
static double step(struct loam_trainer_handle *trainer, const struct opened *opened, int32_t first,
                   int32_t count)
{
    struct texts texts;
    int32_t labels = 0;
    for (int32_t i = 0; i < count; i++)
        labels += (int32_t)strlen(lines[first + i]); // and EOS, without the first byte
    texts_pack(&texts, opened, lines + first, count, (float)(1.0 / labels));
    float losses[64];
    double norm = 0, loss = 0;
    assert_ok(loam_trainer_accumulate(trainer, &texts.batch, losses, &error));
    assert_ok(loam_trainer_update(trainer, 1e-2, &norm, &error));
    assert_true(norm > 0);
    for (int32_t t = 0; t < texts.offsets[count]; t++)
        loss += (double)losses[t] / labels;
    return loss;
}

// A program's own loop makes the adapter that `loam train` makes.
static void own_loop_is_the_command(void **state)
{
    (void)state;
    struct opened opened;
    opened_make(&opened, "bloom");
    struct loam_train_settings settings = fixture_settings(&opened.fixture);
    settings.shuffle = false;
    settings.epochs = 2;
    settings.schedule = LOAM_SCHEDULE_CONSTANT;
    assert_ok(loam_train_run(&settings, NULL, &error));
    struct loam_adapter_handle *adapter = opened_adapter(&opened, 42, 0);
    struct loam_trainer_handle *trainer = open_trainer(&opened, &adapter, 1);
    double first = 0, last = 0;
    for (int epoch = 0; epoch < 2; epoch++) {
        last = step(trainer, &opened, 0, 2);
        if (epoch == 0) first = last;
        step(trainer, &opened, 2, 2);
        step(trainer, &opened, 4, 1);
    }
    assert_true(last < first);
    assert_ok(loam_adapter_store(adapter, opened.fixture.adapter, NULL, &error));
    assert_same_file(opened.fixture.out, opened.fixture.adapter, "adapter_model.safetensors");
    loam_trainer_close(trainer);
    loam_adapter_close(adapter);
    opened_remove(&opened);
}

// Sequences of one batch through two adapters and the base: the bits that each gives alone.
static void adapters_by_sequence(void **state)
{
    (void)state;
    struct opened opened;
    opened_make(&opened, "llama");
    struct loam_adapter_handle *adapters[] = {opened_adapter(&opened, 1, 0), opened_adapter(&opened, 2, 0)};
    struct loam_trainer_handle *trainer;
    for (size_t i = 0; i < 2; i++) { // B is no longer zero
        trainer = open_trainer(&opened, &adapters[i], 1);
        step(trainer, &opened, (int32_t)i, 2);
        loam_trainer_close(trainer);
    }
    struct loam_evaluator_handle *evaluator;
    struct loam_evaluator_settings settings = LOAM_EVALUATOR_SETTINGS_INIT;
    settings.tokens = 64;
    settings.sequences = 4;
    settings.adapters = adapters;
    settings.adapter_count = 2;
    assert_ok(loam_evaluator_open(&evaluator, opened.model, &settings, &error));
    struct texts texts, alone;
    float together[64], single[64];
    struct loam_adapter_handle *const mixed[] = {adapters[0], NULL, adapters[1], adapters[0]};
    const char *const same[] = {lines[0], lines[0], lines[0], lines[1]};
    texts_pack(&texts, &opened, same, 4, 1);
    texts.batch.adapters = mixed;
    assert_ok(loam_evaluator_run(evaluator, &texts.batch, together, &error));
    for (int32_t i = 0; i < 4; i++) {
        texts_pack(&alone, &opened, &same[i], 1, 1);
        alone.batch.adapters = &mixed[i];
        assert_ok(loam_evaluator_run(evaluator, &alone.batch, single, &error));
        const int32_t count = alone.offsets[1];
        assert_memory_equal(single, together + texts.offsets[i], (size_t)count * sizeof(float));
        assert_true(single[0] > 0 && single[count - 1] == 0); // the last token predicts none
    }
    assert_true(together[1] != together[texts.offsets[1] + 1]);
    assert_true(together[1] != together[texts.offsets[2] + 1]);
    // Weights choose rows and do not scale them.
    for (int32_t t = 0; t < texts.offsets[4]; t++)
        texts.weights[t] = t == 2 ? 0.25f : 0.0f;
    assert_ok(loam_evaluator_run(evaluator, &texts.batch, single, &error));
    assert_true(single[1] == together[1] && single[2] == 0);
    loam_evaluator_close(evaluator);
    loam_adapter_close(adapters[0]);
    loam_adapter_close(adapters[1]);
    opened_remove(&opened);
}

static void state_goes_on(void **state)
{
    (void)state;
    struct opened opened;
    char directory[400];
    opened_make(&opened, "bloom");
    snprintf(directory, sizeof directory, "%s/state", opened.fixture.directory);
    struct loam_adapter_handle *adapters[] = {opened_adapter(&opened, 1, 0.3),
                                              opened_adapter(&opened, 2, 0.3)};
    struct loam_trainer_handle *trainer = open_trainer(&opened, &adapters[0], 1);
    step(trainer, &opened, 0, 2);
    assert_ok(loam_trainer_write_state(trainer, directory, &error));
    step(trainer, &opened, 2, 2);
    assert_ok(loam_adapter_store(adapters[0], opened.fixture.out, "base", &error));
    loam_trainer_close(trainer);
    trainer = open_trainer(&opened, &adapters[1], 1);
    step(trainer, &opened, 3, 2);
    assert_ok(loam_trainer_read_state(trainer, directory, &error));
    step(trainer, &opened, 2, 2);
    assert_ok(loam_adapter_store(adapters[1], opened.fixture.adapter, "base", &error));
    assert_same_file(opened.fixture.out, opened.fixture.adapter, "adapter_model.safetensors");
    assert_fails(loam_trainer_read_state(trainer, "/nowhere", &error), LOAM_ERROR_IO, "/nowhere");
    loam_trainer_close(trainer);
    trainer = open_trainer(&opened, adapters, 2);
    assert_fails(loam_trainer_read_state(trainer, directory, &error), LOAM_ERROR_ARGUMENT, "1 adapters");
    loam_trainer_close(trainer);
    loam_adapter_close(adapters[0]);
    loam_adapter_close(adapters[1]);
    opened_remove(&opened);
}

// Flips one bit of a file.
static void damage(const char *directory, const char *name, long from_end)
{
    char path[500];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, -from_end, SEEK_END), 0);
    const int byte = fgetc(file);
    assert_int_equal(fseek(file, -from_end, SEEK_END), 0);
    assert_true(fputc(byte ^ 1, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

// A damaged file of a state is refused, and the trainer keeps its values.
static void damaged_state(void **state)
{
    (void)state;
    struct opened opened;
    char directory[400];
    opened_make(&opened, "bloom");
    snprintf(directory, sizeof directory, "%s/state", opened.fixture.directory);
    struct loam_adapter_handle *adapter = opened_adapter(&opened, 1, 0);
    struct loam_trainer_handle *trainer = open_trainer(&opened, &adapter, 1);
    assert_fails(loam_trainer_write_state(trainer, "", &error), LOAM_ERROR_ARGUMENT, "empty");
    assert_ok(loam_trainer_write_state(trainer, directory, &error));
    step(trainer, &opened, 0, 2);
    assert_ok(loam_adapter_store(adapter, opened.fixture.out, "base", &error));
    damage(directory, "adapter-0.safetensors", 2);
    assert_fails(loam_trainer_read_state(trainer, directory, &error), LOAM_ERROR_FORMAT,
                 "adapter-0.safetensors");
    damage(directory, "adapter-0.safetensors", 2); // whole again
    assert_ok(loam_adapter_store(adapter, opened.fixture.adapter, "base", &error));
    assert_same_file(opened.fixture.out, opened.fixture.adapter, "adapter_model.safetensors");
    assert_ok(loam_trainer_read_state(trainer, directory, &error));
    loam_trainer_close(trainer);
    loam_adapter_close(adapter);
    opened_remove(&opened);
}

static void not_finite(void **state)
{
    (void)state;
    struct opened opened;
    struct texts texts;
    float before[64], after[64];
    double norm = 0;
    opened_make(&opened, "bloom");
    struct loam_adapter_handle *adapter = opened_adapter(&opened, 1, 0);
    struct loam_trainer_handle *trainer = open_trainer(&opened, &adapter, 1);
    texts_pack(&texts, &opened, lines, 2, 3e38f);
    assert_ok(loam_trainer_evaluate(trainer, &texts.batch, before, &error));
    assert_ok(loam_trainer_accumulate(trainer, &texts.batch, NULL, &error));
    assert_fails(loam_trainer_update(trainer, 1e-2, &norm, &error), LOAM_ERROR_NUMERIC,
                 "nothing was updated");
    assert_true(!(norm < INFINITY));
    assert_ok(loam_trainer_update(trainer, 1e-2, &norm, &error)); // gradients of zero
    assert_true(norm == 0);
    assert_ok(loam_trainer_evaluate(trainer, &texts.batch, after, &error));
    assert_memory_equal(before, after, (size_t)texts.offsets[2] * sizeof(float));
    assert_fails(loam_trainer_update(trainer, NAN, NULL, &error), LOAM_ERROR_ARGUMENT, "learning rate");
    loam_trainer_close(trainer);
    loam_adapter_close(adapter);
    opened_remove(&opened);
}

static void wrong_batches(void **state)
{
    (void)state;
    struct opened opened;
    struct texts good, bad;
    float losses[64];
    opened_make(&opened, "llama");
    struct loam_adapter_handle *adapters[] = {opened_adapter(&opened, 1, 0), opened_adapter(&opened, 2, 0)};
    struct loam_trainer_handle *trainer = open_trainer(&opened, adapters, 2);
    struct loam_adapter_handle *const chosen[] = {adapters[0], adapters[1], NULL};
    texts_pack(&good, &opened, lines, 3, 1);
    good.batch.adapters = chosen;
    assert_ok(loam_trainer_accumulate(trainer, &good.batch, losses, &error));
#define REFUSED(change, text)                                                                                \
    do {                                                                                                     \
        texts_pack(&bad, &opened, lines, 3, 1);                                                              \
        bad.batch.adapters = chosen;                                                                         \
        change;                                                                                              \
        assert_fails(loam_trainer_accumulate(trainer, &bad.batch, losses, &error), LOAM_ERROR_ARGUMENT,      \
                     text);                                                                                  \
        assert_fails(loam_trainer_evaluate(trainer, &bad.batch, losses, &error), LOAM_ERROR_ARGUMENT, text); \
    } while (0)
    REFUSED(bad.ids[4] = 260, "260");
    REFUSED(bad.ids[4] = -1, "-1");
    REFUSED(bad.weights[4] = -1, "weight");
    REFUSED(bad.weights[4] = NAN, "weight");
    REFUSED(bad.offsets[0] = 1, "first offset");
    REFUSED(bad.offsets[2] = bad.offsets[1], "at least one token");
    REFUSED(bad.offsets[3] = 65, "at most 64");
    REFUSED(bad.batch.sequences = 5, "1 to 4");
    REFUSED(bad.batch.sequences = 0, "1 to 4");
    REFUSED(bad.batch.ids = NULL, "ids is NULL");
    REFUSED(bad.batch.offsets = NULL, "offsets is NULL");
    REFUSED(bad.batch.adapters = NULL, "which sequence takes which");
    REFUSED(bad.batch.size = 0, "sizeof");
    REFUSED(bad.ids[3] = 260, "token 3 of sequence 0 is id 260: expected 0 to 259");
    REFUSED(bad.ids[3] = -1, "id -1");
#undef REFUSED
    struct loam_adapter_handle *other = opened_adapter(&opened, 3, 0);
    struct loam_adapter_handle *const unknown[] = {adapters[0], other, NULL};
    good.batch.adapters = unknown;
    assert_fails(loam_trainer_accumulate(trainer, &good.batch, losses, &error), LOAM_ERROR_ARGUMENT,
                 "sequence 1");
    assert_fails(loam_trainer_accumulate(trainer, NULL, losses, &error), LOAM_ERROR_ARGUMENT, "NULL");
    assert_fails(loam_trainer_accumulate(NULL, &good.batch, losses, &error), LOAM_ERROR_ARGUMENT, "NULL");
    assert_fails(loam_trainer_evaluate(trainer, &good.batch, NULL, &error), LOAM_ERROR_ARGUMENT, "NULL");
    loam_adapter_close(other);
    loam_trainer_close(trainer);
    loam_adapter_close(adapters[0]);
    loam_adapter_close(adapters[1]);
    opened_remove(&opened);
}

static void wrong_configs(void **state)
{
    (void)state;
    struct opened opened;
    opened_make(&opened, "bloom");
    struct loam_adapter_handle *adapter = opened_adapter(&opened, 1, 0);
    struct loam_trainer_handle *trainer, *second;
    struct loam_adapter_handle *const twice[] = {adapter, adapter}, *const none[] = {NULL};
    struct loam_model_handle *another = opened_another_model(&opened);
#define REFUSED(change, text)                                                                                \
    do {                                                                                                     \
        struct loam_trainer_config config = LOAM_TRAINER_CONFIG_INIT;                                        \
        config.tokens = 64;                                                                                  \
        config.sequences = 4;                                                                                \
        config.adapters = &adapter;                                                                          \
        config.adapter_count = 1;                                                                            \
        change;                                                                                              \
        assert_fails(loam_trainer_open(&second, opened.model, &config, &error), LOAM_ERROR_ARGUMENT, text);  \
        assert_null(second);                                                                                 \
    } while (0)
    REFUSED(config.adapter_count = 0, "adapter_count");
    REFUSED(config.adapters = NULL, "list of adapters");
    REFUSED(config.adapters = none, "adapter 0");
    REFUSED((config.adapters = twice, config.adapter_count = 2), "twice");
    REFUSED(config.beta1 = 1, "beta1");
    REFUSED(config.beta2 = -1, "beta2");
    REFUSED(config.epsilon = 0, "epsilon");
    REFUSED(config.weight_decay = NAN, "weight_decay");
    REFUSED(config.max_grad_norm = -1, "max_grad_norm");
    REFUSED(config.checkpointing = "some", "some");
    REFUSED(config.tokens = 0, "tokens is 0");
    REFUSED(config.sequences = -1, "sequences is -1");
    trainer = open_trainer(&opened, &adapter, 1);
    REFUSED((void)config, "has a trainer already");
    loam_trainer_close(trainer);
    trainer = open_trainer(&opened, &adapter, 1); // and has none any more
    loam_trainer_close(trainer);
    struct loam_model_handle *own = opened.model;
    opened.model = another;
    REFUSED((void)config, "another model");
    opened.model = own;
#undef REFUSED
    loam_model_close(another);
    loam_adapter_close(adapter);
    opened_remove(&opened);
}

// A trainer and an evaluator keep what they need, whatever is closed before them.
static void closed_in_any_order(void **state)
{
    (void)state;
    for (int order = 0; order < 4; order++) {
        struct opened opened;
        opened_make(&opened, "bloom");
        struct loam_adapter_handle *adapter = opened_adapter(&opened, 1, 0);
        struct loam_trainer_handle *trainer = open_trainer(&opened, &adapter, 1);
        struct loam_evaluator_handle *evaluator;
        struct loam_evaluator_settings settings = LOAM_EVALUATOR_SETTINGS_INIT;
        settings.tokens = 64;
        settings.sequences = 4;
        settings.adapters = &adapter;
        settings.adapter_count = 1;
        assert_ok(loam_evaluator_open(&evaluator, opened.model, &settings, &error));
        loam_device_close(opened.device);
        if (order % 2 == 0) loam_adapter_close(adapter);
        loam_model_close(opened.model);
        opened.device = NULL;
        opened.model = NULL;
        struct texts texts;
        float losses[64];
        texts_pack(&texts, &opened, lines, 2, 1);
        if (order < 2) {
            step(trainer, &opened, 0, 2);
            loam_trainer_close(trainer);
        }
        assert_ok(loam_evaluator_run(evaluator, &texts.batch, losses, &error));
        loam_evaluator_close(evaluator);
        if (order >= 2) {
            step(trainer, &opened, 0, 2);
            loam_trainer_close(trainer);
        }
        if (order % 2 == 1) loam_adapter_close(adapter);
        opened_remove(&opened);
    }
}

// An adapter keeps the f32 values that a trainer moved, also where the model reads them in bf16.
static void replaced_values_stay(void **state)
{
    (void)state;
    struct opened opened;
    opened_make(&opened, "llama");
    loam_model_close(opened.model);
    struct loam_model_settings settings = LOAM_MODEL_SETTINGS_INIT;
    settings.directory = opened.fixture.model;
    settings.dtype = "bf16";
    assert_ok(loam_model_open(&opened.model, opened.device, &settings, &error));
    struct loam_lora_config config = LOAM_LORA_CONFIG_INIT;
    struct loam_adapter_handle *adapter, *loaded;
    config.modules_to_save = "norm";
    config.bias = "some";
    assert_fails(loam_adapter_make(&adapter, opened.model, &config, &error), LOAM_ERROR_ARGUMENT,
                 "expected none, all or lora_only");
    config.bias = "all";
    assert_ok(loam_adapter_make(&adapter, opened.model, &config, &error));
    for (int round = 0; round < 2; round++) {
        struct loam_trainer_handle *trainer = open_trainer(&opened, &adapter, 1);
        step(trainer, &opened, 0, 2);
        assert_ok(loam_adapter_store(adapter, opened.fixture.adapter, NULL, &error));
        loam_trainer_close(trainer);
        assert_ok(loam_adapter_store(adapter, opened.fixture.out, NULL, &error));
        assert_same_file(opened.fixture.adapter, opened.fixture.out, "adapter_model.safetensors");
        assert_ok(loam_adapter_load(&loaded, opened.model, opened.fixture.adapter, NULL, &error));
        loam_adapter_close(adapter);
        adapter = loaded;
        assert_ok(loam_adapter_store(adapter, opened.fixture.out, NULL, &error));
        assert_same_file(opened.fixture.adapter, opened.fixture.out, "adapter_model.safetensors");
    }
    loam_adapter_close(adapter);
    opened_remove(&opened);
}

// In f16 the loss has a factor, which a state keeps. Gradients that it makes too large change nothing but the factor.
static void f16_has_a_scale(void **state)
{
    (void)state;
    struct opened opened;
    struct texts texts;
    struct loam_bytes text = {0};
    char directory[400], path[500];
    double norm = 0;
    opened_make(&opened, "llama");
    loam_model_close(opened.model);
    struct loam_model_settings settings = LOAM_MODEL_SETTINGS_INIT;
    settings.directory = opened.fixture.model;
    settings.dtype = "f16";
    assert_ok(loam_model_open(&opened.model, opened.device, &settings, &error));
    snprintf(directory, sizeof directory, "%s/state", opened.fixture.directory);
    snprintf(path, sizeof path, "%s/trainer.json", directory);
    struct loam_adapter_handle *adapters[] = {opened_adapter(&opened, 1, 0), opened_adapter(&opened, 2, 0)};
    struct loam_trainer_handle *trainer = open_trainer(&opened, &adapters[0], 1);
    const double first = step(trainer, &opened, 0, 2);
    texts_pack(&texts, &opened, lines, 2, 1e4f);
    assert_ok(loam_trainer_accumulate(trainer, &texts.batch, NULL, &error));
    assert_fails(loam_trainer_update(trainer, 1e-2, &norm, &error), LOAM_ERROR_NUMERIC,
                 "the scale of the loss is 32768 now");
    assert_true(step(trainer, &opened, 0, 2) < first);
    assert_ok(loam_trainer_write_state(trainer, directory, &error));
    assert_ok(loam_file_read(path, SIZE_MAX, &text, &error));
    assert_ok(loam_bytes_append(&text, "", 1, &error));
    assert_non_null(strstr(text.data, "\"loss_factor\": 32768.0"));
    assert_non_null(strstr(text.data, "\"good_steps\": 1"));
    loam_bytes_deinit(&text);
    step(trainer, &opened, 2, 2);
    assert_ok(loam_adapter_store(adapters[0], opened.fixture.out, "base", &error));
    loam_trainer_close(trainer);
    trainer = open_trainer(&opened, &adapters[1], 1);
    assert_ok(loam_trainer_read_state(trainer, directory, &error));
    step(trainer, &opened, 2, 2);
    assert_ok(loam_adapter_store(adapters[1], opened.fixture.adapter, "base", &error));
    assert_same_file(opened.fixture.out, opened.fixture.adapter, "adapter_model.safetensors");
    loam_trainer_close(trainer);
    loam_adapter_close(adapters[0]);
    loam_adapter_close(adapters[1]);
    opened_remove(&opened);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaced_values_stay), cmocka_unit_test(own_loop_is_the_command),
        cmocka_unit_test(adapters_by_sequence), cmocka_unit_test(state_goes_on),
        cmocka_unit_test(not_finite),           cmocka_unit_test(wrong_batches),
        cmocka_unit_test(wrong_configs),        cmocka_unit_test(closed_in_any_order),
        cmocka_unit_test(damaged_state),        cmocka_unit_test(f16_has_a_scale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
