// Which parameters an adapter replaces, by PEFT's rules, and what its file may hold.
#include "test.h"

#include "common_model.h"
#include "io/safetensors.h"
#include "lora/adapter.h"

static const struct loam_lora_settings usual = {.rank = 2, .alpha = 4};

static struct loam_adapter *create(const struct test_model *fixture, struct loam_lora_settings settings)
{
    struct loam_error error;
    struct loam_adapter *adapter;
    assert_ok(loam_adapter_create(&adapter, fixture->model, &settings, NULL, &error));
    return adapter;
}

// ---- names ----

static void entries_match_ends_of_paths(void **state)
{
    (void)state;
    static const struct {
        const char *entry, *parameter;
        bool matches;
    } cases[] = {
        {"norm", "model.norm.weight", true},
        {"norm", "model.layers.0.input_layernorm.weight", true}, // within a component, as PEFT has it
        {"model.norm", "model.norm.weight", true},
        {"model.norm", "model.layers.0.input_layernorm.weight", false},
        {"mlp", "model.layers.0.mlp.up_proj.weight", true},
        {"layers.0", "model.layers.0.mlp.up_proj.weight", true},
        {"layers.0", "model.layers.10.mlp.up_proj.weight", false},
        {"model.lm_head", "lm_head.weight", true}, // the wrapper's path is base_model.model.lm_head
        {"base_model.model.lm_head", "lm_head.weight", true},
        {"x.base_model.model.lm_head", "lm_head.weight", false},
        {"weight", "lm_head.weight", false},
        {"lm_hea", "lm_head.weight", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (loam_saved_entry_matches(cases[i].entry, cases[i].parameter) != cases[i].matches)
            fail_msg("\"%s\" and %s", cases[i].entry, cases[i].parameter);
}

// H 32, V 64, two layers; the heads of both families are tied.
static void counts_and_targets(void **state)
{
    (void)state;
    static const struct {
        const char *family, *saved;
        enum loam_lora_bias bias;
        bool tying;
        const char *targets;
        int64_t added; // parameters
        size_t count;
    } cases[] = {
        {"bloom", NULL, LOAM_BIAS_LORA_ONLY, false, NULL, 2 * 96, 2},
        {"bloom", NULL, LOAM_BIAS_ALL, false, NULL, 2 * (96 + 32 + 128 + 32 + 2 * 32) + 2 * 32, 14},
        {"bloom", "ln_f", LOAM_BIAS_NONE, false, NULL, 2 * 32, 2},
        {"bloom", "ln_f", LOAM_BIAS_ALL, false, NULL, 2 * (96 + 32 + 128 + 32 + 2 * 32) + 3 * 32, 15},
        {"bloom", "word_embeddings", LOAM_BIAS_NONE, false, NULL, 64 * 32, 1},
        {"bloom", "word_embeddings,lm_head", LOAM_BIAS_NONE, false, NULL, 2 * 64 * 32, 2},
        {"bloom", "lm_head", LOAM_BIAS_NONE, true, NULL, 64 * 32, 1},
        {"bloom", "word_embeddings", LOAM_BIAS_NONE, true, NULL, 64 * 32, 1}, // PEFT does not know the name
        {"llama", NULL, LOAM_BIAS_ALL, false, NULL, 0, 0},
        {"llama", "embed_tokens", LOAM_BIAS_NONE, true, NULL, 64 * 32, 1},
        {"llama", "norm", LOAM_BIAS_NONE, false, NULL, 5 * 32, 5},
        // What is trained as a whole is not adapted.
        {"llama", "layers.0.self_attn", LOAM_BIAS_NONE, false, "q_proj", 2 * 32 * 32 + 2 * 16 * 32 - 2 * 64,
         4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct test_model fixture;
        struct loam_lora_settings settings = usual;
        test_model_names(&fixture, cases[i].family);
        settings.target_modules = cases[i].targets;
        struct loam_adapter *plain = create(&fixture, settings);
        settings.modules_to_save = cases[i].saved;
        settings.bias = cases[i].bias;
        settings.ensure_weight_tying = cases[i].tying;
        struct loam_adapter *adapter = create(&fixture, settings);
        assert_int_equal(loam_adapter_parameters(adapter) - loam_adapter_parameters(plain), cases[i].added);
        assert_int_equal(adapter->replaced_count, cases[i].count);
        const struct loam_adapter_slots *slots = loam_adapter_slots(adapter);
        assert_int_equal(slots->replaced_count, cases[i].count > 0 ? fixture.model->parameter_count + 1 : 0);
        loam_adapter_destroy(plain);
        loam_adapter_destroy(adapter);
        test_model_free(&fixture);
    }
}

static void a_tied_head_shares_the_value(void **state)
{
    (void)state;
    struct test_model fixture;
    struct loam_lora_settings settings = usual;
    test_model_names(&fixture, "llama");
    settings.modules_to_save = "lm_head";
    const size_t head = fixture.model->parameter_count;
    struct loam_adapter *apart = create(&fixture, settings);
    assert_non_null(apart->slots.replaced[head]);
    assert_null(apart->slots.replaced[0]);
    assert_string_equal(apart->replaced[0].name, "base_model.model.lm_head.weight");
    settings.ensure_weight_tying = true;
    struct loam_adapter *tied = create(&fixture, settings);
    assert_ptr_equal(tied->slots.replaced[head], tied->slots.replaced[0]);
    assert_string_equal(tied->replaced[0].name, "base_model.model.model.embed_tokens.weight");
    assert_string_equal(tied->replaced[0].tied_name, "base_model.model.lm_head.weight");
    // The list as PEFT changes it.
    assert_int_equal(tied->config.saved.count, 1);
    assert_string_equal(tied->config.saved.entries[0], "model.embed_tokens");
    loam_adapter_destroy(apart);
    loam_adapter_destroy(tied);
    test_model_free(&fixture);
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *targets, *saved, *message;
    } cases[] = {
        {NULL, "nothing", "\"nothing\" matches no module with parameters of this model; it has: "},
        {NULL, "ln_f,act", "\"act\" matches no module"},
        {"query_key_value", "value", "which the adapter adapts"},
        {"query_key_value", "query_key_value", "no linear module is left"},
        {NULL, "self_attention", "no linear module is left"},
        {NULL, "ln_f,", "an empty name in the list"},
        {NULL, "", "an empty name in the list"},
    };
    struct test_model fixture;
    test_model_names(&fixture, "bloom");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_error error;
        struct loam_adapter *adapter;
        struct loam_lora_settings settings = usual;
        settings.target_modules = cases[i].targets;
        settings.modules_to_save = cases[i].saved;
        assert_fails(loam_adapter_create(&adapter, fixture.model, &settings, NULL, &error),
                     LOAM_ERROR_ARGUMENT, cases[i].message);
        assert_null(adapter);
    }
    test_model_free(&fixture);
}

static void decayed_and_rated(void **state)
{
    (void)state;
    struct loam_error error;
    struct test_model fixture;
    struct loam_adapter *adapter;
    struct loam_trainables set = {0};
    struct loam_lora_settings settings = usual;
    test_model_loaded(&fixture, "bloom");
    settings.modules_to_save = "word_embeddings,ln_f,lm_head";
    settings.bias = LOAM_BIAS_ALL;
    assert_ok(loam_adapter_create(&adapter, fixture.model, &settings, &set, &error));
    loam_adapter_set_rates(adapter, 16, 1);
    // As PEFT makes the groups of LoRA+: vectors go with B. As the Trainer does, norms and biases do not decay.
    for (size_t i = 0; i < set.count; i++) {
        const bool vector = set.items[i].value.rank == 1;
        const bool of_b = strstr(set.items[i].name, ".lora_B.") != NULL;
        assert_int_equal(set.items[i].decayed, !vector);
        assert_true(set.items[i].rate == (vector || of_b ? 16 : 1));
    }
    loam_adapter_destroy(adapter);
    loam_trainables_deinit(&set);
    test_model_free(&fixture);
}

// ---- files ----

enum { MOST = 64 };

// Writes an adapter with ln_f and biases of adapted modules, after `change` of its tensors.
struct file {
    struct loam_write_tensor tensors[MOST];
    char names[MOST][160];
    size_t count;
};

static void add(struct file *file, const char *name, int rank, int64_t rows, int64_t columns)
{
    static float values[4096];
    struct loam_write_tensor *tensor = &file->tensors[file->count];
    snprintf(file->names[file->count], sizeof file->names[0], "%s", name);
    values[0] = 3;
    *tensor = (struct loam_write_tensor){.name = file->names[file->count],
                                         .dtype = LOAM_F32,
                                         .rank = rank,
                                         .shape = {rows, columns},
                                         .data = values};
    file->count++;
}

static void add_matrices(struct file *file)
{
    for (int layer = 0; layer < 2; layer++) {
        char name[160];
        const char *format =
            "base_model.model.transformer.h.%d.self_attention.query_key_value.lora_%c.weight";
        snprintf(name, sizeof name, format, layer, 'A');
        add(file, name, 2, 2, 32);
        snprintf(name, sizeof name, format, layer, 'B');
        add(file, name, 2, 96, 2);
    }
}

static enum loam_status open_file(const struct file *file, const char *config,
                                  const struct test_model *fixture, struct loam_adapter **adapter,
                                  struct loam_error *error)
{
    char directory[256], path[300], text[400];
    assert_non_null(test_make_directory(directory));
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", directory);
    assert_int_equal(loam_safetensors_write(path, file->tensors, file->count, error), LOAM_OK);
    snprintf(text, sizeof text,
             "{\"peft_type\": \"LORA\", \"r\": 2, \"target_modules\": [\"query_key_value\"], %s}", config);
    snprintf(path, sizeof path, "%s/adapter_config.json", directory);
    test_write_file(path, text, strlen(text));
    enum loam_status status = loam_adapter_open(adapter, fixture->model, directory, NULL, error);
    test_remove_directory(directory);
    return status;
}

static void reads_names_of_peft(void **state)
{
    (void)state;
    static const char *const spellings[][3] = {
        {"base_model.model.transformer.ln_f.weight", "base_model.model.transformer.ln_f.bias", NULL},
        {"base_model.model.transformer.ln_f.modules_to_save.default.weight",
         "base_model.model.transformer.ln_f.modules_to_save.bias", NULL},
        {"transformer.ln_f.weight", "ln_f.bias", "base_model.model.transformer.ln_f.original_module.bias"},
        {"base_model.model.transformer.ln_f.weight", "base_model.model.transformer.ln_f.bias",
         "base_model.model.transformer.ln_f.modules_to_save.bias"},
    };
    struct test_model fixture;
    test_model_loaded(&fixture, "bloom");
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        struct loam_error error;
        struct loam_adapter *adapter;
        struct file file = {.count = 0};
        add_matrices(&file);
        for (int j = 0; j < 3; j++)
            if (spellings[i][j] != NULL) add(&file, spellings[i][j], 1, 32, 0);
        assert_ok(open_file(&file, "\"modules_to_save\": [\"ln_f\"]", &fixture, &adapter, &error));
        assert_int_equal(adapter->replaced_count, 2);
        assert_true(*(const float *)adapter->replaced[1].entry.value.data == 3);
        loam_adapter_destroy(adapter);
    }
    test_model_free(&fixture);
}

