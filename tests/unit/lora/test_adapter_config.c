// adapter_config.json: writing, reading, errors.
#include "test.h"

#include "lora/adapter_config.h"

static char directory[256];

static int make(void **state)
{
    (void)state;
    return test_make_directory(directory) == NULL;
}

static int clean(void **state)
{
    (void)state;
    test_remove_directory(directory);
    return 0;
}

static void put(const char *text)
{
    char path[300];
    snprintf(path, sizeof path, "%s/adapter_config.json", directory);
    test_write_file(path, text, strlen(text));
}

static void get(char *text, size_t size)
{
    char path[300];
    snprintf(path, sizeof path, "%s/adapter_config.json", directory);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t read = fread(text, 1, size - 1, file);
    text[read] = '\0';
    fclose(file);
}

// The file that PEFT 0.21.2 wrote for the same settings.
static const char written[] = "{\n"
                              "  \"alora_invocation_tokens\": null,\n"
                              "  \"alpha_pattern\": {},\n"
                              "  \"arrow_config\": null,\n"
                              "  \"auto_mapping\": null,\n"
                              "  \"base_model_name_or_path\": \"some/base\",\n"
                              "  \"bias\": \"none\",\n"
                              "  \"corda_config\": null,\n"
                              "  \"ensure_weight_tying\": false,\n"
                              "  \"eva_config\": null,\n"
                              "  \"exclude_modules\": null,\n"
                              "  \"fan_in_fan_out\": false,\n"
                              "  \"inference_mode\": true,\n"
                              "  \"init_lora_weights\": \"gaussian\",\n"
                              "  \"kasa_config\": null,\n"
                              "  \"layer_replication\": null,\n"
                              "  \"layers_pattern\": null,\n"
                              "  \"layers_to_transform\": null,\n"
                              "  \"loftq_config\": {},\n"
                              "  \"lora_alpha\": 16,\n"
                              "  \"lora_bias\": false,\n"
                              "  \"lora_dropout\": 0.05,\n"
                              "  \"lora_ga_config\": null,\n"
                              "  \"megatron_config\": null,\n"
                              "  \"megatron_core\": \"megatron.core\",\n"
                              "  \"modules_to_save\": null,\n"
                              "  \"monteclora_config\": null,\n"
                              "  \"peft_type\": \"LORA\",\n"
                              "  \"peft_version\": \"0.21.2\",\n"
                              "  \"qalora_group_size\": 16,\n"
                              "  \"r\": 4,\n"
                              "  \"rank_pattern\": {},\n"
                              "  \"revision\": null,\n"
                              "  \"target_modules\": [\n"
                              "    \"dense\",\n"
                              "    \"query_key_value\"\n"
                              "  ],\n"
                              "  \"target_parameters\": null,\n"
                              "  \"task_type\": \"CAUSAL_LM\",\n"
                              "  \"trainable_token_indices\": null,\n"
                              "  \"use_bdlora\": null,\n"
                              "  \"use_dora\": false,\n"
                              "  \"use_qalora\": false,\n"
                              "  \"use_rslora\": false,\n"
                              "  \"velora_config\": null\n"
                              "}";

static struct loam_adapter_config settings(double alpha, double dropout, const char *targets)
{
    struct loam_error error;
    struct loam_adapter_config config = {.rank = 4, .alpha = alpha, .dropout = dropout};
    assert_ok(loam_targets_parse(&config.targets, targets, &error));
    return config;
}

static void writes_as_peft(void **state)
{
    (void)state;
    struct loam_error error;
    char text[4096];
    struct loam_adapter_config config = settings(16, 0.05, "query_key_value,dense");
    assert_ok(loam_adapter_config_save(&config, "some/base", NULL, directory, &error));
    get(text, sizeof text);
    assert_string_equal(text, written);
    loam_adapter_config_deinit(&config);
}

static void reads_what_it_writes(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_adapter_config config = settings(0.3, 0, ".*\\.(q|v)_proj");
    config.init.kind = LOAM_LORA_KAIMING;
    assert_ok(loam_adapter_config_save(&config, "base \"named\" \xc3\xa9", "a \"tag\"", directory, &error));
    char text[4096];
    get(text, sizeof text);
    assert_non_null(strstr(text, "\"init_lora_weights\": true"));
    assert_non_null(strstr(text, "\"lora_dropout\": 0.0,"));
    assert_non_null(strstr(text, "\"lora_alpha\": 0.3,"));
    assert_non_null(strstr(text, "\"target_modules\": \".*\\\\.(q|v)_proj\""));
    struct loam_adapter_config back;
    assert_ok(loam_adapter_config_load(&back, directory, &error));
    assert_int_equal(back.rank, 4);
    assert_true(back.alpha == 0.3);
    assert_true(back.dropout == 0);
    assert_int_equal(back.init.kind, LOAM_LORA_KAIMING);
    assert_int_equal(back.targets.kind, LOAM_TARGET_PATTERN);
    assert_string_equal(back.targets.pattern, ".*\\.(q|v)_proj");
    assert_string_equal(back.base_model, "base \"named\" \xc3\xa9");
    assert_string_equal(back.revision, "a \"tag\"");
    assert_null(back.notice);
    loam_adapter_config_deinit(&back);
    loam_adapter_config_deinit(&config);
}

