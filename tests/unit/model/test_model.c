// Names, shapes and the decoder's view of them, from the config alone; the module tree.
#include "common_checkpoint.h"
#include "model/tree.h"
#include "test.h"

static int64_t total_of(const char *json)
{
    struct loam_model *model = test_create_model(json);
    int64_t total = loam_model_parameter_total(model);
    loam_model_destroy(model);
    return total;
}

static void known_totals(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        int64_t total;
    } cases[] = {
        {"{\"model_type\":\"bloom\",\"n_embed\":2048,\"n_layer\":24,\"num_attention_heads\":16,\"vocab_"
         "size\":250880}",
         1722408960}, // BLOOM-1b7
        {"{\"model_type\":\"bloom\",\"n_embed\":1024,\"n_layer\":24,\"num_attention_heads\":16,\"vocab_"
         "size\":250880}",
         559214592}, // BLOOM-560m
        {"{\"model_type\":\"bloom\",\"n_embed\":14336,\"n_layer\":70,\"num_attention_heads\":112,"
         "\"vocab_size\":250880}",
         176247271424}, // BLOOM
        {"{\"model_type\":\"llama\",\"hidden_size\":4096,\"num_hidden_layers\":32,\"num_attention_heads\":32,"
         "\"intermediate_size\":11008,\"vocab_size\":32000}",
         6738415616}, // Llama 2 7B
        {"{\"model_type\":\"llama\",\"hidden_size\":576,\"num_hidden_layers\":30,\"num_attention_heads\":9,"
         "\"num_key_value_heads\":3,\"intermediate_size\":1536,\"vocab_size\":49152,\"tie_word_embeddings\":"
         "true}",
         134515008}, // SmolLM2-135M
        {"{\"model_type\":\"llama\",\"hidden_size\":2048,\"num_hidden_layers\":16,\"num_attention_heads\":32,"
         "\"num_key_value_heads\":8,\"head_dim\":64,\"intermediate_size\":8192,\"vocab_size\":128256,"
         "\"tie_word_embeddings\":true}",
         1235814400}, // Llama 3.2 1B
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(total_of(cases[i].json), cases[i].total);
}

static void bloom_is_arranged(void **state)
{
    (void)state;
    struct loam_model *model = test_create_model("{" BLOOM_CONFIG "}");
    static const char *const names[] = {
        "transformer.word_embeddings.weight",
        "transformer.word_embeddings_layernorm.weight",
        "transformer.word_embeddings_layernorm.bias",
        "transformer.h.0.input_layernorm.weight",
        "transformer.h.0.input_layernorm.bias",
        "transformer.h.0.self_attention.query_key_value.weight",
        "transformer.h.0.self_attention.query_key_value.bias",
        "transformer.h.0.self_attention.dense.weight",
        "transformer.h.0.self_attention.dense.bias",
        "transformer.h.0.post_attention_layernorm.weight",
        "transformer.h.0.post_attention_layernorm.bias",
        "transformer.h.0.mlp.dense_h_to_4h.weight",
        "transformer.h.0.mlp.dense_h_to_4h.bias",
        "transformer.h.0.mlp.dense_4h_to_h.weight",
        "transformer.h.0.mlp.dense_4h_to_h.bias",
        "transformer.h.1.input_layernorm.weight",
    };
    assert_int_equal(model->parameter_count, 3 + 2 * 12 + 2);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_string_equal(model->parameters[i].name, names[i]);
    assert_string_equal(model->parameters[28].name, "transformer.ln_f.bias");
    assert_int_equal(model->parameters[0].layer, -1);
    assert_int_equal(model->parameters[15].layer, 1);
    assert_int_equal(model->parameters[28].layer, -1);
    const struct loam_linear *qkv = &model->layers[1].linears[LOAM_QKV];
    assert_string_equal(qkv->path, "transformer.h.1.self_attention.query_key_value");
    assert_int_equal(qkv->in, 12);
    assert_int_equal(qkv->out, 36);
    assert_string_equal(qkv->bias->name, "transformer.h.1.self_attention.query_key_value.bias");
    assert_int_equal(qkv->index, 4);
    assert_int_equal(model->linear_count, 8);
    assert_int_equal(model->head.index, 8);
    assert_int_equal(model->layers[0].linears[LOAM_DOWN].in, 48);
    assert_null(model->layers[0].linears[LOAM_Q].weight);
    assert_null(model->layers[0].linears[LOAM_GATE].weight);
    assert_ptr_equal(model->head.weight, model->embedding);
    assert_ptr_equal(model->embedding_norm.b, &model->parameters[2]);
    assert_string_equal(model->layers[1].norms[LOAM_NORM_MLP].w->name,
                        "transformer.h.1.post_attention_layernorm.weight");
    assert_string_equal(model->final_norm.b->name, "transformer.ln_f.bias");
    for (size_t i = 0; i < model->parameter_count; i++)
        assert_null(model->parameters[i].value.data);
    loam_model_destroy(model);
    model = test_create_model("{" BLOOM_CONFIG ",\"tie_word_embeddings\":false}");
    assert_string_equal(model->head.weight->name, "lm_head.weight");
    assert_int_equal(model->head.weight->value.shape[0], 10);
    loam_model_destroy(model);
}

