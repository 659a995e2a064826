#include <math.h>

#include "base/json.h"
#include "common_checkpoint.h"
#include "test.h"

static struct loam_config parsed(const char *json)
{
    struct loam_error error = {0};
    struct loam_config config;
    assert_ok(test_parse_config(&config, json, &error));
    return config;
}

static void families_are_found(void **state)
{
    (void)state;
    assert_ptr_equal(loam_family_find("bloom"), &loam_family_bloom);
    assert_ptr_equal(loam_family_find("llama"), &loam_family_llama);
    assert_ptr_equal(loam_family_find("gpt_neox"), &loam_family_gpt_neox); // the first of two
    assert_null(loam_family_find("gpt5"));
    assert_null(loam_family_find(""));
    const struct loam_family *family;
    size_t count = 0;
    while ((family = loam_family_at(count)) != NULL) {
        assert_string_equal(loam_family_find(family->model_type)->model_type, family->model_type);
        count++;
    }
    assert_true(count >= 25);
}

static void bloom_of_every_age(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"model_type\":\"bloom\",\"hidden_size\":1024,\"n_layer\":24,\"n_head\":16,\"vocab_size\":250880}",
        "{\"model_type\":\"bloom\",\"n_embed\":1024,\"num_hidden_layers\":24,\"num_attention_heads\":16,"
        "\"vocab_size\":250880,\"n_inner\":null,\"seq_length\":4096,\"slow_but_exact\":true,\"hidden_"
        "dropout\":0.1,"
        "\"apply_residual_connection_post_layernorm\":false,\"offset_alibi\":100,\"torch_dtype\":"
        "\"float16\"}",
        "{\"model_type\":\"bloom\",\"n_embed\":1024,\"hidden_size\":64,\"n_layer\":24,\"n_head\":16,"
        "\"vocab_size\":250880,\"layer_norm_epsilon\":0.001,\"initializer_range\":0.01,\"dtype\":"
        "\"bfloat16\"}",
    };
    for (size_t i = 0; i < 3; i++) {
        struct loam_config config = parsed(texts[i]);
        assert_ptr_equal(config.family, &loam_family_bloom);
        assert_int_equal(config.hidden, 1024); // n_embed goes before hidden_size, as in transformers
        assert_int_equal(config.layers, 24);
        assert_int_equal(config.heads, 16);
        assert_int_equal(config.kv_heads, 16);
        assert_int_equal(config.head_dim, 64);
        assert_int_equal(config.inner, 4096);
        assert_int_equal(config.vocabulary, 250880);
        assert_int_equal(config.max_positions, i == 1 ? 4096 : 2048);
        assert_true(config.tied_head);
        assert_true(config.norm_eps == (i == 2 ? 0.001 : 1e-5));
        assert_true(config.initializer_range == (i == 2 ? 0.01 : 0.02));
    }
    assert_false(parsed("{" BLOOM_CONFIG ",\"tie_word_embeddings\":false}").tied_head);
}

static void only_alibi_has_no_position_limit(void **state)
{
    (void)state;
    struct loam_config config = parsed("{" BLOOM_CONFIG "}");
    assert_int_equal(loam_config_position_limit(&config), INT32_MAX);
    config = parsed("{" LLAMA_CONFIG ",\"max_position_embeddings\":8192}");
    assert_int_equal(loam_config_position_limit(&config), 8192);
    config.max_positions = 0;
    assert_int_equal(loam_config_position_limit(&config), INT32_MAX);
}