// Old versions of PEFT did not save biases of adapted modules: they stay as in the base.
static void keeps_biases_that_are_missing(void **state)
{
    (void)state;
    struct loam_error error;
    struct test_model fixture;
    struct loam_adapter *adapter;
    struct file file = {.count = 0};
    test_model_loaded(&fixture, "bloom");
    add_matrices(&file);
    assert_ok(open_file(&file, "\"bias\": \"lora_only\"", &fixture, &adapter, &error));
    assert_int_equal(adapter->replaced_count, 2);
    assert_non_null(strstr(adapter->config.notice, "no values for 2 biases"));
    for (size_t i = 0; i < 2; i++)
        assert_memory_equal(adapter->replaced[i].entry.value.data, adapter->replaced[i].parameter->value.data,
                            96 * sizeof(float));
    loam_adapter_destroy(adapter);
    test_model_free(&fixture);
}

// What PEFT's load does with parameters that no setting names: it puts them in the place of the base's.
static void takes_weights_that_differ(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool copies; // the values of the base
        size_t replaced;
        const char *notice;
    } cases[] = {
        {"base_model.model.transformer.ln_f.weight", false, 1, "differs from the base's"},
        {"base_model.model.transformer.h.0.self_attention.dense.bias", false, 1, "and not trained"},
        {"base_model.model.transformer.h.0.self_attention.query_key_value.base_layer.bias", false, 1,
         "differs from the base's"},
        {"base_model.model.transformer.ln_f.weight", true, 0, "they change nothing"},
        // PEFT has the bias in another module.
        {"base_model.model.transformer.h.0.self_attention.query_key_value.bias", false, 0,
         "they change nothing"},
    };
    struct test_model fixture;
    test_model_loaded(&fixture, "bloom");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_error error;
        struct loam_adapter *adapter;
        struct file file = {.count = 0};
        add_matrices(&file);
        add(&file, cases[i].name, 1, strstr(cases[i].name, "query_key_value") != NULL ? 96 : 32, 0);
        const struct loam_parameter *norm = fixture.model->final_norm.w;
        if (cases[i].copies) file.tensors[file.count - 1].data = norm->value.data;
        assert_ok(open_file(&file, "\"bias\": \"none\"", &fixture, &adapter, &error));
        assert_int_equal(adapter->replaced_count, cases[i].replaced);
        assert_non_null(strstr(adapter->config.notice, cases[i].notice));
        assert_int_equal(loam_adapter_parameters(adapter), 2 * (2 * 32 + 96 * 2));
        if (cases[i].replaced > 0) assert_true(*(const float *)adapter->replaced[0].entry.value.data == 3);
        loam_adapter_destroy(adapter);
    }
    test_model_free(&fixture);
}

