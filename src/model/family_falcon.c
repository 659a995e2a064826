// Falcon 7B: attention and MLP in parallel behind one LayerNorm, one key and value for all queries, RoPE. The first
// small Falcons: one branch after the other, a key and value for each head, ALiBi.
#include "model/family_parts.h"

#define ROOT "transformer."
#define LAYER ROOT "h.%d."
#define BLOCK "blk.%d."

// clang-format off
static const struct loam_weight_row rows[] = {
    {LOAM_ROLE_EMBEDDING, 0, ROOT "word_embeddings.weight", {LOAM_DIM_V, LOAM_DIM_H}, 0,
     "token_embd.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_QKV, LAYER "self_attention.query_key_value.weight", {LOAM_DIM_QKV, LOAM_DIM_H}, 0,
     BLOCK "attn_qkv.weight", LOAM_GGUF_ROWS_GROUPS},
    {LOAM_ROLE_LINEAR, LOAM_QKV, LAYER "self_attention.query_key_value.bias", {LOAM_DIM_QKV}, LOAM_WEIGHT_BIAS | LOAM_WEIGHT_IF_ATTENTION_BIAS,
     BLOCK "attn_qkv.bias", LOAM_GGUF_ROWS_GROUPS},
    {LOAM_ROLE_LINEAR, LOAM_O, LAYER "self_attention.dense.weight", {LOAM_DIM_H, LOAM_DIM_QD}, 0,
     BLOCK "attn_output.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_O, LAYER "self_attention.dense.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS | LOAM_WEIGHT_IF_ATTENTION_BIAS,
     BLOCK "attn_output.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_UP, LAYER "mlp.dense_h_to_4h.weight", {LOAM_DIM_F, LOAM_DIM_H}, 0,
     BLOCK "ffn_up.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_UP, LAYER "mlp.dense_h_to_4h.bias", {LOAM_DIM_F}, LOAM_WEIGHT_BIAS | LOAM_WEIGHT_IF_MLP_BIAS,
     BLOCK "ffn_up.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_DOWN, LAYER "mlp.dense_4h_to_h.weight", {LOAM_DIM_H, LOAM_DIM_F}, 0,
     BLOCK "ffn_down.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_DOWN, LAYER "mlp.dense_4h_to_h.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS | LOAM_WEIGHT_IF_MLP_BIAS,
     BLOCK "ffn_down.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_ATTENTION, LAYER "input_layernorm.weight", {LOAM_DIM_H}, 0,
     BLOCK "attn_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_ATTENTION, LAYER "input_layernorm.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     BLOCK "attn_norm.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_MLP, LAYER "post_attention_layernorm.weight", {LOAM_DIM_H}, LOAM_WEIGHT_IF_SERIAL,
     BLOCK "ffn_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_MLP, LAYER "post_attention_layernorm.bias", {LOAM_DIM_H}, LOAM_WEIGHT_IF_SERIAL | LOAM_WEIGHT_BIAS,
     BLOCK "ffn_norm.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_FINAL_NORM, 0, ROOT "ln_f.weight", {LOAM_DIM_H}, 0,
     "output_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_FINAL_NORM, 0, ROOT "ln_f.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     "output_norm.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_HEAD, 0, "lm_head.weight", {LOAM_DIM_V, LOAM_DIM_H}, LOAM_WEIGHT_TIED,
     "output.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_IGNORED, 0, LAYER "self_attention.rotary_emb.inv_freq", {LOAM_DIM_NONE}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
};
// clang-format on

// As BLOOM's, rounded to bf16 as transformers does; the bias is added before the scores are scaled.
static void alibi_slopes(const struct loam_config *config, float *slopes)
{
    const float scale = loam_config_attention_scale(config);
    loam_config_alibi_slopes(config, slopes);
    for (int64_t h = 0; h < config->heads; h++)
        slopes[h] = loam_bf16_to_f32(loam_f32_to_bf16(slopes[h])) * scale;
}

static const struct loam_layer_kind without_rope[] = {{"full_attention", 0, LOAM_NO_ROPE}};

static const struct loam_layer_kind kinds[] = {{"full_attention", 0, 0}};

static const struct loam_config_key keys[] = {
    {{"hidden_size", "n_embed"}, LOAM_CONFIG_INT, offsetof(struct loam_config, hidden), true},
    {{"num_hidden_layers", "n_layer"}, LOAM_CONFIG_INT, offsetof(struct loam_config, layers), true},
    {{"num_attention_heads", "n_head"}, LOAM_CONFIG_INT, offsetof(struct loam_config, heads), true},
    {{"num_kv_heads"}, LOAM_CONFIG_INT, offsetof(struct loam_config, kv_heads), false},
    {{"ffn_hidden_size"}, LOAM_CONFIG_INT, offsetof(struct loam_config, inner), false},
    {{"vocab_size"}, LOAM_CONFIG_INT, offsetof(struct loam_config, vocabulary), true},
    {{"max_position_embeddings"}, LOAM_CONFIG_INT, offsetof(struct loam_config, max_positions), false},
    {{"layer_norm_epsilon"}, LOAM_CONFIG_DOUBLE, offsetof(struct loam_config, norm_eps), false},
    {{"initializer_range"}, LOAM_CONFIG_DOUBLE, offsetof(struct loam_config, initializer_range), false},
    {{"tie_word_embeddings"}, LOAM_CONFIG_BOOL, offsetof(struct loam_config, tied_head), false},
    {{"activation"}, LOAM_CONFIG_ACTIVATION, offsetof(struct loam_config, activation), false},
    {{"bias"}, LOAM_CONFIG_BOOL, offsetof(struct loam_config, attention_bias), false},
    {{"bias"}, LOAM_CONFIG_BOOL, offsetof(struct loam_config, mlp_bias), false},
};

static const struct loam_config defaults = {
    .kv_heads = LOAM_CONFIG_DERIVED,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 2048,
    .activation = LOAM_GELU,
    .norm_eps = 1e-5,
    .initializer_range = 0.02,
    .ropes = {{.theta = 10000.0}},
    .inner = LOAM_CONFIG_DERIVED,
    .tied_head = true,
};

static const char *const dropouts[] = {"attention_dropout", "hidden_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"transformer", "FalconModel", NULL},
    {ROOT "word_embeddings", "Embedding", NULL},
    {ROOT "h", "ModuleList", NULL},
    {ROOT "h.%d", "FalconDecoderLayer", NULL},
    {LAYER "self_attention", "FalconAttention", NULL},
    {LAYER "self_attention.query_key_value", "FalconLinear", NULL},
    {LAYER "self_attention.dense", "FalconLinear", NULL},
    {LAYER "self_attention.attention_dropout", "Dropout", "p=0.0, inplace=False"},
    {LAYER "mlp", "FalconMLP", NULL},
    {LAYER "mlp.dense_h_to_4h", "FalconLinear", NULL},
    {LAYER "mlp.act", "GELUActivation", NULL},
    {LAYER "mlp.dense_4h_to_h", "FalconLinear", NULL},
    {LAYER "post_attention_layernorm", "LayerNorm", NULL},
    {LAYER "input_layernorm", "LayerNorm", NULL},
    {ROOT "ln_f", "LayerNorm", NULL},
    {ROOT "rotary_emb", "FalconRotaryEmbedding", NULL},
    {"lm_head", "Linear", NULL},
};

static const char *const default_targets[] = {"query_key_value", NULL};

static enum loam_status complete(struct loam_config *config, const json_t *root, const char *name,
                                 struct loam_error *error)
{
    bool shared = true;
    LOAM_TRY(loam_json_get_bool(root, name, "multi_query", &shared, error));
    config->kv_heads = shared ? 1 : config->heads;
    return LOAM_OK;
}

const struct loam_family loam_family_falcon = {
    .model_type = "falcon",
    .cases = {{"new_decoder_architecture", "false", "false"},
              {"parallel_attn", "true", "true"},
              {"multi_query", "true", "true"},
              {"alibi", "false", "false"}},
    .gguf_architecture = "falcon",
    .architecture = "FalconForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_LAYERNORM,
    .position = LOAM_ROPE,
    .branches = {{LOAM_BODY_ATTENTION, LOAM_NORM_ATTENTION, LOAM_NO_NORM, true, 0},
                 {LOAM_BODY_MLP, LOAM_NORM_ATTENTION, LOAM_NO_NORM, true, 0}},
    .branch_count = 2,
    .query = {LOAM_QKV, .stride = 1},
    .key = {LOAM_QKV, .first_queries = 1, .stride = 1},
    .value = {LOAM_QKV, .first_queries = 1, .first_keys = 1, .stride = 1},
    .kinds = kinds,
    .kind_count = COUNT(kinds),
    .rope_count = 1,
    .rows = rows,
    .row_count = COUNT(rows),
    .defaults = &defaults,
    .keys = keys,
    .key_count = COUNT(keys),
    .complete = complete,
    .dropouts = dropouts,
    .modules = modules,
    .module_count = COUNT(modules),
    .default_targets = default_targets,
};
const struct loam_family loam_family_falcon_serial = {
    .model_type = "falcon",
    .cases = {{"new_decoder_architecture", "false", "false"},
              {"parallel_attn", "false", "true"},
              {"multi_query", "false", "true"},
              {"alibi", "true", "false"}},
    .gguf_architecture = "falcon",
    .architecture = "FalconForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_LAYERNORM,
    .alibi_slopes = alibi_slopes,
    .position = LOAM_ALIBI,
    .branches = {{LOAM_BODY_ATTENTION, LOAM_NORM_ATTENTION, LOAM_NO_NORM, false, 0},
                 {LOAM_BODY_MLP, LOAM_NORM_MLP, LOAM_NO_NORM, false, 0}},
    .branch_count = 2,
    .query = {LOAM_QKV, .first = 0, .stride = 3},
    .key = {LOAM_QKV, .first = 1, .stride = 3},
    .value = {LOAM_QKV, .first = 2, .stride = 3},
    .kinds = without_rope,
    .kind_count = COUNT(without_rope),
    .rows = rows,
    .row_count = COUNT(rows),
    .defaults = &defaults,
    .keys = keys,
    .key_count = COUNT(keys),
    .complete = complete,
    .dropouts = dropouts,
    .modules = modules,
    .module_count = COUNT(modules),
    .default_targets = default_targets,
};