static void llama_defaults(void **state)
{
    (void)state;
    struct loam_config config = parsed(
        "{\"model_type\":\"llama\",\"hidden_size\":48,\"num_hidden_layers\":3,\"num_attention_heads\":6,"
        "\"intermediate_size\":100,\"vocab_size\":32000,\"head_dim\":null,\"num_key_value_heads\":null,"
        "\"rope_scaling\":null,\"pad_token_id\":null}");
    assert_int_equal(config.kv_heads, 6);
    assert_int_equal(config.head_dim, 8);
    assert_int_equal(config.inner, 100);
    assert_int_equal(config.max_positions, 2048);
    assert_true(config.norm_eps == 1e-6);
    assert_true(config.ropes[0].theta == 10000.0);
    assert_int_equal(config.ropes[0].scaling, LOAM_ROPE_DEFAULT);
    assert_false(config.tied_head);
    assert_false(config.attention_bias);
    assert_false(config.mlp_bias);
    config = parsed("{" LLAMA_CONFIG ",\"head_dim\":6,\"rms_norm_eps\":1e-05,\"tie_word_embeddings\":true,"
                    "\"attention_bias\":true,\"mlp_bias\":true,\"max_position_embeddings\":8192,\"hidden_"
                    "act\":\"silu\"}");
    assert_int_equal(config.kv_heads, 2);
    assert_int_equal(config.head_dim, 6); // need not be hidden / heads
    assert_int_equal(config.max_positions, 8192);
    assert_true(config.norm_eps == 1e-5);
    assert_true(config.tied_head && config.attention_bias && config.mlp_bias);
}

static void rope_of_every_age(void **state)
{
    (void)state;
    static const struct {
        const char *keys;
        enum loam_rope_scaling scaling;
        double theta, factor;
        int64_t original;
    } cases[] = {
        {"\"rope_theta\":500000", LOAM_ROPE_DEFAULT, 500000, 0, 0},
        {"\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":500000.0}", LOAM_ROPE_DEFAULT, 500000,
         0, 0},
        {"\"rope_parameters\":{\"rope_theta\":500000.0}", LOAM_ROPE_DEFAULT, 500000, 0, 0},
        {"\"rope_parameters\":null,\"rope_theta\":7.0", LOAM_ROPE_DEFAULT, 7, 0, 0},
        {"\"rope_theta\":3,\"rope_parameters\":{\"rope_theta\":5}", LOAM_ROPE_DEFAULT, 5, 0, 0},
        {"\"rope_scaling\":{\"type\":\"linear\",\"factor\":2.5}", LOAM_ROPE_LINEAR, 10000, 2.5, 0},
        {"\"rope_scaling\":{\"rope_type\":\"linear\",\"type\":\"yarn\",\"factor\":4}", LOAM_ROPE_LINEAR,
         10000, 4, 0},
        {"\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":2.5,\"rope_theta\":9}", LOAM_ROPE_LINEAR,
         9, 2.5, 0},
        {"\"rope_theta\":500000.0,\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_"
         "factor\":1,"
         "\"high_freq_factor\":4,\"original_max_position_embeddings\":8192}",
         LOAM_ROPE_LLAMA3, 500000, 8, 8192},
        {"\"rope_parameters\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,\"high_freq_"
         "factor\":4},"
         "\"max_position_embeddings\":4096",
         LOAM_ROPE_LLAMA3, 10000, 8, 4096},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[600];
        snprintf(text, sizeof text, "{" LLAMA_CONFIG ",%s}", cases[i].keys);
        struct loam_config config = parsed(text);
        assert_int_equal(config.ropes[0].scaling, cases[i].scaling);
        assert_true(config.ropes[0].theta == cases[i].theta);
        assert_true(config.ropes[0].factor == cases[i].factor);
        assert_int_equal(config.ropes[0].original_positions, cases[i].original);
    }
}

