// GPT-NeoX (Pythia): LayerNorm, partial RoPE, query, key and value by head, attention and MLP in parallel with a norm
// each, or one after the other.
#include "model/family_parts.h"

#define ROOT "gpt_neox."
#define LAYER ROOT "layers.%d."
#define BLOCK "blk.%d."

// clang-format off
static const struct loam_weight_row rows[] = {
    {LOAM_ROLE_EMBEDDING, 0, ROOT "embed_in.weight", {LOAM_DIM_V, LOAM_DIM_H}, 0,
     "token_embd.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_ATTENTION, LAYER "input_layernorm.weight", {LOAM_DIM_H}, 0,
     BLOCK "attn_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_ATTENTION, LAYER "input_layernorm.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     BLOCK "attn_norm.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_MLP, LAYER "post_attention_layernorm.weight", {LOAM_DIM_H}, 0,
     BLOCK "ffn_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_MLP, LAYER "post_attention_layernorm.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     BLOCK "ffn_norm.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_QKV, LAYER "attention.query_key_value.weight", {LOAM_DIM_3H, LOAM_DIM_H}, 0,
     BLOCK "attn_qkv.weight", LOAM_GGUF_ROWS_QKV},
    {LOAM_ROLE_LINEAR, LOAM_QKV, LAYER "attention.query_key_value.bias", {LOAM_DIM_3H}, LOAM_WEIGHT_BIAS | LOAM_WEIGHT_IF_ATTENTION_BIAS,
     BLOCK "attn_qkv.bias", LOAM_GGUF_ROWS_QKV},
    {LOAM_ROLE_LINEAR, LOAM_O, LAYER "attention.dense.weight", {LOAM_DIM_H, LOAM_DIM_QD}, 0,
     BLOCK "attn_output.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_O, LAYER "attention.dense.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS | LOAM_WEIGHT_IF_ATTENTION_BIAS,
     BLOCK "attn_output.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_UP, LAYER "mlp.dense_h_to_4h.weight", {LOAM_DIM_F, LOAM_DIM_H}, 0,
     BLOCK "ffn_up.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_UP, LAYER "mlp.dense_h_to_4h.bias", {LOAM_DIM_F}, LOAM_WEIGHT_BIAS,
     BLOCK "ffn_up.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_DOWN, LAYER "mlp.dense_4h_to_h.weight", {LOAM_DIM_H, LOAM_DIM_F}, 0,
     BLOCK "ffn_down.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_DOWN, LAYER "mlp.dense_4h_to_h.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     BLOCK "ffn_down.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_FINAL_NORM, 0, ROOT "final_layer_norm.weight", {LOAM_DIM_H}, 0,
     "output_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_FINAL_NORM, 0, ROOT "final_layer_norm.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     "output_norm.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_HEAD, 0, "lm_head.weight", {LOAM_DIM_V, LOAM_DIM_H}, LOAM_WEIGHT_TIED,
     "output.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_IGNORED, 0, LAYER "attention.bias", {LOAM_DIM_NONE}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_IGNORED, 0, LAYER "attention.masked_bias", {LOAM_DIM_NONE}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_IGNORED, 0, LAYER "attention.rotary_emb.inv_freq", {LOAM_DIM_NONE}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
};
// clang-format on

static const struct loam_layer_kind kinds[] = {{"full_attention", 0, 0}};

static const struct loam_config_key keys[] = {
    {{"hidden_size"}, LOAM_CONFIG_INT, offsetof(struct loam_config, hidden), true},
    {{"num_hidden_layers"}, LOAM_CONFIG_INT, offsetof(struct loam_config, layers), true},
    {{"num_attention_heads"}, LOAM_CONFIG_INT, offsetof(struct loam_config, heads), true},
    {{"intermediate_size"}, LOAM_CONFIG_INT, offsetof(struct loam_config, inner), true},
    {{"vocab_size"}, LOAM_CONFIG_INT, offsetof(struct loam_config, vocabulary), true},
    {{"max_position_embeddings"}, LOAM_CONFIG_INT, offsetof(struct loam_config, max_positions), false},
    {{"layer_norm_eps"}, LOAM_CONFIG_DOUBLE, offsetof(struct loam_config, norm_eps), false},
    {{"initializer_range"}, LOAM_CONFIG_DOUBLE, offsetof(struct loam_config, initializer_range), false},
    {{"tie_word_embeddings"}, LOAM_CONFIG_BOOL, offsetof(struct loam_config, tied_head), false},
    {{"hidden_act"}, LOAM_CONFIG_ACTIVATION, offsetof(struct loam_config, activation), false},
    {{"attention_bias"}, LOAM_CONFIG_BOOL, offsetof(struct loam_config, attention_bias), false},
    {{"rotary_emb_base"}, LOAM_CONFIG_DOUBLE, offsetof(struct loam_config, ropes[0].theta), false},
    {{"rotary_pct"}, LOAM_CONFIG_DOUBLE, offsetof(struct loam_config, rotary_fraction), false},
};

static const struct loam_config defaults = {
    .kv_heads = LOAM_CONFIG_DERIVED,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 2048,
    .activation = LOAM_GELU,
    .norm_eps = 1e-5,
    .initializer_range = 0.02,
    .ropes = {{.theta = 10000.0}},
    .attention_bias = true,
    .rotary_fraction = 0.25,
};

static const char *const dropouts[] = {"attention_dropout", "hidden_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"gpt_neox", "GPTNeoXModel", NULL},
    {ROOT "embed_in", "Embedding", NULL},
    {ROOT "emb_dropout", "Dropout", "p=0.0, inplace=False"},
    {ROOT "layers", "ModuleList", NULL},
    {ROOT "layers.%d", "GPTNeoXLayer", NULL},
    {LAYER "input_layernorm", "LayerNorm", NULL},
    {LAYER "post_attention_layernorm", "LayerNorm", NULL},
    {LAYER "post_attention_dropout", "Dropout", "p=0.0, inplace=False"},
    {LAYER "post_mlp_dropout", "Dropout", "p=0.0, inplace=False"},
    {LAYER "attention", "GPTNeoXAttention", NULL},
    {LAYER "attention.query_key_value", "Linear", NULL},
    {LAYER "attention.dense", "Linear", NULL},
    {LAYER "mlp", "GPTNeoXMLP", NULL},
    {LAYER "mlp.dense_h_to_4h", "Linear", NULL},
    {LAYER "mlp.dense_4h_to_h", "Linear", NULL},
    {LAYER "mlp.act", "GELUActivation", NULL},
    {ROOT "final_layer_norm", "LayerNorm", NULL},
    {ROOT "rotary_emb", "GPTNeoXRotaryEmbedding", NULL},
    {"lm_head", "Linear", NULL},
};

static const char *const default_targets[] = {"query_key_value", NULL};

const struct loam_family loam_family_gpt_neox = {
    .model_type = "gpt_neox",
    .cases = {{"use_parallel_residual", "true", "true"}},
    .gguf_architecture = "gptneox",
    .architecture = "GPTNeoXForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_LAYERNORM,
    .head_alias = "embed_out.weight",
    .position = LOAM_ROPE,
    .branches = {{LOAM_BODY_ATTENTION, LOAM_NORM_ATTENTION, LOAM_NO_NORM, true, 0},
                 {LOAM_BODY_MLP, LOAM_NORM_MLP, LOAM_NO_NORM, true, 0}},
    .branch_count = 2,
    .query = {LOAM_QKV, .first = 0, .stride = 3},
    .key = {LOAM_QKV, .first = 1, .stride = 3},
    .value = {LOAM_QKV, .first = 2, .stride = 3},
    .kinds = kinds,
    .kind_count = COUNT(kinds),
    .rope_count = 1,
    .rows = rows,
    .row_count = COUNT(rows),
    .defaults = &defaults,
    .keys = keys,
    .key_count = COUNT(keys),
    .dropouts = dropouts,
    .modules = modules,
    .module_count = COUNT(modules),
    .default_targets = default_targets,
};
const struct loam_family loam_family_gpt_neox_serial = {
    .model_type = "gpt_neox",
    .cases = {{"use_parallel_residual", "false", "true"}},
    .gguf_architecture = "gptneox",
    .architecture = "GPTNeoXForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_LAYERNORM,
    .head_alias = "embed_out.weight",
    .position = LOAM_ROPE,
    .branches = {{LOAM_BODY_ATTENTION, LOAM_NORM_ATTENTION, LOAM_NO_NORM, false, 0},
                 {LOAM_BODY_MLP, LOAM_NORM_MLP, LOAM_NO_NORM, false, 0}},
    .branch_count = 2,
    .query = {LOAM_QKV, .first = 0, .stride = 3},
    .key = {LOAM_QKV, .first = 1, .stride = 3},
    .value = {LOAM_QKV, .first = 2, .stride = 3},
    .kinds = kinds,
    .kind_count = COUNT(kinds),
    .rope_count = 1,
    .rows = rows,
    .row_count = COUNT(rows),
    .defaults = &defaults,
    .keys = keys,
    .key_count = COUNT(keys),
    .dropouts = dropouts,
    .modules = modules,
    .module_count = COUNT(modules),
    .default_targets = default_targets,
};