// PEFT has one weight for a tied pair, and reads the head last.
static void a_tied_pair_has_one_weight(void **state)
{
    (void)state;
    static const struct {
        const char *config;
        bool of_embedding, of_head; // in the file
        bool equal;                 // the head's is the base's
        size_t replaced;
    } cases[] = {
        {"\"bias\": \"none\"", true, false, false, 1},
        {"\"bias\": \"none\"", false, true, false, 1},
        {"\"bias\": \"none\"", true, true, false, 1},
        {"\"bias\": \"none\"", true, true, true, 0},
        // The head alone is the base's, the embedding is trained.
        {"\"modules_to_save\": [\"word_embeddings\"]", true, true, false, 2},
        {"\"modules_to_save\": [\"word_embeddings\"]", true, true, true, 1},
    };
    struct test_model fixture;
    test_model_loaded(&fixture, "bloom");
    const size_t head = fixture.model->parameter_count;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_error error;
        struct loam_adapter *adapter;
        struct file file = {.count = 0};
        add_matrices(&file);
        const int64_t rows = fixture.model->config.vocabulary;
        if (cases[i].of_embedding)
            add(&file, "base_model.model.transformer.word_embeddings.weight", 2, rows, 32);
        if (cases[i].of_head) add(&file, "base_model.model.lm_head.weight", 2, rows, 32);
        if (cases[i].equal) file.tensors[file.count - 1].data = fixture.model->embedding->value.data;
        assert_ok(open_file(&file, cases[i].config, &fixture, &adapter, &error));
        assert_int_equal(adapter->replaced_count, cases[i].replaced);
        const struct loam_replacement **replaced = adapter->slots.replaced;
        const bool trains = strstr(cases[i].config, "modules_to_save") != NULL;
        assert_true((replaced[0] != NULL) == (cases[i].replaced > 0));
        assert_true((replaced[0] == replaced[head]) == !trains);
        assert_int_equal(loam_adapter_tensors(adapter),
                         4 + (trains ? cases[i].replaced : 2 * cases[i].replaced));
        loam_adapter_destroy(adapter);
    }
    test_model_free(&fixture);
}