static void refused_values(void **state)
{
    (void)state;
#define BLOOM_REST ",\"model_type\":\"bloom\"}"
#define LLAMA3 "\"rope_type\":\"llama3\""
    static const struct {
        const char *text;
        enum loam_status status;
        const char *message;
    } cases[] = {
        {"{}", LOAM_ERROR_FORMAT, "\"model_type\" is missing"},
        {"{\"model_type\":3}", LOAM_ERROR_FORMAT, "\"model_type\" must be a string"},
        {"{\"model_type\":\"gpt5\"}", LOAM_ERROR_UNSUPPORTED,
         "\"gpt5\" is not supported; supported are bloom, llama, qwen2"},
        {"{\"model_type\":\"bloom\"}", LOAM_ERROR_FORMAT, "\"n_embed\" is missing"},
        {"{\"hidden_size\":12,\"n_layer\":2,\"n_head\":3" BLOOM_REST, LOAM_ERROR_FORMAT,
         "\"vocab_size\" is missing"},
        {"{\"hidden_size\":12,\"n_layer\":2,\"n_head\":5,\"vocab_size\":10" BLOOM_REST, LOAM_ERROR_FORMAT,
         "5 attention heads do not divide the hidden size 12"},
        {"{\"hidden_size\":0,\"n_layer\":2,\"n_head\":3,\"vocab_size\":10" BLOOM_REST, LOAM_ERROR_FORMAT,
         "the hidden size is 0"},
        {"{\"hidden_size\":-12,\"n_layer\":2,\"n_head\":3,\"vocab_size\":10" BLOOM_REST, LOAM_ERROR_FORMAT,
         "the hidden size is -12"},
        {"{\"hidden_size\":12,\"n_layer\":2,\"n_head\":0,\"vocab_size\":10" BLOOM_REST, LOAM_ERROR_FORMAT,
         "the number of attention heads is 0"},
        {"{\"hidden_size\":12,\"n_layer\":0,\"n_head\":3,\"vocab_size\":10" BLOOM_REST, LOAM_ERROR_FORMAT,
         "the number of layers is 0"},
        {"{\"hidden_size\":12,\"n_layer\":2,\"n_head\":3,\"vocab_size\":4611686018427387904" BLOOM_REST,
         LOAM_ERROR_FORMAT, "the vocabulary size is 4611686018427387904"},
        {"{\"hidden_size\":9223372036854775807,\"n_layer\":2,\"n_head\":1,\"vocab_size\":10" BLOOM_REST,
         LOAM_ERROR_FORMAT, "the hidden size is 9223372036854775807"},
        {"{\"hidden_size\":12.5,\"n_layer\":2,\"n_head\":3,\"vocab_size\":10" BLOOM_REST, LOAM_ERROR_FORMAT,
         "\"hidden_size\" must be an integer"},
        {"{" BLOOM_CONFIG ",\"apply_residual_connection_post_layernorm\":true}", LOAM_ERROR_UNSUPPORTED,
         "\"apply_residual_connection_post_layernorm\" is true; only false is supported"},
        {"{" BLOOM_CONFIG ",\"slow_but_exact\":true,\"pretraining_tp\":4}", LOAM_ERROR_UNSUPPORTED,
         "\"slow_but_exact\" is true where \"pretraining_tp\" is 4; only false is supported"},
        {"{" BLOOM_CONFIG ",\"hidden_dropout\":\"0.1\"}", LOAM_ERROR_FORMAT,
         "\"hidden_dropout\" must be a number"},
        {"{" BLOOM_CONFIG ",\"is_encoder_decoder\":true}", LOAM_ERROR_UNSUPPORTED, "\"is_encoder_decoder\""},
        {"{" BLOOM_CONFIG ",\"per_layer_config\":{\"1\":{}}}", LOAM_ERROR_UNSUPPORTED,
         "\"per_layer_config\" is {...}"},
        {"{" BLOOM_CONFIG ",\"pruned_heads\":{\"1\":[0]}}", LOAM_ERROR_UNSUPPORTED,
         "\"pruned_heads\" is {...}"},
        {"{" BLOOM_CONFIG ",\"architectures\":[\"BloomForTokenClassification\"]}", LOAM_ERROR_UNSUPPORTED,
         "\"architectures\" is BloomForTokenClassification; of this family BloomForCausalLM is supported"},
        {"{" LLAMA_CONFIG ",\"architectures\":[\"LlamaForSequenceClassification\"]}", LOAM_ERROR_UNSUPPORTED,
         "\"architectures\" is LlamaForSequenceClassification"},
        {"{" LLAMA_CONFIG ",\"head_dim\":0}", LOAM_ERROR_FORMAT, "the head size is 0"},
        {"{\"model_type\":\"llama\",\"hidden_size\":16,\"num_hidden_layers\":2,\"num_attention_heads\":4,"
         "\"num_key_value_heads\":0,\"intermediate_size\":20,\"vocab_size\":11}",
         LOAM_ERROR_FORMAT, "the number of key and value heads is 0"},
        {"{" BLOOM_CONFIG ",\"layer_norm_epsilon\":0}", LOAM_ERROR_FORMAT, "epsilon"},
        {"{" BLOOM_CONFIG ",\"initializer_range\":-1}", LOAM_ERROR_FORMAT, "\"initializer_range\" is -1"},
        {"{" BLOOM_CONFIG ",\"tie_word_embeddings\":\"yes\"}", LOAM_ERROR_FORMAT,
         "\"tie_word_embeddings\" must be true"},
        {"{" BLOOM_CONFIG ",\"quantization_config\":{\"bits\":4}}", LOAM_ERROR_UNSUPPORTED,
         "\"quantization_config\""},
        {"{" LLAMA_CONFIG ",\"hidden_act\":\"mish\"}", LOAM_ERROR_UNSUPPORTED,
         "\"hidden_act\" is mish; supported are silu, gelu"},
        {"{" LLAMA_CONFIG ",\"hidden_act\":[1]}", LOAM_ERROR_FORMAT, "\"hidden_act\""},
        {"{" LLAMA_CONFIG ",\"head_dim\":5}", LOAM_ERROR_UNSUPPORTED,
         "RoPE turns 5 of the 5 elements of a head"},
        {"{" LLAMA_CONFIG ",\"head_dim\":-2}", LOAM_ERROR_FORMAT, "the head size is -2"},
        {"{" LLAMA_CONFIG ",\"rope_theta\":0}", LOAM_ERROR_FORMAT, "\"rope_theta\" must be positive"},
        {"{" LLAMA_CONFIG ",\"partial_rotary_factor\":0.5}", LOAM_ERROR_UNSUPPORTED,
         "\"partial_rotary_factor\" is 0.5"},
        {"{" LLAMA_CONFIG ",\"rope_parameters\":{\"partial_rotary_factor\":0.5}}", LOAM_ERROR_UNSUPPORTED,
         "\"partial_rotary_factor\" is 0.5"},
        {"{" LLAMA_CONFIG ",\"rope_parameters\":{\"sliding\":{\"rope_theta\":3}}}", LOAM_ERROR_UNSUPPORTED,
         "differs by layer (\"sliding\")"},
        {"{" LLAMA_CONFIG ",\"rope_scaling\":\"linear\"}", LOAM_ERROR_FORMAT,
         "\"rope_scaling\" must be an object"},
        {"{" LLAMA_CONFIG ",\"rope_scaling\":{\"type\":\"ntk\",\"factor\":2}}", LOAM_ERROR_UNSUPPORTED,
         "the RoPE type \"ntk\" is not supported"},
        {"{" LLAMA_CONFIG ",\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":-2}}", LOAM_ERROR_FORMAT,
         "positive \"factor\""},
        {"{" LLAMA_CONFIG ",\"rope_parameters\":{\"rope_type\":\"longrope\"}}", LOAM_ERROR_FORMAT,
         "\"short_factor\" must be an array of 2 numbers"},
        {"{" LLAMA_CONFIG ",\"rope_scaling\":{\"type\":\"linear\"}}", LOAM_ERROR_FORMAT,
         "positive \"factor\""},
        {"{" LLAMA_CONFIG ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":0}}", LOAM_ERROR_FORMAT,
         "positive \"factor\""},
        {"{" LLAMA_CONFIG ",\"rope_scaling\":{" LLAMA3 ",\"factor\":8}}", LOAM_ERROR_FORMAT,
         "\"low_freq_factor\""},
        {"{" LLAMA_CONFIG ",\"rope_scaling\":{" LLAMA3 ",\"factor\":8,\"low_freq_factor\":1}}",
         LOAM_ERROR_FORMAT, "\"high_freq_factor\""},
        {"{" LLAMA_CONFIG ",\"rope_scaling\":{" LLAMA3
         ",\"factor\":8,\"low_freq_factor\":4,\"high_freq_factor\":4}}",
         LOAM_ERROR_FORMAT, "must be below"},
        {"{" LLAMA_CONFIG ",\"rope_scaling\":{" LLAMA3
         ",\"factor\":8,\"low_freq_factor\":1,\"high_freq_factor\":4,"
         "\"original_max_position_embeddings\":0}}",
         LOAM_ERROR_FORMAT, "\"original_max_position_embeddings\" must be positive"},
        {"{\"model_type\":\"llama\",\"hidden_size\":16,\"num_hidden_layers\":2,\"num_attention_heads\":4,"
         "\"num_key_value_heads\":3,\"intermediate_size\":20,\"vocab_size\":11}",
         LOAM_ERROR_FORMAT, "3 key and value heads do not divide the 4 attention heads"},
        {"{\"model_type\":\"llama\",\"hidden_size\":16,\"num_hidden_layers\":2,\"num_attention_heads\":4,"
         "\"vocab_size\":11}",
         LOAM_ERROR_FORMAT, "\"intermediate_size\" is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_error error = {0};
        struct loam_config config;
        assert_fails(test_parse_config(&config, cases[i].text, &error), cases[i].status, cases[i].message);
        assert_memory_equal(error.message, "config.json: ", 13);
    }
}

