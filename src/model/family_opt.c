// OPT: learned positions whose first row is the third, LayerNorm, ReLU.
#include "model/family_parts.h"

#define ROOT "model.decoder."
#define LAYER ROOT "layers.%d."

// clang-format off
static const struct loam_weight_row rows[] = {
    {LOAM_ROLE_EMBEDDING, 0, ROOT "embed_tokens.weight", {LOAM_DIM_V, LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_POSITIONS, 0, ROOT "embed_positions.weight", {LOAM_DIM_P, LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_FINAL_NORM, 0, ROOT "final_layer_norm.weight", {LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_FINAL_NORM, 0, ROOT "final_layer_norm.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_K, LAYER "self_attn.k_proj.weight", {LOAM_DIM_GD, LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_K, LAYER "self_attn.k_proj.bias", {LOAM_DIM_GD}, LOAM_WEIGHT_BIAS | LOAM_WEIGHT_IF_ATTENTION_BIAS,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_V, LAYER "self_attn.v_proj.weight", {LOAM_DIM_GD, LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_V, LAYER "self_attn.v_proj.bias", {LOAM_DIM_GD}, LOAM_WEIGHT_BIAS | LOAM_WEIGHT_IF_ATTENTION_BIAS,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_Q, LAYER "self_attn.q_proj.weight", {LOAM_DIM_QD, LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_Q, LAYER "self_attn.q_proj.bias", {LOAM_DIM_QD}, LOAM_WEIGHT_BIAS | LOAM_WEIGHT_IF_ATTENTION_BIAS,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_O, LAYER "self_attn.out_proj.weight", {LOAM_DIM_H, LOAM_DIM_QD}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_O, LAYER "self_attn.out_proj.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS | LOAM_WEIGHT_IF_ATTENTION_BIAS,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_ATTENTION, LAYER "self_attn_layer_norm.weight", {LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_ATTENTION, LAYER "self_attn_layer_norm.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_UP, LAYER "fc1.weight", {LOAM_DIM_F, LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_UP, LAYER "fc1.bias", {LOAM_DIM_F}, LOAM_WEIGHT_BIAS | LOAM_WEIGHT_IF_ATTENTION_BIAS,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_DOWN, LAYER "fc2.weight", {LOAM_DIM_H, LOAM_DIM_F}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_DOWN, LAYER "fc2.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS | LOAM_WEIGHT_IF_ATTENTION_BIAS,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_MLP, LAYER "final_layer_norm.weight", {LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_MLP, LAYER "final_layer_norm.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_HEAD, 0, "lm_head.weight", {LOAM_DIM_V, LOAM_DIM_H}, LOAM_WEIGHT_TIED,
     NULL, LOAM_GGUF_ROWS_SAME},
};
// clang-format on

static const struct loam_layer_kind kinds[] = {{"full_attention", 0, LOAM_NO_ROPE}};

static const struct loam_config_key keys[] = {
    {{"hidden_size"}, LOAM_CONFIG_INT, offsetof(struct loam_config, hidden), true},
    {{"num_hidden_layers"}, LOAM_CONFIG_INT, offsetof(struct loam_config, layers), true},
    {{"num_attention_heads"}, LOAM_CONFIG_INT, offsetof(struct loam_config, heads), true},
    {{"ffn_dim"}, LOAM_CONFIG_INT, offsetof(struct loam_config, inner), true},
    {{"vocab_size"}, LOAM_CONFIG_INT, offsetof(struct loam_config, vocabulary), true},
    {{"max_position_embeddings"}, LOAM_CONFIG_INT, offsetof(struct loam_config, max_positions), false},
    {{"init_std"}, LOAM_CONFIG_DOUBLE, offsetof(struct loam_config, initializer_range), false},
    {{"tie_word_embeddings"}, LOAM_CONFIG_BOOL, offsetof(struct loam_config, tied_head), false},
    {{"activation_function"}, LOAM_CONFIG_ACTIVATION, offsetof(struct loam_config, activation), false},
    {{"enable_bias"}, LOAM_CONFIG_BOOL, offsetof(struct loam_config, attention_bias), false},
};

static const struct loam_config defaults = {
    .kv_heads = LOAM_CONFIG_DERIVED,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 2048,
    .activation = LOAM_RELU,
    .norm_eps = 1e-5,
    .initializer_range = 0.02,
    .tied_head = true,
    .attention_bias = true,
};

static const struct loam_config_rule rules[] = {
    {"do_layer_norm_before", {"true"}, NULL},
    {"layer_norm_elementwise_affine", {"true"}, NULL},
    {"_remove_final_layer_norm", {"false"}, NULL},
};

static const char *const dropouts[] = {"dropout", "attention_dropout", "layerdrop", NULL};

static const struct loam_module_row modules[] = {
    {"model", "OPTModel", NULL},
    {"model.decoder", "OPTDecoder", NULL},
    {ROOT "embed_tokens", "Embedding", NULL},
    {ROOT "embed_positions", "OPTLearnedPositionalEmbedding", NULL},
    {ROOT "final_layer_norm", "LayerNorm", NULL},
    {ROOT "layers", "ModuleList", NULL},
    {ROOT "layers.%d", "OPTDecoderLayer", NULL},
    {LAYER "self_attn", "OPTAttention", NULL},
    {LAYER "self_attn.k_proj", "Linear", NULL},
    {LAYER "self_attn.v_proj", "Linear", NULL},
    {LAYER "self_attn.q_proj", "Linear", NULL},
    {LAYER "self_attn.out_proj", "Linear", NULL},
    {LAYER "activation_fn", "ReLU", NULL},
    {LAYER "self_attn_layer_norm", "LayerNorm", NULL},
    {LAYER "fc1", "Linear", NULL},
    {LAYER "fc2", "Linear", NULL},
    {LAYER "final_layer_norm", "LayerNorm", NULL},
    {"lm_head", "Linear", NULL},
};

static const char *const default_targets[] = {"q_proj", "v_proj", NULL};

static enum loam_status complete(struct loam_config *config, const json_t *root, const char *name,
                                 struct loam_error *error)
{
    int64_t width = config->hidden;
    LOAM_TRY(loam_json_get_int(root, name, "word_embed_proj_dim", &width, error));
    if (width == config->hidden) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                     "%s: \"word_embed_proj_dim\" is %lld; only the hidden size %lld is supported", name,
                     (long long)width, (long long)config->hidden);
}

const struct loam_family loam_family_opt = {
    .model_type = "opt",
    .architecture = "OPTForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_LAYERNORM,
    .position_offset = 2,
    .position = LOAM_LEARNED,
    .branches = {{LOAM_BODY_ATTENTION, LOAM_NORM_ATTENTION, LOAM_NO_NORM, false, 0},
                 {LOAM_BODY_MLP, LOAM_NORM_MLP, LOAM_NO_NORM, false, 0}},
    .branch_count = 2,
    .query = {LOAM_Q, .stride = 1},
    .key = {LOAM_K, .stride = 1},
    .value = {LOAM_V, .stride = 1},
    .kinds = kinds,
    .kind_count = COUNT(kinds),
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
