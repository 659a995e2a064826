// BLOOM (Le Scao et al. 2022): LayerNorm, a norm over the embedding, ALiBi, one matrix for query, key and
// value with the three interleaved by head, biases everywhere, tanh-GELU, the embedding as the head.
#include "model/family_parts.h"

#define ROOT "transformer."
#define LAYER ROOT "h.%d."
#define BLOCK "blk.%d."

// clang-format off
static const struct loam_weight_row rows[] = {
    {LOAM_ROLE_EMBEDDING, 0, ROOT "word_embeddings.weight", {LOAM_DIM_V, LOAM_DIM_H}, 0,
     "token_embd.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_EMBEDDING_NORM, 0, ROOT "word_embeddings_layernorm.weight", {LOAM_DIM_H}, 0,
     "token_embd_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_EMBEDDING_NORM, 0, ROOT "word_embeddings_layernorm.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     "token_embd_norm.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_ATTENTION, LAYER "input_layernorm.weight", {LOAM_DIM_H}, 0,
     BLOCK "attn_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_ATTENTION, LAYER "input_layernorm.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     BLOCK "attn_norm.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_QKV, LAYER "self_attention.query_key_value.weight", {LOAM_DIM_3H, LOAM_DIM_H}, 0,
     BLOCK "attn_qkv.weight", LOAM_GGUF_ROWS_QKV},
    {LOAM_ROLE_LINEAR, LOAM_QKV, LAYER "self_attention.query_key_value.bias", {LOAM_DIM_3H}, LOAM_WEIGHT_BIAS,
     BLOCK "attn_qkv.bias", LOAM_GGUF_ROWS_QKV},
    {LOAM_ROLE_LINEAR, LOAM_O, LAYER "self_attention.dense.weight", {LOAM_DIM_H, LOAM_DIM_H}, 0,
     BLOCK "attn_output.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_O, LAYER "self_attention.dense.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     BLOCK "attn_output.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_MLP, LAYER "post_attention_layernorm.weight", {LOAM_DIM_H}, 0,
     BLOCK "ffn_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_MLP, LAYER "post_attention_layernorm.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     BLOCK "ffn_norm.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_UP, LAYER "mlp.dense_h_to_4h.weight", {LOAM_DIM_F, LOAM_DIM_H}, 0,
     BLOCK "ffn_up.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_UP, LAYER "mlp.dense_h_to_4h.bias", {LOAM_DIM_F}, LOAM_WEIGHT_BIAS,
     BLOCK "ffn_up.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_DOWN, LAYER "mlp.dense_4h_to_h.weight", {LOAM_DIM_H, LOAM_DIM_F}, 0,
     BLOCK "ffn_down.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_DOWN, LAYER "mlp.dense_4h_to_h.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     BLOCK "ffn_down.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_FINAL_NORM, 0, ROOT "ln_f.weight", {LOAM_DIM_H}, 0,
     "output_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_FINAL_NORM, 0, ROOT "ln_f.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     "output_norm.bias", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_HEAD, 0, "lm_head.weight", {LOAM_DIM_V, LOAM_DIM_H}, LOAM_WEIGHT_TIED,
     "output.weight", LOAM_GGUF_ROWS_SAME},
};
// clang-format on

static const struct loam_layer_kind kinds[] = {{"full_attention", 0, LOAM_NO_ROPE}};

static const struct loam_config_key keys[] = {
    {{"n_embed", "hidden_size"}, LOAM_CONFIG_INT, offsetof(struct loam_config, hidden), true},
    {{"num_hidden_layers", "n_layer"}, LOAM_CONFIG_INT, offsetof(struct loam_config, layers), true},
    {{"num_attention_heads", "n_head"}, LOAM_CONFIG_INT, offsetof(struct loam_config, heads), true},
    {{"vocab_size"}, LOAM_CONFIG_INT, offsetof(struct loam_config, vocabulary), true},
    {{"seq_length"}, LOAM_CONFIG_INT, offsetof(struct loam_config, max_positions), false},
    {{"layer_norm_epsilon"}, LOAM_CONFIG_DOUBLE, offsetof(struct loam_config, norm_eps), false},
    {{"initializer_range"}, LOAM_CONFIG_DOUBLE, offsetof(struct loam_config, initializer_range), false},
    {{"tie_word_embeddings"}, LOAM_CONFIG_BOOL, offsetof(struct loam_config, tied_head), false},
};

// The inner size of the MLP is four times the hidden size; n_inner is ignored, as in transformers.
static const struct loam_config defaults = {
    .kv_heads = LOAM_CONFIG_DERIVED,
    .head_dim = LOAM_CONFIG_DERIVED,
    .inner = LOAM_CONFIG_DERIVED,
    .max_positions = 2048,
    .activation = LOAM_GELU_TANH,
    .norm_eps = 1e-5,
    .initializer_range = 0.02,
    .tied_head = true,
};

static const struct loam_config_rule rules[] = {
    {"apply_residual_connection_post_layernorm", {"false"}, NULL},
    {"slow_but_exact", {"false"}, "pretraining_tp"}, // leaves out the biases of two linears
};

static const char *const dropouts[] = {"hidden_dropout", "attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"transformer", "BloomModel", NULL},
    {ROOT "word_embeddings", "Embedding", NULL},
    {ROOT "word_embeddings_layernorm", "LayerNorm", NULL},
    {ROOT "h", "ModuleList", NULL},
    {ROOT "h.%d", "BloomBlock", NULL},
    {LAYER "input_layernorm", "LayerNorm", NULL},
    {LAYER "self_attention", "BloomAttention", NULL},
    {LAYER "self_attention.query_key_value", "Linear", NULL},
    {LAYER "self_attention.dense", "Linear", NULL},
    {LAYER "self_attention.attention_dropout", "Dropout", "p=0.0, inplace=False"},
    {LAYER "post_attention_layernorm", "LayerNorm", NULL},
    {LAYER "mlp", "BloomMLP", NULL},
    {LAYER "mlp.dense_h_to_4h", "Linear", NULL},
    {LAYER "mlp.gelu_impl", "BloomGelu", NULL},
    {LAYER "mlp.dense_4h_to_h", "Linear", NULL},
    {ROOT "ln_f", "LayerNorm", NULL},
    {"lm_head", "Linear", NULL},
};

static const char *const default_targets[] = {"query_key_value", NULL};

const struct loam_family loam_family_bloom = {
    .model_type = "bloom",
    .gguf_architecture = "bloom",
    .architecture = "BloomForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_LAYERNORM,
    .position = LOAM_ALIBI,
    .alibi_slopes = loam_config_alibi_slopes,
    .branches = {{LOAM_BODY_ATTENTION, LOAM_NORM_ATTENTION, LOAM_NO_NORM, false, 0},
                 {LOAM_BODY_MLP, LOAM_NORM_MLP, LOAM_NO_NORM, false, 0}},
    .branch_count = 2,
    .query = {LOAM_QKV, .first = 0, .stride = 3}, // [heads, 3, D]
    .key = {LOAM_QKV, .first = 1, .stride = 3},
    .value = {LOAM_QKV, .first = 2, .stride = 3},
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
