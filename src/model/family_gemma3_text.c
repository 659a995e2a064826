// Gemma 3, text: Gemma 2 with norms over each head of query and key, two RoPE tables, five layers with a window to
// one without, no soft-cap of scores.
#include "model/family_parts.h"

#include <math.h>

#define ROOT "model."
#define LAYER ROOT "layers.%d."
#define BLOCK "blk.%d."

// clang-format off
static const struct loam_weight_row rows[] = {
    {LOAM_ROLE_EMBEDDING, 0, ROOT "embed_tokens.weight", {LOAM_DIM_V, LOAM_DIM_H}, 0,
     "token_embd.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_ATTENTION, LAYER "input_layernorm.weight", {LOAM_DIM_H}, 0,
     BLOCK "attn_norm.weight", LOAM_GGUF_ROWS_SAME},
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
    {LOAM_ROLE_LINEAR, LOAM_O, LAYER "self_attn.o_proj.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS | LOAM_WEIGHT_IF_ATTENTION_BIAS,
     BLOCK "attn_output.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_Q, LAYER "self_attn.q_norm.weight", {LOAM_DIM_D}, 0,
     BLOCK "attn_q_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_K, LAYER "self_attn.k_norm.weight", {LOAM_DIM_D}, 0,
     BLOCK "attn_k_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_AFTER_ATTENTION, LAYER "post_attention_layernorm.weight", {LOAM_DIM_H}, 0,
     BLOCK "post_attention_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_MLP, LAYER "pre_feedforward_layernorm.weight", {LOAM_DIM_H}, 0,
     BLOCK "ffn_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_AFTER_MLP, LAYER "post_feedforward_layernorm.weight", {LOAM_DIM_H}, 0,
     BLOCK "post_ffw_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_GATE, LAYER "mlp.gate_proj.weight", {LOAM_DIM_F, LOAM_DIM_H}, 0,
     BLOCK "ffn_gate.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_UP, LAYER "mlp.up_proj.weight", {LOAM_DIM_F, LOAM_DIM_H}, 0,
     BLOCK "ffn_up.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_DOWN, LAYER "mlp.down_proj.weight", {LOAM_DIM_H, LOAM_DIM_F}, 0,
     BLOCK "ffn_down.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_FINAL_NORM, 0, ROOT "norm.weight", {LOAM_DIM_H}, 0,
     "output_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_HEAD, 0, "lm_head.weight", {LOAM_DIM_V, LOAM_DIM_H}, LOAM_WEIGHT_TIED,
     "output.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_IGNORED, 0, LAYER "self_attn.rotary_emb.inv_freq", {LOAM_DIM_NONE}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
};
// clang-format on

static const struct loam_layer_kind kinds[] = {
    {"full_attention", 0, 0}, {"sliding_attention", offsetof(struct loam_config, window), 1}};

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
    {{"hidden_activation"}, LOAM_CONFIG_ACTIVATION, offsetof(struct loam_config, activation), false},
    {{"attention_bias"}, LOAM_CONFIG_BOOL, offsetof(struct loam_config, attention_bias), false},
    {{"sliding_window"}, LOAM_CONFIG_INT_OR_NONE, offsetof(struct loam_config, window), false},
    {{"layer_types"}, LOAM_CONFIG_KINDS, offsetof(struct loam_config, layer_kinds), false},
    {{"query_pre_attn_scalar"}, LOAM_CONFIG_DOUBLE, offsetof(struct loam_config, attention_factor), false},
    {{"final_logit_softcapping"},
     LOAM_CONFIG_DOUBLE_OR_NONE,
     offsetof(struct loam_config, logit_softcap),
     false},
    {{"rope_local_base_freq"}, LOAM_CONFIG_DOUBLE, offsetof(struct loam_config, ropes[1].theta), false},
};

static const struct loam_config defaults = {
    .kv_heads = 4,
    .head_dim = 256,
    .max_positions = 131072,
    .activation = LOAM_GELU_TANH,
    .norm_eps = 1e-6,
    .initializer_range = 0.02,
    .ropes = {{.theta = 1000000.0}, {.theta = 10000.0}},
    .tied_head = true,
    .window = 4096,
    .attention_factor = 256,
};

