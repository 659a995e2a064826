// Phi-1, Phi-1.5 and Phi-2: attention and MLP in parallel behind one LayerNorm, partial RoPE, biases everywhere.
#include "model/family_parts.h"

#define ROOT "model."
#define LAYER ROOT "layers.%d."
#define BLOCK "blk.%d."

// clang-format off
static const struct loam_weight_row rows[] = {
    {LOAM_ROLE_EMBEDDING, 0, ROOT "embed_tokens.weight", {LOAM_DIM_V, LOAM_DIM_H}, 0,
     "token_embd.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_ATTENTION, LAYER "input_layernorm.weight", {LOAM_DIM_H}, 0,
     BLOCK "attn_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_ATTENTION, LAYER "input_layernorm.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     BLOCK "attn_norm.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_Q, LAYER "self_attn.q_proj.weight", {LOAM_DIM_QD, LOAM_DIM_H}, 0,
     BLOCK "attn_q.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_Q, LAYER "self_attn.q_proj.bias", {LOAM_DIM_QD}, LOAM_WEIGHT_BIAS,
     BLOCK "attn_q.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_K, LAYER "self_attn.k_proj.weight", {LOAM_DIM_GD, LOAM_DIM_H}, 0,
     BLOCK "attn_k.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_K, LAYER "self_attn.k_proj.bias", {LOAM_DIM_GD}, LOAM_WEIGHT_BIAS,
     BLOCK "attn_k.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_V, LAYER "self_attn.v_proj.weight", {LOAM_DIM_GD, LOAM_DIM_H}, 0,
     BLOCK "attn_v.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_V, LAYER "self_attn.v_proj.bias", {LOAM_DIM_GD}, LOAM_WEIGHT_BIAS,
     BLOCK "attn_v.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_O, LAYER "self_attn.dense.weight", {LOAM_DIM_H, LOAM_DIM_QD}, 0,
     BLOCK "attn_output.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_O, LAYER "self_attn.dense.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     BLOCK "attn_output.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_UP, LAYER "mlp.fc1.weight", {LOAM_DIM_F, LOAM_DIM_H}, 0,
     BLOCK "ffn_up.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_UP, LAYER "mlp.fc1.bias", {LOAM_DIM_F}, LOAM_WEIGHT_BIAS,
     BLOCK "ffn_up.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_DOWN, LAYER "mlp.fc2.weight", {LOAM_DIM_H, LOAM_DIM_F}, 0,
     BLOCK "ffn_down.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_DOWN, LAYER "mlp.fc2.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     BLOCK "ffn_down.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_FINAL_NORM, 0, ROOT "final_layernorm.weight", {LOAM_DIM_H}, 0,
     "output_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_FINAL_NORM, 0, ROOT "final_layernorm.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     "output_norm.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_HEAD, 0, "lm_head.weight", {LOAM_DIM_V, LOAM_DIM_H}, LOAM_WEIGHT_TIED,
     "output.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_HEAD, 0, "lm_head.bias", {LOAM_DIM_V}, LOAM_WEIGHT_BIAS,
     "output.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_IGNORED, 0, LAYER "self_attn.rotary_emb.inv_freq", {LOAM_DIM_NONE}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
};
// clang-format on

static const struct loam_layer_kind kinds[] = {{"full_attention", 0, 0}};

static const struct loam_config_key keys[] = {
    {{"hidden_size"}, LOAM_CONFIG_INT, offsetof(struct loam_config, hidden), true},
    {{"num_hidden_layers"}, LOAM_CONFIG_INT, offsetof(struct loam_config, layers), true},
    {{"num_attention_heads"}, LOAM_CONFIG_INT, offsetof(struct loam_config, heads), true},
    {{"num_key_value_heads"}, LOAM_CONFIG_INT, offsetof(struct loam_config, kv_heads), false},
    {{"head_dim"}, LOAM_CONFIG_INT, offsetof(struct loam_config, head_dim), false},
    {{"intermediate_size"}, LOAM_CONFIG_INT, offsetof(struct loam_config, inner), true},
    {{"vocab_size"}, LOAM_CONFIG_INT, offsetof(struct loam_config, vocabulary), true},
    {{"max_position_embeddings"}, LOAM_CONFIG_INT, offsetof(struct loam_config, max_positions), false},
    {{"layer_norm_eps"}, LOAM_CONFIG_DOUBLE, offsetof(struct loam_config, norm_eps), false},
    {{"initializer_range"}, LOAM_CONFIG_DOUBLE, offsetof(struct loam_config, initializer_range), false},
    {{"tie_word_embeddings"}, LOAM_CONFIG_BOOL, offsetof(struct loam_config, tied_head), false},
    {{"hidden_act"}, LOAM_CONFIG_ACTIVATION, offsetof(struct loam_config, activation), false},
};

static const struct loam_config defaults = {
    .kv_heads = LOAM_CONFIG_DERIVED,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 2048,
    .activation = LOAM_GELU_TANH,
    .norm_eps = 1e-5,
    .initializer_range = 0.02,
    .ropes = {{.theta = 10000.0}},
    .rotary_fraction = 0.5,
};

static const struct loam_config_rule rules[] = {
    {"qk_layernorm", {"false"}, NULL},
};

static const char *const dropouts[] = {"resid_pdrop", "embd_pdrop", "attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "PhiModel", NULL},
    {ROOT "embed_tokens", "Embedding", NULL},
    {ROOT "layers", "ModuleList", NULL},
    {ROOT "layers.%d", "PhiDecoderLayer", NULL},
    {LAYER "self_attn", "PhiAttention", NULL},
    {LAYER "self_attn.q_proj", "Linear", NULL},
    {LAYER "self_attn.k_proj", "Linear", NULL},
    {LAYER "self_attn.v_proj", "Linear", NULL},
    {LAYER "self_attn.dense", "Linear", NULL},
    {LAYER "mlp", "PhiMLP", NULL},
    {LAYER "mlp.activation_fn", "NewGELUActivation", NULL},
    {LAYER "mlp.fc1", "Linear", NULL},
    {LAYER "mlp.fc2", "Linear", NULL},
    {LAYER "input_layernorm", "LayerNorm", NULL},
    {LAYER "resid_dropout", "Dropout", "p=0.0, inplace=False"},
    {ROOT "rotary_emb", "PhiRotaryEmbedding", NULL},
    {ROOT "embed_dropout", "Dropout", "p=0.0, inplace=False"},
    {ROOT "final_layernorm", "LayerNorm", NULL},
    {"lm_head", "Linear", NULL},
};

static const char *const default_targets[] = {"q_proj", "v_proj", "fc1", "fc2", NULL};

const struct loam_family loam_family_phi = {
    .model_type = "phi",
    .gguf_architecture = "phi2",
    .architecture = "PhiForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_LAYERNORM,
    .rope_partial = true,
    .position = LOAM_ROPE,
    .branches = {{LOAM_BODY_ATTENTION, LOAM_NORM_ATTENTION, LOAM_NO_NORM, true, 0},
                 {LOAM_BODY_MLP, LOAM_NORM_ATTENTION, LOAM_NO_NORM, true, 0}},
    .branch_count = 2,
    .query = {LOAM_Q, .stride = 1},
    .key = {LOAM_K, .stride = 1},
    .value = {LOAM_V, .stride = 1},
    .kinds = kinds,
    .kind_count = COUNT(kinds),
    .rope_count = 1,
    .rows = rows,
    .row_count = COUNT(rows),
    .defaults = &defaults,
    .keys = keys,
    .key_count = COUNT(keys),
    .rules = rules,
    .rule_count = COUNT(rules),
    .dropouts = dropouts,
    .modules = modules,
    .module_count = COUNT(modules),
    .default_targets = default_targets,
};
