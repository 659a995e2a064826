// Devices, models, tokenizers, adapters and plans of loam.h.
#include "common_handles.h"

static struct loam_error error;

static void devices(void **state)
{
    (void)state;
    struct loam_device_handle *device = (void *)&error;
    struct loam_device_info info = LOAM_DEVICE_INFO_INIT;
    assert_int_equal(loam_abi_version(), LOAM_ABI_VERSION);
    assert_fails(loam_device_open(&device, "abacus", 1, &error), LOAM_ERROR_ARGUMENT, "abacus");
    assert_null(device);
    assert_fails(loam_device_open(&device, "ref", -1, &error), LOAM_ERROR_ARGUMENT, "threads");
    assert_fails(loam_device_open(NULL, "ref", 1, &error), LOAM_ERROR_ARGUMENT, "NULL");
    assert_fails(loam_device_describe(NULL, &info, &error), LOAM_ERROR_ARGUMENT, "NULL");
    assert_ok(loam_device_open(&device, NULL, 1, &error));
    assert_ok(loam_device_describe(device, &info, &error));
    assert_string_equal(info.name, "cpu");
    assert_int_equal(info.threads, 1);
    assert_true(info.free_memory > 1 << 20);
    loam_device_close(device);
    loam_device_close(NULL);
}

// A struct of a newer or an older program.
static void sized_structs(void **state)
{
    (void)state;
    struct loam_device_handle *device;
    struct {
        struct loam_device_info info;
        int64_t newer[2];
    } large = {.newer = {7, 7}};
    struct loam_device_info info = {0};
    struct loam_model_handle *model;
    struct {
        struct loam_model_settings settings;
        int64_t newer;
    } settings = {.newer = 0};
    assert_ok(loam_device_open(&device, "ref", 1, &error));
    assert_fails(loam_device_describe(device, &info, &error), LOAM_ERROR_ARGUMENT, "sizeof");
    info.size = SIZE_MAX; // garbage: no struct is so large
    assert_fails(loam_device_describe(device, &info, &error), LOAM_ERROR_ARGUMENT, "sizeof");
    large.info.size = sizeof large;
    assert_ok(loam_device_describe(device, &large.info, &error));
    assert_int_equal(large.info.size, sizeof large);
    assert_string_equal(large.info.name, "ref");
    assert_true(large.newer[0] == 0 && large.newer[1] == 0);
    info.threads = 99;
    info.size = offsetof(struct loam_device_info, level);
    assert_ok(loam_device_describe(device, &info, &error));
    assert_string_equal(info.name, "ref");
    assert_int_equal(info.threads, 99); // beyond the size that it gave
    settings.settings.size = sizeof settings;
    settings.settings.directory = "/nowhere";
    assert_fails(loam_model_open(&model, device, &settings.settings, &error), LOAM_ERROR_IO, "/nowhere");
    settings.newer = 1;
    assert_fails(loam_model_open(&model, device, &settings.settings, &error), LOAM_ERROR_UNSUPPORTED,
                 "does not know");
    settings.settings.size = offsetof(struct loam_model_settings, directory);
    assert_fails(loam_model_open(&model, device, &settings.settings, &error), LOAM_ERROR_ARGUMENT,
                 "directory is NULL");
    loam_device_close(device);
}

