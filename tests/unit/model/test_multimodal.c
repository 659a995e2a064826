#include "model/multimodal.h"

#include <stdlib.h>
#include <string.h>

#include "common_checkpoint.h"
#include "test.h"

#define SIZES                                                                                                \
    "\"hidden_size\":48,\"num_hidden_layers\":3,\"num_attention_heads\":6,\"intermediate_size\":100,"        \
    "\"vocab_size\":90,\"num_key_value_heads\":2"

static struct loam_config parsed(const char *json)
{
    struct loam_error error = {0};
    struct loam_config config;
    assert_ok(test_parse_config(&config, json, &error));
    return config;
}

// As google/gemma-3-4b-it and llava-hf/llava-1.5-7b-hf have it: what is the default is left out.
static void sizes_have_the_defaults_of_the_text_part(void **state)
{
    (void)state;
    struct loam_config config = parsed(
        "{\"model_type\":\"gemma3\",\"architectures\":[\"Gemma3ForConditionalGeneration\"],"
        "\"text_config\":{\"hidden_size\":2560,\"intermediate_size\":10240,\"model_type\":\"gemma3_text\","
        "\"num_hidden_layers\":34,\"rope_scaling\":{\"factor\":8.0,\"rope_type\":\"linear\"},"
        "\"sliding_window\":1024},\"vision_config\":{\"hidden_size\":1152}}");
    assert_ptr_equal(config.family, &loam_family_gemma3_text);
    assert_string_equal(config.multimodal->model_type, "gemma3");
    assert_int_equal(config.hidden, 2560);
    assert_int_equal(config.heads, 8);
    assert_int_equal(config.kv_heads, 4);
    assert_int_equal(config.vocabulary, 262208);
    assert_int_equal(config.window, 1024);
    assert_true(config.ropes[0].factor == 8);
    assert_true(config.tied_head);
    assert_non_null(strstr(config.notices, "only its text part is used, a gemma3_text model"));
    config = parsed("{\"model_type\":\"llava\",\"text_config\":{\"architectures\":[\"LlamaForCausalLM\"],"
                    "\"max_position_embeddings\":4096,\"model_type\":\"llama\",\"rms_norm_eps\":1e-05,"
                    "\"vocab_size\":32064}}");
    assert_int_equal(config.hidden, 4096);
    assert_int_equal(config.layers, 32);
    assert_int_equal(config.inner, 11008);
    assert_int_equal(config.vocabulary, 32064);
    assert_false(config.tied_head);
}

static void text_part_has_a_type_of_its_own(void **state)
{
    (void)state;
    assert_string_equal(
        parsed("{\"model_type\":\"mistral3\",\"text_config\":{" SIZES "}}").family->model_type, "mistral");
    assert_string_equal(
        parsed("{\"model_type\":\"mistral3\",\"text_config\":{\"model_type\":\"llama\"," SIZES "}}")
            .family->model_type,
        "llama");
    // transformers gives gemma3 its own class, whatever the file names.
    assert_string_equal(parsed("{\"model_type\":\"gemma3\",\"text_config\":{\"model_type\":\"llama\"," SIZES
                               ",\"query_pre_attn_scalar\":8}}")
                            .family->model_type,
                        "gemma3_text");
}

static void head_is_tied_as_the_whole_has_it(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        const char *whole; // or ""
        const char *text;
        bool tied;
    } cases[] = {
        {"mistral3", "", "", true},
        {"mistral3", "", ",\"tie_word_embeddings\":false", true},
        {"mistral3", ",\"tie_word_embeddings\":false", ",\"tie_word_embeddings\":true", false},
        {"llava", "", "", false},
        {"llava", "", ",\"tie_word_embeddings\":true", true},
        {"llava", ",\"tie_word_embeddings\":false", ",\"tie_word_embeddings\":true", true},
        {"llava_next", "", ",\"tie_word_embeddings\":true", false},
        {"llava_next", ",\"tie_word_embeddings\":true", "", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[600];
        snprintf(text, sizeof text, "{\"model_type\":\"%s\"%s,\"text_config\":{" SIZES "%s}}", cases[i].type,
                 cases[i].whole, cases[i].text);
        if (parsed(text).tied_head != cases[i].tied) fail_msg("%s", text);
    }
}