// What two spellings, dropout and foreign keys leave in a config.
static void what_is_told(void **state)
{
    (void)state;
#define BLOOM "{" BLOOM_CONFIG
#define LLAMA "{" LLAMA_CONFIG
    static const struct {
        const char *text;
        int64_t layers, heads;
        const char *line; // NULL: none
    } cases[] = {
        {BLOOM "}", 2, 3, NULL},
        {BLOOM ",\"num_hidden_layers\":2,\"num_attention_heads\":3.0,\"n_embed\":12}", 2, 3, NULL},
        {BLOOM ",\"num_hidden_layers\":4}", 4, 3, "\"num_hidden_layers\" is 4, and \"n_layer\" is 2"},
        {BLOOM ",\"num_attention_heads\":6}", 2, 6, "\"num_attention_heads\" is 6, and \"n_head\" is 3"},
        {BLOOM ",\"n_embed\":24}", 2, 3, "\"n_embed\" is 24, and \"hidden_size\" is 12"},
        {BLOOM ",\"num_hidden_layers\":null}", 2, 3, NULL},
        {LLAMA ",\"sliding_window\":512}", 2, 4, "\"sliding_window\" is 512"},
        {LLAMA ",\"sliding_window\":2048}", 2, 4, NULL},
        {LLAMA ",\"layer_types\":[\"full_attention\",\"sliding_attention\"]}", 2, 4, "\"layer_types\""},
        {LLAMA ",\"layer_types\":[\"full_attention\",\"full_attention\"]}", 2, 4, NULL},
        {LLAMA ",\"auto_map\":{\"AutoModel\":\"x.Y\"}}", 2, 4, "a plain llama model"},
        {LLAMA ",\"architectures\":[\"LLaMAForCausalLM\"],\"pruned_heads\":{},\"is_encoder_decoder\":false,"
               "\"pretraining_tp\":4,\"use_cache\":false,\"hidden_dropout\":0.5}",
         2, 4, NULL},
        {BLOOM ",\"architectures\":[\"BloomModel\"],\"slow_but_exact\":true,\"pretraining_tp\":1}", 2, 3,
         NULL},
        {BLOOM ",\"architectures\":null,\"slow_but_exact\":false,\"pretraining_tp\":4}", 2, 3, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_config config = parsed(cases[i].text);
        assert_int_equal(config.layers, cases[i].layers);
        assert_int_equal(config.heads, cases[i].heads);
        assert_int_equal(config.notices[0] != '\0', cases[i].line != NULL);
        if (cases[i].line != NULL) assert_non_null(strstr(config.notices, cases[i].line));
    }
    struct loam_config config = parsed(BLOOM ",\"hidden_dropout\":0.1,\"attention_dropout\":0}");
    assert_true(config.dropouts[0] == 0.1 && config.dropouts[1] == 0);
    config = parsed(LLAMA ",\"attention_dropout\":0.2,\"hidden_dropout\":0.5}");
    assert_true(config.dropouts[0] == 0.2 && config.dropouts[1] == 0);
    assert_string_equal(config.family->dropouts[0], "attention_dropout");
}

// Slopes and frequencies as transformers 5.23 gives them; PyTorch's own powers differ by an ulp between
// machines.
static void assert_close(const float *values, const float *expected, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(values[i] - expected[i]) <= 3e-7f * fabsf(expected[i])))
            fail_msg("value %zu is %.9g, expected %.9g", i, (double)values[i], (double)expected[i]);
}