static void models(void **state)
{
    (void)state;
    struct opened opened;
    struct loam_model_handle *model;
    struct loam_model_settings settings = LOAM_MODEL_SETTINGS_INIT;
    struct loam_model_info info = LOAM_MODEL_INFO_INIT;
    opened_make(&opened, "llama");
    assert_ok(loam_model_describe(opened.model, &info, &error));
    assert_string_equal(info.family, "llama");
    assert_string_equal(info.dtype, "f32");
    assert_int_equal(info.vocabulary, 260);
    assert_int_equal(info.hidden, 16);
    assert_int_equal(info.layers, 2);
    assert_int_equal(info.max_positions, 96);
    // Embedding and head, 2 layers of q, k, v, o, gate, up, down and two norms, the last norm.
    assert_int_equal(info.parameters, 2 * 260 * 16 + 2 * (16 * 16 * 2 + 8 * 16 * 2 + 3 * 24 * 16 + 32) + 16);
    assert_fails(loam_model_open(&model, opened.device, &settings, &error), LOAM_ERROR_ARGUMENT, "directory");
    settings.directory = opened.fixture.model;
    assert_fails(loam_model_open(&model, NULL, &settings, &error), LOAM_ERROR_ARGUMENT, "device is NULL");
    assert_fails(loam_model_open(&model, opened.device, NULL, &error), LOAM_ERROR_ARGUMENT, "NULL");
    settings.dtype = "f64";
    assert_fails(loam_model_open(&model, opened.device, &settings, &error), LOAM_ERROR_ARGUMENT, "f64");
    assert_null(model);
    opened_remove(&opened);
    opened_make(&opened, "bloom");
    assert_ok(loam_model_describe(opened.model, &info, &error));
    assert_int_equal(info.max_positions, 0); // ALiBi
    opened_remove(&opened);
}

static void tokenizers(void **state)
{
    (void)state;
    struct opened opened;
    struct loam_tokenizer_handle *tokenizer;
    struct loam_tokenizer_info info = LOAM_TOKENIZER_INFO_INIT;
    int32_t ids[8] = {0};
    char text[8];
    size_t count, size;
    opened_make(&opened, "bloom");
    assert_ok(loam_tokenizer_describe(opened.tokenizer, &info, &error));
    assert_int_equal(info.vocabulary, 260);
    assert_true(info.bos == 1 && info.eos == 2 && info.pad == 3);
    assert_int_equal(info.end_count, 1);
    assert_int_equal(info.end_ids[0], 2);
    assert_ok(loam_text_encode(opened.tokenizer, "abc", 3, LOAM_TEXT_PLAIN, ids, 8, &count, &error));
    assert_int_equal(count, 3);
    assert_true(ids[0] == 4 + 'a' && ids[1] == 4 + 'b' && ids[2] == 4 + 'c' && ids[3] == 0);
    assert_ok(loam_text_encode(opened.tokenizer, "abc", 3, LOAM_TEXT_EXAMPLE, ids, 8, &count, &error));
    assert_int_equal(count, 4);
    assert_int_equal(ids[3], 2);
    ids[1] = -7;
    assert_ok(loam_text_encode(opened.tokenizer, "abc", 3, LOAM_TEXT_PROMPT, ids, 1, &count, &error));
    assert_int_equal(count, 3); // of which one has room
    assert_int_equal(ids[1], -7);
    assert_ok(loam_text_encode(opened.tokenizer, NULL, 0, LOAM_TEXT_PLAIN, NULL, 0, &count, &error));
    assert_int_equal(count, 0);
    assert_fails(loam_text_encode(opened.tokenizer, "a\xff", 2, LOAM_TEXT_PLAIN, ids, 8, &count, &error),
                 LOAM_ERROR_FORMAT, "UTF-8");
    assert_fails(loam_text_encode(opened.tokenizer, NULL, 2, LOAM_TEXT_PLAIN, ids, 8, &count, &error),
                 LOAM_ERROR_ARGUMENT, "NULL");
    assert_fails(loam_text_encode(NULL, "a", 1, LOAM_TEXT_PLAIN, ids, 8, &count, &error), LOAM_ERROR_ARGUMENT,
                 "NULL");
    const int32_t hello[] = {4 + 'h', 4 + 'e', 2, 4 + 'y'};
    assert_ok(loam_text_decode(opened.tokenizer, hello, 4, true, text, sizeof text, &size, &error));
    assert_string_equal(text, "hey");
    assert_int_equal(size, 3);
    assert_ok(loam_text_decode(opened.tokenizer, hello, 4, true, text, 2, &size, &error));
    assert_string_equal(text, "h");
    assert_int_equal(size, 3);
    assert_ok(loam_text_decode(opened.tokenizer, hello, 4, true, NULL, 0, &size, &error));
    assert_int_equal(size, 3);
    const int32_t beyond = 260;
    assert_fails(loam_text_decode(opened.tokenizer, &beyond, 1, true, text, 8, &size, &error),
                 LOAM_ERROR_ARGUMENT, "260");
    assert_fails(loam_tokenizer_open(&tokenizer, "/nowhere", &error), LOAM_ERROR_IO, "/nowhere");
    assert_null(tokenizer);
    opened_remove(&opened);
}