static void llama_is_arranged(void **state)
{
    (void)state;
    struct loam_model *model = test_create_model("{" LLAMA_CONFIG ",\"head_dim\":6}");
    assert_int_equal(model->parameter_count, 1 + 2 * 9 + 2);
    assert_string_equal(model->head.weight->name, "lm_head.weight");
    assert_null(model->embedding_norm.w);
    assert_null(model->final_norm.b);
    const struct loam_layer *layer = &model->layers[1];
    assert_null(layer->linears[LOAM_QKV].weight);
    assert_int_equal(layer->linears[LOAM_Q].out, 24);
    assert_int_equal(layer->linears[LOAM_K].out, 12);
    assert_int_equal(layer->linears[LOAM_V].out, 12);
    assert_int_equal(layer->linears[LOAM_O].in, 24);
    assert_int_equal(layer->linears[LOAM_O].out, 16);
    assert_int_equal(layer->linears[LOAM_GATE].out, 20);
    assert_int_equal(layer->linears[LOAM_UP].out, 20);
    assert_int_equal(layer->linears[LOAM_DOWN].in, 20);
    assert_null(layer->linears[LOAM_Q].bias);
    assert_null(layer->norms[LOAM_NORM_ATTENTION].b);
    loam_model_destroy(model);
    model = test_create_model("{" LLAMA_CONFIG
                              ",\"attention_bias\":true,\"mlp_bias\":true,\"tie_word_embeddings\":true}");
    assert_int_equal(model->parameter_count, 1 + 2 * 16 + 1);
    assert_string_equal(model->layers[0].linears[LOAM_O].bias->name, "model.layers.0.self_attn.o_proj.bias");
    assert_string_equal(model->layers[1].linears[LOAM_GATE].bias->name, "model.layers.1.mlp.gate_proj.bias");
    assert_ptr_equal(model->head.weight, model->embedding);
    loam_model_destroy(model);
}

static void linears_in_model_order(void **state)
{
    (void)state;
    static const char *const bloom[] = {
        "transformer.h.0.self_attention.query_key_value",
        "transformer.h.0.self_attention.dense",
        "transformer.h.0.mlp.dense_h_to_4h",
        "transformer.h.0.mlp.dense_4h_to_h",
        "transformer.h.1.self_attention.query_key_value",
    };
    struct loam_model *model = test_create_model("{" BLOOM_CONFIG "}");
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(loam_model_linear_at(model, i)->path, bloom[i]);
    assert_non_null(loam_model_linear_at(model, 7));
    assert_null(loam_model_linear_at(model, 8));
    assert_null(loam_model_linear_at(model, SIZE_MAX));
    loam_model_destroy(model);
    model = test_create_model("{" LLAMA_CONFIG "}");
    assert_string_equal(loam_model_linear_at(model, 7)->path, "model.layers.1.self_attn.q_proj");
    assert_string_equal(loam_model_linear_at(model, 13)->path, "model.layers.1.mlp.down_proj");
    assert_null(loam_model_linear_at(model, 14));
    loam_model_destroy(model);
    loam_model_destroy(NULL);
}

static void assert_tree(const char *json, const char *expected)
{
    struct loam_error error = {0};
    struct loam_config config;
    struct loam_bytes text = {0};
    assert_ok(test_parse_config(&config, json, &error));
    assert_ok(loam_model_tree(&config, &text, &error));
    assert_string_equal(text.data, expected);
    loam_bytes_deinit(&text);
}