static const struct loam_config_rule rules[] = {
    {"use_bidirectional_attention", {"false"}, NULL},
    {"attn_logit_softcapping", {"null"}, NULL},
};

static const char *const dropouts[] = {"attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "Gemma3TextModel", NULL},
    {ROOT "embed_tokens", "Gemma3TextScaledWordEmbedding", NULL},
    {ROOT "layers", "ModuleList", NULL},
    {ROOT "layers.%d", "Gemma3DecoderLayer", NULL},
    {LAYER "self_attn", "Gemma3Attention", NULL},
    {LAYER "self_attn.q_proj", "Linear", NULL},
    {LAYER "self_attn.k_proj", "Linear", NULL},
    {LAYER "self_attn.v_proj", "Linear", NULL},
    {LAYER "self_attn.o_proj", "Linear", NULL},
    {LAYER "self_attn.q_norm", "Gemma3RMSNorm", NULL},
    {LAYER "self_attn.k_norm", "Gemma3RMSNorm", NULL},
    {LAYER "mlp", "Gemma3MLP", NULL},
    {LAYER "mlp.gate_proj", "Linear", NULL},
    {LAYER "mlp.up_proj", "Linear", NULL},
    {LAYER "mlp.down_proj", "Linear", NULL},
    {LAYER "mlp.act_fn", "GELUTanh", NULL},
    {LAYER "input_layernorm", "Gemma3RMSNorm", NULL},
    {LAYER "post_attention_layernorm", "Gemma3RMSNorm", NULL},
    {LAYER "pre_feedforward_layernorm", "Gemma3RMSNorm", NULL},
    {LAYER "post_feedforward_layernorm", "Gemma3RMSNorm", NULL},
    {ROOT "norm", "Gemma3RMSNorm", NULL},
    {ROOT "rotary_emb", "Gemma3RotaryEmbedding", NULL},
    {"lm_head", "Linear", NULL},
};

static const char *const default_targets[] = {"q_proj", "v_proj", NULL};

static enum loam_status complete(struct loam_config *config, const json_t *root, const char *name,
                                 struct loam_error *error)
{
    int64_t period = 6;
    LOAM_TRY(loam_json_get_int(root, name, "sliding_window_pattern", &period, error));
    if (!(config->attention_factor > 0))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"query_pre_attn_scalar\" must be positive", name);
    config->attention_factor = 1.0 / sqrt(config->attention_factor);
    config->embedding_factor = sqrt((double)config->hidden);
    return loam_config_fill_kinds(config, name, 0, period, error);
}

const struct loam_family loam_family_gemma3_text = {
    .model_type = "gemma3_text",
    .gguf_architecture = "gemma3",
    .architecture = "Gemma3ForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_RMSNORM,
    .norm_offset = 1.0f,
    .rounds_embedding_factor = true,
    .position = LOAM_ROPE,
    .branches = {{LOAM_BODY_ATTENTION, LOAM_NORM_ATTENTION, LOAM_NORM_AFTER_ATTENTION, false, 0},
                 {LOAM_BODY_MLP, LOAM_NORM_MLP, LOAM_NORM_AFTER_MLP, false, 0}},
    .branch_count = 2,
    .query = {LOAM_Q, .stride = 1},
    .key = {LOAM_K, .stride = 1},
    .value = {LOAM_V, .stride = 1},
    .kinds = kinds,
    .kind_count = COUNT(kinds),
    .rope_count = 2,
    .rows = rows,
    .row_count = COUNT(rows),
    .defaults = &defaults,
    .keys = keys,
    .key_count = COUNT(keys),
    .rules = rules,
    .rule_count = COUNT(rules),
    .complete = complete,
    .dropouts = dropouts,
    .modules = modules,
    .module_count = COUNT(modules),
    .default_targets = default_targets,
};