// What the _INIT macros set is what the options of the commands default to.
static void defaults(void **state)
{
    (void)state;
    const struct loam_lora_config lora = LOAM_LORA_CONFIG_INIT;
    const struct loam_trainer_config trainer = LOAM_TRAINER_CONFIG_INIT;
    const struct loam_prompt_settings prompt = LOAM_PROMPT_SETTINGS_INIT;
    const struct {
        enum loam_command command;
        const char *option;
        double value;
    } rows[] = {{LOAM_COMMAND_TRAIN, "lora-r", lora.rank},
                {LOAM_COMMAND_TRAIN, "lora-alpha", lora.alpha},
                {LOAM_COMMAND_TRAIN, "lora-dropout", lora.dropout},
                {LOAM_COMMAND_TRAIN, "seed", (double)lora.seed},
                {LOAM_COMMAND_TRAIN, "seed", (double)trainer.seed},
                {LOAM_COMMAND_TRAIN, "adam-beta1", trainer.beta1},
                {LOAM_COMMAND_TRAIN, "adam-beta2", trainer.beta2},
                {LOAM_COMMAND_TRAIN, "adam-epsilon", trainer.epsilon},
                {LOAM_COMMAND_TRAIN, "weight-decay", trainer.weight_decay},
                {LOAM_COMMAND_TRAIN, "max-grad-norm", trainer.max_grad_norm},
                {LOAM_COMMAND_GENERATE, "max-new-tokens", prompt.max_new_tokens},
                {LOAM_COMMAND_GENERATE, "temperature", prompt.temperature},
                {LOAM_COMMAND_GENERATE, "top-k", prompt.top_k},
                {LOAM_COMMAND_GENERATE, "top-p", prompt.top_p},
                {LOAM_COMMAND_GENERATE, "repetition-penalty", prompt.repetition_penalty},
                {LOAM_COMMAND_GENERATE, "seed", (double)prompt.seed}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct loam_option_info *info = loam_option_find(rows[i].command, rows[i].option);
        assert_non_null(info);
        if (strtod(info->default_text, NULL) != rows[i].value)
            fail_msg("--%s defaults to %s, the macro to %g", rows[i].option, info->default_text,
                     rows[i].value);
    }
}

