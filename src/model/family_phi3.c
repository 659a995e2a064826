// Phi-3, Phi-3.5 and Phi-4: Llama with query, key and value in one matrix, gate and up in another, LongRoPE.
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
    {LOAM_ROLE_LINEAR, LOAM_QKV, LAYER "self_attn.qkv_proj.weight", {LOAM_DIM_QKV, LOAM_DIM_H}, 0,
     BLOCK "attn_qkv.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_O, LAYER "self_attn.o_proj.weight", {LOAM_DIM_H, LOAM_DIM_QD}, 0,
     BLOCK "attn_output.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_MLP, LAYER "post_attention_layernorm.weight", {LOAM_DIM_H}, 0,
     BLOCK "ffn_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_GATE_UP, LAYER "mlp.gate_up_proj.weight", {LOAM_DIM_2F, LOAM_DIM_H}, 0,
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
    {"sliding_attention", offsetof(struct loam_config, window), 0}};

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
    {{"sliding_window"}, LOAM_CONFIG_INT_OR_NONE, offsetof(struct loam_config, window), false},
};

static const struct loam_config defaults = {
    .kv_heads = LOAM_CONFIG_DERIVED,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 4096,
    .activation = LOAM_SILU,
    .norm_eps = 1e-5,
    .initializer_range = 0.02,
    .ropes = {{.theta = 10000.0}},
    .window = 0,
};

static const char *const dropouts[] = {"resid_pdrop", "embd_pdrop", "attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "Phi3Model", NULL},
    {ROOT "embed_tokens", "Embedding", NULL},
    {ROOT "layers", "ModuleList", NULL},
    {ROOT "layers.%d", "Phi3DecoderLayer", NULL},
    {LAYER "self_attn", "Phi3Attention", NULL},
    {LAYER "self_attn.o_proj", "Linear", NULL},
    {LAYER "self_attn.qkv_proj", "Linear", NULL},
    {LAYER "mlp", "Phi3MLP", NULL},
    {LAYER "mlp.gate_up_proj", "Linear", NULL},
    {LAYER "mlp.down_proj", "Linear", NULL},
    {LAYER "mlp.activation_fn", "SiLUActivation", NULL},
    {LAYER "input_layernorm", "Phi3RMSNorm", NULL},
    {LAYER "post_attention_layernorm", "Phi3RMSNorm", NULL},
    {LAYER "resid_attn_dropout", "Dropout", "p=0.0, inplace=False"},
    {LAYER "resid_mlp_dropout", "Dropout", "p=0.0, inplace=False"},
    {ROOT "norm", "Phi3RMSNorm", NULL},
    {ROOT "rotary_emb", "Phi3RotaryEmbedding", NULL},
    {"lm_head", "Linear", NULL},
};

const struct loam_family loam_family_phi3 = {
    .model_type = "phi3",
    .gguf_architecture = "phi3",
    .architecture = "Phi3ForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_RMSNORM,
    .rope_partial = true,
    .position = LOAM_ROPE,
    .branches = {{LOAM_BODY_ATTENTION, LOAM_NORM_ATTENTION, LOAM_NO_NORM, false, 0},
                 {LOAM_BODY_MLP, LOAM_NORM_MLP, LOAM_NO_NORM, false, 0}},
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
    .dropouts = dropouts,
    .modules = modules,
    .module_count = COUNT(modules),
};