// A family whose layers are of two kinds, and whose config.json lists them.
static const struct loam_layer_kind two_kinds[] = {
    {"full_attention", 0, 0}, {"sliding_attention", offsetof(struct loam_config, window), 1}};

static enum loam_status parse_lists(struct loam_config *config, const char *text, struct loam_error *error)
{
    struct loam_config_key keys[32];
    struct loam_family family = loam_family_llama;
    memcpy(keys, family.keys, family.key_count * sizeof *keys);
    keys[family.key_count++] = (struct loam_config_key){
        {"layer_types"}, LOAM_CONFIG_KINDS, offsetof(struct loam_config, layer_kinds), false};
    keys[family.key_count++] = (struct loam_config_key){
        {"sliding_window"}, LOAM_CONFIG_INT, offsetof(struct loam_config, window), false};
    keys[family.key_count++] = (struct loam_config_key){
        {"rope_local_base_freq"}, LOAM_CONFIG_DOUBLE, offsetof(struct loam_config, ropes[1].theta), false};
    struct loam_config defaults = *family.defaults;
    defaults.ropes[1].theta = 100;
    family.keys = keys;
    family.kinds = two_kinds;
    family.kind_count = 2;
    family.rope_count = 2;
    family.defaults = &defaults;
    json_t *root = NULL;
    assert_int_equal(loam_json_parse(&root, text, strlen(text), "config.json", error), LOAM_OK);
    enum loam_status status = loam_config_parse_as(config, &family, root, "config.json", error);
    json_decref(root);
    return status;
}

