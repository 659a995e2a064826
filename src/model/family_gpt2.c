// GPT-2: learned positions, LayerNorm, matrices that are stored transposed, query, key and value by blocks.
#include "model/family_parts.h"

#define ROOT "transformer."
#define LAYER ROOT "h.%d."
#define BLOCK "blk.%d."

// clang-format off
static const struct loam_weight_row rows[] = {
    {LOAM_ROLE_EMBEDDING, 0, ROOT "wte.weight", {LOAM_DIM_V, LOAM_DIM_H}, 0,
     "token_embd.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_POSITIONS, 0, ROOT "wpe.weight", {LOAM_DIM_P, LOAM_DIM_H}, 0,
     "position_embd.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_ATTENTION, LAYER "ln_1.weight", {LOAM_DIM_H}, 0,
     BLOCK "attn_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_ATTENTION, LAYER "ln_1.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     BLOCK "attn_norm.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_QKV, LAYER "attn.c_attn.weight", {LOAM_DIM_H, LOAM_DIM_QKV}, LOAM_WEIGHT_TRANSPOSED,
     BLOCK "attn_qkv.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_QKV, LAYER "attn.c_attn.bias", {LOAM_DIM_QKV}, LOAM_WEIGHT_BIAS,
     BLOCK "attn_qkv.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_O, LAYER "attn.c_proj.weight", {LOAM_DIM_QD, LOAM_DIM_H}, LOAM_WEIGHT_TRANSPOSED,
     BLOCK "attn_output.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_O, LAYER "attn.c_proj.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     BLOCK "attn_output.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_MLP, LAYER "ln_2.weight", {LOAM_DIM_H}, 0,
     BLOCK "ffn_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_MLP, LAYER "ln_2.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     BLOCK "ffn_norm.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_UP, LAYER "mlp.c_fc.weight", {LOAM_DIM_H, LOAM_DIM_F}, LOAM_WEIGHT_TRANSPOSED,
     BLOCK "ffn_up.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_UP, LAYER "mlp.c_fc.bias", {LOAM_DIM_F}, LOAM_WEIGHT_BIAS,
     BLOCK "ffn_up.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_DOWN, LAYER "mlp.c_proj.weight", {LOAM_DIM_F, LOAM_DIM_H}, LOAM_WEIGHT_TRANSPOSED,
     BLOCK "ffn_down.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_DOWN, LAYER "mlp.c_proj.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     BLOCK "ffn_down.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_FINAL_NORM, 0, ROOT "ln_f.weight", {LOAM_DIM_H}, 0,
     "output_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_FINAL_NORM, 0, ROOT "ln_f.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     "output_norm.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_HEAD, 0, "lm_head.weight", {LOAM_DIM_V, LOAM_DIM_H}, LOAM_WEIGHT_TIED,
     "output.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_IGNORED, 0, LAYER "attn.bias", {LOAM_DIM_NONE}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_IGNORED, 0, LAYER "attn.masked_bias", {LOAM_DIM_NONE}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
};
// clang-format on

static const struct loam_layer_kind kinds[] = {{"full_attention", 0, LOAM_NO_ROPE}};

static const struct loam_config_key keys[] = {
    {{"n_embd", "hidden_size"}, LOAM_CONFIG_INT, offsetof(struct loam_config, hidden), true},
    {{"n_layer", "num_hidden_layers"}, LOAM_CONFIG_INT, offsetof(struct loam_config, layers), true},
    {{"n_head", "num_attention_heads"}, LOAM_CONFIG_INT, offsetof(struct loam_config, heads), true},
    {{"n_inner"}, LOAM_CONFIG_INT, offsetof(struct loam_config, inner), false},
    {{"vocab_size"}, LOAM_CONFIG_INT, offsetof(struct loam_config, vocabulary), true},
    {{"n_positions", "max_position_embeddings"},
     LOAM_CONFIG_INT,
     offsetof(struct loam_config, max_positions),
     false},
    {{"layer_norm_epsilon"}, LOAM_CONFIG_DOUBLE, offsetof(struct loam_config, norm_eps), false},
    {{"initializer_range"}, LOAM_CONFIG_DOUBLE, offsetof(struct loam_config, initializer_range), false},
    {{"tie_word_embeddings"}, LOAM_CONFIG_BOOL, offsetof(struct loam_config, tied_head), false},
    {{"activation_function"}, LOAM_CONFIG_ACTIVATION, offsetof(struct loam_config, activation), false},
};

static const struct loam_config defaults = {
    .kv_heads = LOAM_CONFIG_DERIVED,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 1024,
    .activation = LOAM_GELU_TANH,
    .norm_eps = 1e-5,
    .initializer_range = 0.02,
    .inner = LOAM_CONFIG_DERIVED,
    .tied_head = true,
};

static const struct loam_config_rule rules[] = {
    {"scale_attn_by_inverse_layer_idx", {"false"}, NULL},
    {"scale_attn_weights", {"true"}, NULL},
    {"add_cross_attention", {"false"}, NULL},
};

static const char *const dropouts[] = {"resid_pdrop", "embd_pdrop", "attn_pdrop", NULL};

static const struct loam_module_row modules[] = {
    {"transformer", "GPT2Model", NULL},
    {ROOT "wte", "Embedding", NULL},
    {ROOT "wpe", "Embedding", NULL},
    {ROOT "drop", "Dropout", "p=0.1, inplace=False"},
    {ROOT "h", "ModuleList", NULL},
    {ROOT "h.%d", "GPT2Block", NULL},
    {LAYER "ln_1", "LayerNorm", NULL},
    {LAYER "attn", "GPT2Attention", NULL},
    {LAYER "attn.c_attn", "Conv1D", NULL},
    {LAYER "attn.c_proj", "Conv1D", NULL},
    {LAYER "attn.attn_dropout", "Dropout", "p=0.1, inplace=False"},
    {LAYER "attn.resid_dropout", "Dropout", "p=0.1, inplace=False"},
    {LAYER "ln_2", "LayerNorm", NULL},
    {LAYER "mlp", "GPT2MLP", NULL},
    {LAYER "mlp.c_fc", "Conv1D", NULL},
    {LAYER "mlp.c_proj", "Conv1D", NULL},
    {LAYER "mlp.act", "NewGELUActivation", NULL},
    {LAYER "mlp.dropout", "Dropout", "p=0.1, inplace=False"},
    {ROOT "ln_f", "LayerNorm", NULL},
    {"lm_head", "Linear", NULL},
};

static const char *const default_targets[] = {"c_attn", NULL};

const struct loam_family loam_family_gpt2 = {
    .model_type = "gpt2",
    .gguf_architecture = "gpt2",
    .architecture = "GPT2LMHeadModel",
    .prefix = ROOT,
    .norm = LOAM_LAYERNORM,
    .position = LOAM_LEARNED,
    .branches = {{LOAM_BODY_ATTENTION, LOAM_NORM_ATTENTION, LOAM_NO_NORM, false, 0},
                 {LOAM_BODY_MLP, LOAM_NORM_MLP, LOAM_NO_NORM, false, 0}},
    .branch_count = 2,
    .query = {LOAM_QKV, .stride = 1},
    .key = {LOAM_QKV, .first_queries = 1, .stride = 1},
    .value = {LOAM_QKV, .first_queries = 1, .first_keys = 1, .stride = 1},
    .kinds = kinds,
    .kind_count = COUNT(kinds),
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