static void adapters(void **state)
{
    (void)state;
    struct opened opened;
    struct loam_adapter_handle *made, *loaded, *none;
    struct loam_adapter_info info = LOAM_ADAPTER_INFO_INIT;
    struct loam_lora_config config = LOAM_LORA_CONFIG_INIT;
    opened_make(&opened, "bloom");
    made = opened_adapter(&opened, 7, 0.25);
    assert_ok(loam_adapter_describe(made, &info, &error));
    assert_int_equal(info.rank, 4);
    assert_int_equal(info.parameters, 2 * 4 * (16 + 48)); // query_key_value of two layers
    assert_true(info.alpha == 8 && info.dropout == 0.25);
    assert_ok(loam_adapter_store(made, opened.fixture.adapter, "base", &error));
    assert_ok(loam_adapter_load(&loaded, opened.model, opened.fixture.adapter, NULL, &error));
    assert_ok(loam_adapter_store(loaded, opened.fixture.out, "base", &error));
    assert_same_file(opened.fixture.adapter, opened.fixture.out, "adapter_model.safetensors");
    assert_same_file(opened.fixture.adapter, opened.fixture.out, "adapter_config.json");
    config.init = "ones";
    assert_fails(loam_adapter_make(&none, opened.model, &config, &error), LOAM_ERROR_ARGUMENT, "ones");
    config.init = NULL;
    config.rank = 0;
    assert_fails(loam_adapter_make(&none, opened.model, &config, &error), LOAM_ERROR_ARGUMENT, "rank");
    config.rank = 2;
    config.target_modules = "no_such_module";
    assert_fails(loam_adapter_make(&none, opened.model, &config, &error), LOAM_ERROR_ARGUMENT,
                 "no_such_module");
    assert_null(none);
    assert_fails(loam_adapter_load(&none, opened.model, "/nowhere", NULL, &error), LOAM_ERROR_IO, "/nowhere");
    assert_fails(loam_adapter_make(&none, NULL, &config, &error), LOAM_ERROR_ARGUMENT, "NULL");
    assert_fails(loam_adapter_store(NULL, "/tmp", NULL, &error), LOAM_ERROR_ARGUMENT, "NULL");
    assert_fails(loam_adapter_store(made, "", NULL, &error), LOAM_ERROR_ARGUMENT, "empty");
    assert_fails(loam_adapter_load(&none, opened.model, "", NULL, &error), LOAM_ERROR_ARGUMENT, "empty");
    char unwritten[400];
    snprintf(unwritten, sizeof unwritten, "%s/unwritten", opened.fixture.directory);
    assert_fails(loam_adapter_store(made, unwritten, "caf\xe9", &error), LOAM_ERROR_ARGUMENT, "UTF-8");
    assert_false(fixture_has(opened.fixture.directory, "unwritten"));
    assert_int_equal(loam_adapter_load(&none, opened.model, "/nowhere", NULL, NULL), LOAM_ERROR_IO);
    loam_adapter_close(loaded);
    loam_adapter_close(made);
    loam_adapter_close(NULL);
    opened_remove(&opened);
}

static void plans(void **state)
{
    (void)state;
    struct opened opened;
    struct loam_plan_settings settings = LOAM_PLAN_SETTINGS_INIT;
    struct loam_memory_plan alone = LOAM_MEMORY_PLAN_INIT, trained = alone, all = alone, larger = alone;
    const struct loam_lora_config lora = LOAM_LORA_CONFIG_INIT;
    opened_make(&opened, "bloom");
    settings.dtype = "f32";
    assert_fails(loam_model_plan(opened.device, &settings, &alone, &error), LOAM_ERROR_ARGUMENT, "directory");
    settings.model = opened.fixture.model;
    assert_ok(loam_model_plan(opened.device, &settings, &alone, &error));
    assert_true(alone.mapped + alone.model > 0 && alone.train == 0 && alone.step == 0 && alone.cache == 0);
    settings.train_tokens = 64;
    settings.train_sequences = 4;
    assert_fails(loam_model_plan(opened.device, &settings, &trained, &error), LOAM_ERROR_ARGUMENT, "lora");
    settings.lora = &lora;
    assert_ok(loam_model_plan(opened.device, &settings, &trained, &error));
    // A and B, their gradients and both moments, f32.
    assert_int_equal(trained.train, 4 * sizeof(float) * 2 * 8 * (16 + 48));
    assert_true(trained.step > 0 && trained.cache == 0);
    settings.context = 32;
    settings.generate_sequences = 1;
    assert_ok(loam_model_plan(opened.device, &settings, &all, &error));
    assert_int_equal(all.cache, 2 * 2 * 32 * 16 * sizeof(float)); // keys and values of two layers
    settings.generate_sequences = 3;
    assert_ok(loam_model_plan(opened.device, &settings, &larger, &error));
    assert_int_equal(larger.cache, 3 * all.cache);
    assert_int_equal(larger.total, larger.mapped + larger.model + larger.train + larger.step + larger.cache +
                                       larger.scratch);
    settings.generate_sequences = 0;
    assert_fails(loam_model_plan(opened.device, &settings, &all, &error), LOAM_ERROR_ARGUMENT, "sequences");
    opened_remove(&opened);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices),    cmocka_unit_test(sized_structs), cmocka_unit_test(models),
        cmocka_unit_test(tokenizers), cmocka_unit_test(adapters),      cmocka_unit_test(plans),
        cmocka_unit_test(defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