static void refuses_files(void **state)
{
    (void)state;
    static const struct {
        const char *config, *name;
        int64_t size;
        enum loam_status status;
        const char *message;
    } cases[] = {
        {"\"modules_to_save\": [\"ln_f\"]", "base_model.model.transformer.ln_f.weight", 32, LOAM_ERROR_FORMAT,
         "no tensor \"base_model.model.transformer.ln_f.bias\""},
        {"\"modules_to_save\": [\"ln_f\"]", "base_model.model.transformer.ln_f.weight", 31, LOAM_ERROR_FORMAT,
         "has another shape than transformer.ln_f.weight of the model"},
        {"\"bias\": \"none\"", "base_model.model.transformer.ln_f.weight", 31, LOAM_ERROR_UNSUPPORTED,
         "is a copy of the base's transformer.ln_f.weight, and has another shape"},
        {"\"bias\": \"all\"", "base_model.model.transformer.h.7.input_layernorm.bias", 32, LOAM_ERROR_FORMAT,
         "is not a parameter of this model that adapter_config.json asks for"},
        {"\"modules_to_save\": [\"ln_f\"]", "base_model.model.nowhere.weight", 32, LOAM_ERROR_UNSUPPORTED,
         "nor a parameter of a model"},
    };
    struct test_model fixture;
    test_model_loaded(&fixture, "bloom");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_error error;
        struct loam_adapter *adapter;
        struct file file = {.count = 0};
        add_matrices(&file);
        add(&file, cases[i].name, 1, cases[i].size, 0);
        assert_fails(open_file(&file, cases[i].config, &fixture, &adapter, &error), cases[i].status,
                     cases[i].message);
        assert_null(adapter);
    }
    test_model_free(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_match_ends_of_paths),
        cmocka_unit_test(counts_and_targets),
        cmocka_unit_test(a_tied_head_shares_the_value),
        cmocka_unit_test(refusals),
        cmocka_unit_test(decayed_and_rated),
        cmocka_unit_test(reads_names_of_peft),
        cmocka_unit_test(keeps_biases_that_are_missing),
        cmocka_unit_test(takes_weights_that_differ),
        cmocka_unit_test(a_tied_pair_has_one_weight),
        cmocka_unit_test(refuses_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
