#include "common_model.h"

#include <jansson.h>

#include "test.h"

static const char bloom[] = "{\"model_type\": \"bloom\", \"architectures\": [\"BloomForCausalLM\"], "
                            "\"vocab_size\": 64, \"hidden_size\": 32, \"n_layer\": 2, \"n_head\": 4}";
static const char llama[] =
    "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], \"vocab_size\": 64, "
    "\"hidden_size\": 32, \"intermediate_size\": 48, \"num_hidden_layers\": 2, "
    "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"max_position_embeddings\": 128, "
    "\"rms_norm_eps\": 1e-5, \"tie_word_embeddings\": true}";

void test_model_names(struct test_model *fixture, const char *family)
{
    struct loam_error error;
    *fixture = (struct test_model){0};
    const char *text = strcmp(family, "bloom") == 0 ? bloom : llama;
    json_t *root = json_loads(text, 0, NULL);
    assert_non_null(root);
    struct loam_config config;
    assert_ok(loam_config_parse(&config, root, "config.json", &error));
    json_decref(root);
    assert_ok(loam_model_create(&fixture->model, &config, &error));
}

void test_model_loaded(struct test_model *fixture, const char *family)
{
    struct loam_error error;
    test_model_names(fixture, family);
    assert_non_null(test_make_directory(fixture->directory));
    assert_ok(loam_model_init_checkpoint(fixture->model, 1, LOAM_F32, fixture->directory, NULL, &error));
    assert_ok(loam_device_create(&fixture->device, "ref", 1, &error));
    struct loam_load_options options = {.dtype = LOAM_F32};
    assert_ok(loam_model_load(fixture->model, fixture->directory, fixture->device, &options, &error));
}

void test_model_free(struct test_model *fixture)
{
    loam_model_destroy(fixture->model);
    loam_device_destroy(fixture->device);
    if (fixture->directory[0] != '\0') test_remove_directory(fixture->directory);
}

void test_spoil_adapter(const char *adapter, float value)
{
    char path[300];
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", adapter);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, -(long)sizeof value, SEEK_END), 0);
    assert_int_equal(fwrite(&value, sizeof value, 1, file), 1);
    assert_int_equal(fclose(file), 0);
}