static void others_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"model_type\":\"llava\"}", "\"text_config\" is missing"},
        {"{\"model_type\":\"llava\",\"text_config\":7}", "\"text_config\" is missing"},
        {"{\"model_type\":\"llava\",\"architectures\":[\"LlavaForReward\"],\"text_config\":{" SIZES "}}",
         "\"architectures\" is LlavaForReward"},
        {"{\"model_type\":\"llava\",\"text_config\":{\"model_type\":\"mixtral\"}}",
         "text_config: the architecture \"mixtral\" is not supported"},
        {"{\"model_type\":\"llava\",\"text_config\":{\"model_type\":\"opt\",\"ffn_dim\":8," SIZES "}}",
         "a text part of the type opt is not supported"},
        {"{\"model_type\":\"llava\",\"text_config\":{\"model_type\":\"phi\"," SIZES "}}",
         "a text part of the type phi is not supported"},
        {"{\"model_type\":\"llava\",\"text_config\":{\"model_type\":\"cohere\"," SIZES "}}",
         "cohere that scales its logits is not supported"},
        {"{\"model_type\":\"gemma3\",\"text_config\":{\"final_logit_softcapping\":30.0}}",
         "that scales its logits is not supported"},
        {"{\"model_type\":\"llava\",\"quantization_config\":{\"bits\":4},\"text_config\":{" SIZES "}}",
         "\"quantization_config\" is set"},
        {"{\"model_type\":\"llava\",\"text_config\":{\"hidden_size\":47,\"num_attention_heads\":6}}",
         "text_config: 6 attention heads do not divide"},
        {"{\"model_type\":\"paligemma\",\"text_config\":{" SIZES "}}", "\"paligemma\" is not supported"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_error error = {0};
        struct loam_config config;
        assert_int_not_equal(test_parse_config(&config, cases[i].text, &error), LOAM_OK);
        if (strstr(error.message, cases[i].message) == NULL) fail_msg("%s: %s", cases[i].text, error.message);
    }
}

static void modules_have_the_paths_of_the_whole(void **state)
{
    (void)state;
    struct loam_error error;
    static const char *const cases[][2] = {
        {"model.language_model.layers.3.mlp.up_proj", "model.language_model.layers.3.mlp.up_proj"},
        {"language_model.model.layers.3.mlp.up_proj", "model.language_model.layers.3.mlp.up_proj"},
        {"model.text_model.layers.0.mlp.up_proj", "model.text_model.layers.0.mlp.up_proj"},
        {"language_model.lm_head", "lm_head"},
        {"model.layers.0.mlp.up_proj", "model.layers.0.mlp.up_proj"},
        {"transformer.h.0.mlp", "transformer.h.0.mlp"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *path = loam_multimodal_path(cases[i][0], &error);
        assert_string_equal(path, cases[i][1]);
        assert_true(loam_same_module(path, cases[i][0]));
        free(path);
    }
    assert_true(loam_same_module("model.layers.0.mlp", "language_model.model.layers.0.mlp"));
    assert_false(loam_same_module("model.layers.0.mlp", "model.layers.1.mlp"));
    struct loam_config config = parsed("{\"model_type\":\"smolvlm\",\"text_config\":{" SIZES "}}");
    char *path = loam_multimodal_module_path(config.multimodal, "model.layers.1.self_attn.q_proj", &error);
    assert_string_equal(path, "model.text_model.layers.1.self_attn.q_proj");
    free(path);
    path = loam_multimodal_module_path(config.multimodal, "lm_head", &error);
    assert_string_equal(path, "lm_head");
    free(path);
    assert_true(loam_is_of_other_part("model.vision_tower.encoder.layers.0.mlp.fc1.weight"));
    assert_false(loam_is_of_other_part("model.language_model.layers.0.mlp.up_proj.weight"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_have_the_defaults_of_the_text_part),
        cmocka_unit_test(text_part_has_a_type_of_its_own),
        cmocka_unit_test(head_is_tied_as_the_whole_has_it),
        cmocka_unit_test(others_are_refused),
        cmocka_unit_test(modules_have_the_paths_of_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