static void reads_peft(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_adapter_config config;
    put(written);
    assert_ok(loam_adapter_config_load(&config, directory, &error));
    assert_int_equal(config.init.kind, LOAM_LORA_GAUSSIAN);
    assert_int_equal(config.targets.count, 2);
    assert_true(config.dropout == 0.05);
    assert_null(config.revision);
    loam_adapter_config_deinit(&config);

    // A file of an early PEFT has few keys. A string is always a pattern, whatever its characters.
    put("{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 3, \"target_modules\": \"dense\", \"bias\": "
        "\"none\", "
        "\"enable_lora\": null}");
    assert_ok(loam_adapter_config_load(&config, directory, &error));
    assert_int_equal(config.targets.kind, LOAM_TARGET_PATTERN);
    assert_null(config.notice);
    loam_adapter_config_deinit(&config);

    put("{\"peft_type\": \"LORA\", \"target_modules\": \"ALL-linear\", \"new_method\": 3, \"other\": \"x\", "
        "\"off\": false}");
    assert_ok(loam_adapter_config_load(&config, directory, &error));
    assert_int_equal(config.targets.kind, LOAM_TARGET_ALL_LINEAR);
    assert_int_equal(config.rank, 8); // PEFT's defaults
    assert_true(config.alpha == 8);
    assert_non_null(strstr(config.notice, "\"new_method\", \"other\""));
    assert_null(strstr(config.notice, "off"));
    loam_adapter_config_deinit(&config);
}