static void layers_have_kinds(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_config config;
    float near[2], far[2];
    assert_ok(parse_lists(&config,
                          "{" LLAMA_CONFIG ",\"sliding_window\":7,\"rope_local_base_freq\":16.0,"
                          "\"layer_types\":[\"sliding_attention\",\"full_attention\"]}",
                          &error));
    assert_int_equal(config.layer_kinds.count, 2);
    assert_int_equal(config.layer_kinds.items[0], 1);
    assert_int_equal(config.layer_kinds.items[1], 0);
    assert_int_equal(config.window, 7);
    assert_string_equal(config.notices, ""); // nothing is ignored
    config.family = &(struct loam_family){.kinds = two_kinds, .kind_count = 2};
    assert_int_equal(loam_config_layer_window(&config, 0), 7);
    assert_int_equal(loam_config_layer_window(&config, 1), 0);
    assert_int_equal(loam_config_layer_kind(&config, 0)->rope, 1);
    loam_config_rope_frequencies(&config, 0, 0, far);
    loam_config_rope_frequencies(&config, 1, 0, near);
    assert_true(far[0] == 1 && near[0] == 1 && near[1] == 0.25f && far[1] < 0.05f);

    assert_ok(parse_lists(&config, "{" LLAMA_CONFIG "}", &error));
    assert_int_equal(config.layer_kinds.count, 0);
    assert_true(config.ropes[1].theta == 100);
}