// As print(model) shows them with transformers 5.23 and PyTorch 2.13.
static void tree_of_bloom(void **state)
{
    (void)state;
    assert_tree(
        "{\"model_type\":\"bloom\",\"hidden_size\":48,\"n_layer\":2,\"n_head\":6,\"vocab_size\":300}",
        "BloomForCausalLM(\n"
        "  (transformer): BloomModel(\n"
        "    (word_embeddings): Embedding(300, 48)\n"
        "    (word_embeddings_layernorm): LayerNorm((48,), eps=1e-05, elementwise_affine=True, bias=True)\n"
        "    (h): ModuleList(\n"
        "      (0-1): 2 x BloomBlock(\n"
        "        (input_layernorm): LayerNorm((48,), eps=1e-05, elementwise_affine=True, bias=True)\n"
        "        (self_attention): BloomAttention(\n"
        "          (query_key_value): Linear(in_features=48, out_features=144, bias=True)\n"
        "          (dense): Linear(in_features=48, out_features=48, bias=True)\n"
        "          (attention_dropout): Dropout(p=0.0, inplace=False)\n"
        "        )\n"
        "        (post_attention_layernorm): LayerNorm((48,), eps=1e-05, elementwise_affine=True, "
        "bias=True)\n"
        "        (mlp): BloomMLP(\n"
        "          (dense_h_to_4h): Linear(in_features=48, out_features=192, bias=True)\n"
        "          (gelu_impl): BloomGelu()\n"
        "          (dense_4h_to_h): Linear(in_features=192, out_features=48, bias=True)\n"
        "        )\n"
        "      )\n"
        "    )\n"
        "    (ln_f): LayerNorm((48,), eps=1e-05, elementwise_affine=True, bias=True)\n"
        "  )\n"
        "  (lm_head): Linear(in_features=48, out_features=300, bias=False)\n"
        ")\n");
}

static void tree_of_llama(void **state)
{
    (void)state;
    assert_tree(
        "{\"model_type\":\"llama\",\"hidden_size\":48,\"num_hidden_layers\":1,\"num_attention_heads\":6,"
        "\"num_key_value_heads\":2,\"intermediate_size\":100,\"vocab_size\":300,\"attention_bias\":true,"
        "\"rms_norm_eps\":1e-6,\"tie_word_embeddings\":true}",
        "LlamaForCausalLM(\n"
        "  (model): LlamaModel(\n"
        "    (embed_tokens): Embedding(300, 48)\n"
        "    (layers): ModuleList(\n"
        "      (0): LlamaDecoderLayer(\n"
        "        (self_attn): LlamaAttention(\n"
        "          (q_proj): Linear(in_features=48, out_features=48, bias=True)\n"
        "          (k_proj): Linear(in_features=48, out_features=16, bias=True)\n"
        "          (v_proj): Linear(in_features=48, out_features=16, bias=True)\n"
        "          (o_proj): Linear(in_features=48, out_features=48, bias=True)\n"
        "        )\n"
        "        (mlp): LlamaMLP(\n"
        "          (gate_proj): Linear(in_features=48, out_features=100, bias=False)\n"
        "          (up_proj): Linear(in_features=48, out_features=100, bias=False)\n"
        "          (down_proj): Linear(in_features=100, out_features=48, bias=False)\n"
        "          (act_fn): SiLUActivation()\n"
        "        )\n"
        "        (input_layernorm): LlamaRMSNorm((48,), eps=1e-06)\n"
        "        (post_attention_layernorm): LlamaRMSNorm((48,), eps=1e-06)\n"
        "      )\n"
        "    )\n"
        "    (norm): LlamaRMSNorm((48,), eps=1e-06)\n"
        "    (rotary_emb): LlamaRotaryEmbedding()\n"
        "  )\n"
        "  (lm_head): Linear(in_features=48, out_features=300, bias=False)\n"
        ")\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_totals),      cmocka_unit_test(bloom_is_arranged),
        cmocka_unit_test(llama_is_arranged), cmocka_unit_test(linears_in_model_order),
        cmocka_unit_test(tree_of_bloom),     cmocka_unit_test(tree_of_llama),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