// The first expression that matches a path, or its end after a dot, gives the number. Without a match, the
// general number applies.
static void numbers_by_module(void **state)
{
    (void)state;
    static const struct {
        const char *patterns; // members of the file
        const char *module;
        int rank; // of 4, with alpha 6
        double scale;
    } cases[] = {
        {"\"use_rslora\": false", "h.0.dense", 4, 1.5},
        {"\"use_rslora\": true", "h.0.dense", 4, 3},
        {"\"rank_pattern\": {\"dense\": 2}", "h.0.dense", 2, 3},
        {"\"rank_pattern\": {\"dense\": 2}", "dense", 2, 3},
        {"\"rank_pattern\": {\"dense\": 2}", "h.0.in_dense", 4, 1.5},
        {"\"rank_pattern\": {\"dense\": 2}", "h.0.dense_out", 4, 1.5},
        {"\"rank_pattern\": {\"0.dense\": 2}", "h.0.dense", 2, 3},
        {"\"rank_pattern\": {\"0.dense\": 2}", "h.10.dense", 4, 1.5},
        {"\"rank_pattern\": {\"h\\\\.[01]\\\\..*\": 3}", "h.1.dense", 3, 2},
        {"\"rank_pattern\": {\"q|dense\": 2}", "h.1.dense", 2, 3},
        {"\"rank_pattern\": {\"^h.0.dense\": 2}", "h.0.dense", 2, 3},
        {"\"rank_pattern\": {\"^h.0.dense\": 2}", "model.h.0.dense", 4, 1.5},
        {"\"rank_pattern\": {\"z\": 1, \"dense\": 2, \"0.dense\": 3}", "h.0.dense", 2, 3},
        {"\"rank_pattern\": {\"0.dense\": 3, \"dense\": 2}", "h.0.dense", 3, 2},
        {"\"alpha_pattern\": {\"dense\": 8}", "h.0.dense", 4, 2},
        {"\"alpha_pattern\": {\"dense\": 0.5}", "h.0.dense", 4, 0.125},
        {"\"rank_pattern\": {\"h.0.*\": 1}, \"alpha_pattern\": {\"dense\": 8}", "h.0.dense", 1, 8},
        {"\"rank_pattern\": {\"dense\": 16}, \"use_rslora\": true", "h.0.dense", 16, 1.5},
        {"\"rank_pattern\": null, \"alpha_pattern\": {}", "h.0.dense", 4, 1.5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_error error;
        struct loam_adapter_config config, again;
        char text[512], first[8192], second[8192];
        snprintf(text, sizeof text,
                 "{\"peft_type\": \"LORA\", \"target_modules\": [\"x\"], \"r\": 4, \"lora_alpha\": 6, %s}",
                 cases[i].patterns);
        put(text);
        assert_ok(loam_adapter_config_load(&config, directory, &error));
        int rank;
        double scale;
        assert_ok(loam_adapter_config_module(&config, cases[i].module, &rank, &scale, &error));
        assert_int_equal(rank, cases[i].rank);
        assert_true(scale == cases[i].scale);
        // A config that is written and read again is the same.
        assert_ok(loam_adapter_config_save(&config, "base", NULL, directory, &error));
        get(first, sizeof first);
        assert_ok(loam_adapter_config_load(&again, directory, &error));
        assert_ok(loam_adapter_config_module(&again, cases[i].module, &rank, &scale, &error));
        assert_true(rank == cases[i].rank && scale == cases[i].scale);
        assert_ok(loam_adapter_config_save(&again, "base", NULL, directory, &error));
        get(second, sizeof second);
        assert_string_equal(first, second);
        loam_adapter_config_deinit(&config);
        loam_adapter_config_deinit(&again);
    }
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *members; // after peft_type and target_modules
        enum loam_status status;
        const char *message;
    } cases[] = {
        {"\"use_rslora\": 3", LOAM_ERROR_FORMAT, "use_rslora"},
        {"\"use_dora\": 3", LOAM_ERROR_FORMAT, "use_dora"},
        {"\"rank_pattern\": [3]", LOAM_ERROR_FORMAT, "\"rank_pattern\" must be an object"},
        {"\"rank_pattern\": {\"a\": 0}", LOAM_ERROR_FORMAT, "\"a\" of \"rank_pattern\""},
        {"\"rank_pattern\": {\"a\": 2.5}", LOAM_ERROR_FORMAT, "whole number"},
        {"\"rank_pattern\": {\"a\": 65537}", LOAM_ERROR_FORMAT, "rank_pattern"},
        {"\"rank_pattern\": {\"a\": \"3\"}", LOAM_ERROR_FORMAT, "rank_pattern"},
        {"\"rank_pattern\": {\"(a\": 3}", LOAM_ERROR_ARGUMENT, "rank_pattern"},
        {"\"rank_pattern\": {\"a)|(b\": 3}", LOAM_ERROR_ARGUMENT, "rank_pattern"},
        {"\"alpha_pattern\": true", LOAM_ERROR_FORMAT, "\"alpha_pattern\" must be an object"},
        {"\"alpha_pattern\": {\"b\": 1, \"a\": -3}", LOAM_ERROR_FORMAT, "\"a\" of \"alpha_pattern\""},
        {"\"alpha_pattern\": {\"[\": 3}", LOAM_ERROR_ARGUMENT, "alpha_pattern"},
        {"\"modules_to_save\": \"lm_head\"", LOAM_ERROR_FORMAT, "\"modules_to_save\" must be a list"},
        {"\"modules_to_save\": [3]", LOAM_ERROR_FORMAT, "\"modules_to_save\" must be names; entry 0"},
        {"\"bias\": \"some\"", LOAM_ERROR_ARGUMENT, "bias \"some\": expected none, all or lora_only"},
        {"\"bias\": true", LOAM_ERROR_FORMAT, "bias"},
        {"\"lora_bias\": true, \"use_dora\": true", LOAM_ERROR_UNSUPPORTED, "lora_bias with DoRA"},
        {"\"lora_bias\": true, \"init_lora_weights\": \"gaussian\"", LOAM_ERROR_ARGUMENT,
         "true and false alone"},
        {"\"layer_replication\": [[0, 1]]", LOAM_ERROR_UNSUPPORTED, "layer_replication"},
        {"\"trainable_token_indices\": [-1]", LOAM_ERROR_FORMAT, "trainable_token_indices"},
        {"\"target_parameters\": [\"x\"]", LOAM_ERROR_UNSUPPORTED, "target_parameters"},
        {"\"alora_invocation_tokens\": [1]", LOAM_ERROR_UNSUPPORTED, "aLoRA"},
        {"\"use_qalora\": true", LOAM_ERROR_UNSUPPORTED, "use_qalora"},
        {"\"use_bdlora\": {\"nblocks\": 2}", LOAM_ERROR_UNSUPPORTED, "use_bdlora"},
        {"\"velora_config\": {\"scale\": 1}", LOAM_ERROR_UNSUPPORTED, "velora_config"},
        {"\"monteclora_config\": {\"n\": 1}", LOAM_ERROR_UNSUPPORTED, "monteclora_config"},
        {"\"arrow_config\": {\"top_k\": 1}", LOAM_ERROR_UNSUPPORTED, "arrow_config"},
        {"\"kasa_config\": {\"beta\": 1}", LOAM_ERROR_UNSUPPORTED, "kasa_config"},
        {"\"ensure_weight_tying\": 3", LOAM_ERROR_FORMAT, "ensure_weight_tying"},
        {"\"init_lora_weights\": \"loftq\"", LOAM_ERROR_UNSUPPORTED, "loftq"},
        {"\"init_lora_weights\": \"corda\"", LOAM_ERROR_UNSUPPORTED, "corda"},
        {"\"init_lora_weights\": 3", LOAM_ERROR_FORMAT, "init_lora_weights"},
        {"\"task_type\": \"SEQ_CLS\"", LOAM_ERROR_UNSUPPORTED, "SEQ_CLS"},
        {"\"r\": 0", LOAM_ERROR_FORMAT, "\"r\" is 0"},
        {"\"r\": -1", LOAM_ERROR_FORMAT, "\"r\" is -1"},
        {"\"r\": 5000000000", LOAM_ERROR_FORMAT, "\"r\""},
        {"\"r\": \"8\"", LOAM_ERROR_FORMAT, "\"r\""},
        {"\"r\": 2.5", LOAM_ERROR_FORMAT, "\"r\""},
        {"\"lora_alpha\": 0", LOAM_ERROR_FORMAT, "lora_alpha"},
        {"\"lora_alpha\": -3", LOAM_ERROR_FORMAT, "lora_alpha"},
        {"\"lora_alpha\": true", LOAM_ERROR_FORMAT, "lora_alpha"},
        {"\"lora_dropout\": 1", LOAM_ERROR_FORMAT, "lora_dropout"},
        {"\"lora_dropout\": -0.1", LOAM_ERROR_FORMAT, "lora_dropout"},
        {"\"base_model_name_or_path\": 3", LOAM_ERROR_FORMAT, "base_model_name_or_path"},
        {"\"revision\": 3", LOAM_ERROR_FORMAT, "revision"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_error error;
        struct loam_adapter_config config;
        char text[512];
        snprintf(text, sizeof text, "{\"peft_type\": \"LORA\", \"target_modules\": [\"dense\"], %s}",
                 cases[i].members);
        put(text);
        assert_fails(loam_adapter_config_load(&config, directory, &error), cases[i].status, cases[i].message);
        assert_non_null(strstr(error.message, "adapter_config.json"));
    }
}

static void broken_files(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum loam_status status;
        const char *message;
    } cases[] = {
        {"", LOAM_ERROR_FORMAT, "adapter_config.json"},
        {"[]", LOAM_ERROR_FORMAT, "adapter_config.json"},
        {"{", LOAM_ERROR_FORMAT, "adapter_config.json"},
        {"{\"target_modules\": [\"dense\"]}", LOAM_ERROR_FORMAT, "peft_type"},
        {"{\"peft_type\": \"IA3\", \"target_modules\": [\"dense\"]}", LOAM_ERROR_UNSUPPORTED, "IA3"},
        {"{\"peft_type\": 3, \"target_modules\": [\"dense\"]}", LOAM_ERROR_FORMAT, "peft_type"},
        {"{\"peft_type\": \"LORA\"}", LOAM_ERROR_FORMAT, "target_modules"},
        {"{\"peft_type\": \"LORA\", \"target_modules\": null}", LOAM_ERROR_FORMAT, "target_modules"},
        {"{\"peft_type\": \"LORA\", \"target_modules\": []}", LOAM_ERROR_FORMAT, "target_modules"},
        {"{\"peft_type\": \"LORA\", \"target_modules\": [3]}", LOAM_ERROR_FORMAT, "entry 0"},
        {"{\"peft_type\": \"LORA\", \"target_modules\": [\"a\", \"\"]}", LOAM_ERROR_FORMAT, "entry 1"},
        {"{\"peft_type\": \"LORA\", \"target_modules\": {\"a\": 1}}", LOAM_ERROR_FORMAT, "target_modules"},
        {"{\"peft_type\": \"LORA\", \"target_modules\": \"(a\"}", LOAM_ERROR_ARGUMENT, "adapter_config.json"},
    };
    struct loam_error error;
    struct loam_adapter_config config;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put(cases[i].text);
        assert_fails(loam_adapter_config_load(&config, directory, &error), cases[i].status, cases[i].message);
    }
    assert_fails(loam_adapter_config_load(&config, "/does/not/exist", &error), LOAM_ERROR_IO,
                 "/does/not/exist");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_as_peft, make, clean),
        cmocka_unit_test_setup_teardown(reads_what_it_writes, make, clean),
        cmocka_unit_test_setup_teardown(reads_peft, make, clean),
        cmocka_unit_test_setup_teardown(numbers_by_module, make, clean),
        cmocka_unit_test_setup_teardown(refusals, make, clean),
        cmocka_unit_test_setup_teardown(broken_files, make, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