static void refused_lists(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_config config;
    static const struct {
        const char *text, *message;
        enum loam_status status;
    } cases[] = {
        {"\"layer_types\":[\"full_attention\"]",
         "the kinds of 1 layers are given; expected one for each of 2", LOAM_ERROR_FORMAT},
        {"\"layer_types\":[\"full_attention\",\"conv\"]",
         "\"layer_types\" has conv, which is no kind of layer", LOAM_ERROR_UNSUPPORTED},
        {"\"layer_types\":[\"full_attention\",3]", "\"layer_types\" has a value, which", LOAM_ERROR_FORMAT},
        {"\"layer_types\":\"full_attention\"", "\"layer_types\" must be an array", LOAM_ERROR_FORMAT},
        {"\"rope_local_base_freq\":0", "the base of RoPE is 0", LOAM_ERROR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[600];
        snprintf(text, sizeof text, "{" LLAMA_CONFIG ",%s}", cases[i].text);
        assert_fails(parse_lists(&config, text, &error), cases[i].status, cases[i].message);
    }
}

// Integers, alone or in an array: end-of-sequence tokens, say.
static void lists_of_integers(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct {
        struct loam_config config;
        struct loam_config_list eos; // where a family would have it in its config
    } wide;
    static const struct {
        const char *value;
        int count; // -1: refused
        int32_t first, last;
    } cases[] = {
        {"2", 1, 2, 2},      {"[2,3,5]", 3, 2, 5}, {"[]", 0, 0, 0},         {"[-100]", 1, -100, -100},
        {"null", 0, 0, 0},   {"\"2\"", -1, 0, 0},  {"[2,\"3\"]", -1, 0, 0}, {"[2147483648]", -1, 0, 0},
        {"[1.5]", -1, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[600];
        struct loam_config_key keys[32];
        struct loam_family family = loam_family_llama;
        json_t *root = NULL;
        memcpy(keys, family.keys, family.key_count * sizeof *keys);
        keys[family.key_count++] = (struct loam_config_key){
            {"eos_token_id"}, LOAM_CONFIG_INTS, (size_t)((char *)&wide.eos - (char *)&wide.config), false};
        family.keys = keys;
        wide.eos.count = 0;
        snprintf(text, sizeof text, "{" LLAMA_CONFIG ",\"eos_token_id\":%s}", cases[i].value);
        assert_ok(loam_json_parse(&root, text, strlen(text), "config.json", &error));
        enum loam_status status = loam_config_parse_as(&wide.config, &family, root, "config.json", &error);
        json_decref(root);
        if (cases[i].count < 0) {
            assert_fails(status, LOAM_ERROR_FORMAT, "\"eos_token_id\" must be an integer of 32 bits");
            continue;
        }
        assert_ok(status);
        assert_int_equal(wide.eos.count, cases[i].count);
        if (cases[i].count == 0) continue;
        assert_int_equal(wide.eos.items[0], cases[i].first);
        assert_int_equal(wide.eos.items[cases[i].count - 1], cases[i].last);
    }
    // More than there is room for.
    char *text = malloc(8192);
    assert_non_null(text);
    size_t used = (size_t)sprintf(text, "{" LLAMA_CONFIG ",\"layer_types\":[\"full_attention\"");
    for (int i = 0; i < LOAM_CONFIG_LIST; i++)
        used += (size_t)sprintf(text + used, ",1");
    sprintf(text + used, "]}");
    assert_fails(parse_lists(&wide.config, text, &error), LOAM_ERROR_UNSUPPORTED,
                 "has 513 elements; at most 512");
    free(text);
}

static void alibi_slopes(void **state)
{
    (void)state;
    static const struct {
        int heads;
        float first[8];
        size_t count;
    } cases[] = {
        {1, {0.00390625f}, 1},
        {3, {0.0625f, 0.00390625f, 0.25f}, 3},
        {6, {0.25f, 0.0625f, 0.015625f, 0.00390625f, 0.5f, 0.125f}, 6},
        {8, {0.5f, 0.25f, 0.125f, 0.0625f, 0.03125f, 0.015625f, 0.0078125f, 0.00390625f}, 8},
        {112,
         {0.917004049f, 0.840896428f, 0.771105409f, 0.707106769f, 0.648419797f, 0.594603598f, 0.545253873f,
          0.5f},
         8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_config config = {.family = &loam_family_bloom, .heads = cases[i].heads};
        float slopes[112];
        loam_config_alibi_slopes(&config, slopes);
        assert_close(slopes, cases[i].first, cases[i].count);
        if (cases[i].heads == 112)
            assert_close(slopes + 110, (const float[]){0.0177935641f, 0.0163167696f}, 2);
    }
}

static void rope_frequencies(void **state)
{
    (void)state;
    static const struct {
        const char *keys;
        float expected[8];
    } cases[] = {
        {"\"rope_theta\":10000.0",
         {1, 0.316227764f, 0.100000001f, 0.0316227786f, 0.00999999978f, 0.00316227786f, 0.00100000005f,
          0.000316227786f}},
        {"\"rope_scaling\":{\"type\":\"linear\",\"factor\":2.5}",
         {0.400000006f, 0.1264911f, 0.0399999991f, 0.0126491114f, 0.00399999972f, 0.00126491114f,
          0.000400000019f, 0.000126491112f}},
        {"\"rope_parameters\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
         "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":64,\"rope_theta\":10000.0}",
         {1, 0.244384587f, 0.0130422562f, 0.00395284733f, 0.00124999997f, 0.000395284733f, 0.000125000006f,
          3.95284733e-05f}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[600];
        snprintf(text, sizeof text, "{" LLAMA_CONFIG ",\"head_dim\":16,%s}", cases[i].keys);
        struct loam_config config = parsed(text);
        float frequencies[8];
        loam_config_rope_frequencies(&config, 0, 0, frequencies);
        assert_close(frequencies, cases[i].expected, 8);
    }
}

static void loads_a_directory_or_a_file(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_config config;
    char directory[256], path[300];
    assert_non_null(test_make_directory(directory));
    snprintf(path, sizeof path, "%s/config.json", directory);
    assert_fails(loam_config_load(&config, directory, &error), LOAM_ERROR_IO, path);
    assert_fails(loam_config_load(&config, path, &error), LOAM_ERROR_IO, path);
    static const char text[] = "{" LLAMA_CONFIG "}";
    test_write_file(path, text, sizeof text - 1);
    assert_ok(loam_config_load(&config, directory, &error));
    assert_int_equal(config.inner, 20);
    assert_ok(loam_config_load(&config, path, &error));
    test_write_file(path, "{\"model_type\":\"t5\"}", 19);
    assert_fails(loam_config_load(&config, directory, &error), LOAM_ERROR_UNSUPPORTED, path);
    test_write_file(path, "[]", 2);
    assert_fails(loam_config_load(&config, directory, &error), LOAM_ERROR_FORMAT, path);
    test_remove_directory(directory);
}

// The families whose attention in transformers takes head_dim from the config, where it is given.
static void test_own_head_size(void **state)
{
    (void)state;
    static const char *const types[] = {
        "llama",   "qwen2",       "qwen3",  "mistral", "ministral",  "ministral3", "gemma",
        "gemma2",  "gemma3_text", "phi3",   "phi",     "starcoder2", "olmo2",      "olmo3",
        "granite", "smollm3",     "cohere", "cohere2", "glm4",
    };
    struct loam_error error;
    struct loam_config config;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        char text[400];
        snprintf(
            text, sizeof text,
            "{\"model_type\":\"%s\",\"hidden_size\":16,\"num_hidden_layers\":2,\"num_attention_heads\":4,"
            "\"num_key_value_heads\":2,\"intermediate_size\":20,\"vocab_size\":11,\"head_dim\":12%s}",
            types[i],
            strcmp(types[i], "ministral3") == 0
                ? ",\"rope_parameters\":{\"rope_type\":\"yarn\",\"factor\":4,\"rope_theta\":100,"
                  "\"original_max_position_embeddings\":64,\"llama_4_scaling_beta\":0.1}"
                : "");
        assert_ok(test_parse_config(&config, text, &error));
        if (config.head_dim != 12)
            fail_msg("%s: the head size is %d instead of 12", types[i], (int)config.head_dim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_are_found),
        cmocka_unit_test(bloom_of_every_age),
        cmocka_unit_test(only_alibi_has_no_position_limit),
        cmocka_unit_test(llama_defaults),
        cmocka_unit_test(rope_of_every_age),
        cmocka_unit_test(refused_values),
        cmocka_unit_test(what_is_told),
        cmocka_unit_test(layers_have_kinds),
        cmocka_unit_test(refused_lists),
        cmocka_unit_test(lists_of_integers),
        cmocka_unit_test(alibi_slopes),
        cmocka_unit_test(rope_frequencies),
        cmocka_unit_test(loads_a_directory_or_a_file),
        cmocka_unit_test(test_own_head_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
