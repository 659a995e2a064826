// GLM-4: norms before and after each branch, interleaved partial RoPE, gate and up in one matrix.
#include "model/family_parts.h"

#define ROOT "model."
#define LAYER ROOT "layers.%d."
#define BLOCK "blk.%d."

// clang-format off
static const struct loam_weight_row rows[] = {
    {LOAM_ROLE_EMBEDDING, 0, ROOT "embed_tokens.weight", {LOAM_DIM_V, LOAM_DIM_H}, 0,
     "token_embd.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_Q, LAYER "self_attn.q_proj.weight", {LOAM_DIM_QD, LOAM_DIM_H}, 0,
     BLOCK "attn_q.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_Q, LAYER "self_attn.q_proj.bias", {LOAM_DIM_QD}, LOAM_WEIGHT_BIAS | LOAM_WEIGHT_IF_ATTENTION_BIAS,
     BLOCK "attn_q.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_K, LAYER "self_attn.k_proj.weight", {LOAM_DIM_GD, LOAM_DIM_H}, 0,
     BLOCK "attn_k.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_K, LAYER "self_attn.k_proj.bias", {LOAM_DIM_GD}, LOAM_WEIGHT_BIAS | LOAM_WEIGHT_IF_ATTENTION_BIAS,
     BLOCK "attn_k.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_V, LAYER "self_attn.v_proj.weight", {LOAM_DIM_GD, LOAM_DIM_H}, 0,
     BLOCK "attn_v.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_V, LAYER "self_attn.v_proj.bias", {LOAM_DIM_GD}, LOAM_WEIGHT_BIAS | LOAM_WEIGHT_IF_ATTENTION_BIAS,
     BLOCK "attn_v.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_O, LAYER "self_attn.o_proj.weight", {LOAM_DIM_H, LOAM_DIM_QD}, 0,
     BLOCK "attn_output.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_GATE_UP, LAYER "mlp.gate_up_proj.weight", {LOAM_DIM_2F, LOAM_DIM_H}, 0,
     BLOCK "ffn_up.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_DOWN, LAYER "mlp.down_proj.weight", {LOAM_DIM_H, LOAM_DIM_F}, 0,
     BLOCK "ffn_down.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_ATTENTION, LAYER "input_layernorm.weight", {LOAM_DIM_H}, 0,
     BLOCK "attn_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_MLP, LAYER "post_attention_layernorm.weight", {LOAM_DIM_H}, 0,
     BLOCK "ffn_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_AFTER_ATTENTION, LAYER "post_self_attn_layernorm.weight", {LOAM_DIM_H}, 0,
     BLOCK "post_attention_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_AFTER_MLP, LAYER "post_mlp_layernorm.weight", {LOAM_DIM_H}, 0,
     BLOCK "post_ffw_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_FINAL_NORM, 0, ROOT "norm.weight", {LOAM_DIM_H}, 0,
     "output_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_HEAD, 0, "lm_head.weight", {LOAM_DIM_V, LOAM_DIM_H}, LOAM_WEIGHT_TIED,
     "output.weight", LOAM_GGUF_ROWS_SAME},
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
    {{"rms_norm_eps"}, LOAM_CONFIG_DOUBLE, offsetof(struct loam_config, norm_eps), false},
    {{"initializer_range"}, LOAM_CONFIG_DOUBLE, offsetof(struct loam_config, initializer_range), false},
    {{"tie_word_embeddings"}, LOAM_CONFIG_BOOL, offsetof(struct loam_config, tied_head), false},
    {{"hidden_act"}, LOAM_CONFIG_ACTIVATION, offsetof(struct loam_config, activation), false},
    {{"attention_bias"}, LOAM_CONFIG_BOOL, offsetof(struct loam_config, attention_bias), false},
};

static const struct loam_config defaults = {
    .kv_heads = 2,
    .head_dim = 128,
    .max_positions = 131072,
    .activation = LOAM_SILU,
    .norm_eps = 0.00000015625,
    .initializer_range = 0.02,
    .ropes = {{.theta = 10000.0}},
    .attention_bias = true,
    .rotary_fraction = 0.5,
};

static const char *const dropouts[] = {"attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "Glm4Model", NULL},
    {ROOT "embed_tokens", "Embedding", NULL},
    {ROOT "layers", "ModuleList", NULL},
    {ROOT "layers.%d", "Glm4DecoderLayer", NULL},
    {LAYER "self_attn", "Glm4Attention", NULL},
    {LAYER "self_attn.q_proj", "Linear", NULL},
    {LAYER "self_attn.k_proj", "Linear", NULL},
    {LAYER "self_attn.v_proj", "Linear", NULL},
    {LAYER "self_attn.o_proj", "Linear", NULL},
    {LAYER "mlp", "Glm4MLP", NULL},
    {LAYER "mlp.gate_up_proj", "Linear", NULL},
    {LAYER "mlp.down_proj", "Linear", NULL},
    {LAYER "mlp.activation_fn", "SiLUActivation", NULL},
    {LAYER "input_layernorm", "Glm4RMSNorm", NULL},
    {LAYER "post_attention_layernorm", "Glm4RMSNorm", NULL},
    {LAYER "post_self_attn_layernorm", "Glm4RMSNorm", NULL},
    {LAYER "post_mlp_layernorm", "Glm4RMSNorm", NULL},
    {ROOT "norm", "Glm4RMSNorm", NULL},
    {ROOT "rotary_emb", "Glm4RotaryEmbedding", NULL},
    {"lm_head", "Linear", NULL},
};

const struct loam_family loam_family_glm4 = {
    .model_type = "glm4",
    .gguf_architecture = "glm4",
    .architecture = "Glm4ForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_RMSNORM,
    .rope_interleaved = true,
    .rope_partial = true,
    .position = LOAM_ROPE,
    .branches = {{LOAM_BODY_ATTENTION, LOAM_NORM_ATTENTION, LOAM_NORM_AFTER_ATTENTION, false, 0},
                 {LOAM_BODY_MLP, LOAM_NORM_MLP, LOAM_NORM_AFTER_MLP, false, 0}},
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
    .dropouts = dropouts,
    .modules = modules,
    .module_count = COUNT(modules),
};
