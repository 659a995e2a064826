// Ministral: Mistral with a window by layer.
#include "model/family_parts.h"

#define ROOT "model."
#define LAYER ROOT "layers.%d."

// clang-format off
static const struct loam_weight_row rows[] = {
    {LOAM_ROLE_EMBEDDING, 0, ROOT "embed_tokens.weight", {LOAM_DIM_V, LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_ATTENTION, LAYER "input_layernorm.weight", {LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_Q, LAYER "self_attn.q_proj.weight", {LOAM_DIM_QD, LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_ROPE},
    {LOAM_ROLE_LINEAR, LOAM_K, LAYER "self_attn.k_proj.weight", {LOAM_DIM_GD, LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_ROPE},
    {LOAM_ROLE_LINEAR, LOAM_V, LAYER "self_attn.v_proj.weight", {LOAM_DIM_GD, LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_O, LAYER "self_attn.o_proj.weight", {LOAM_DIM_H, LOAM_DIM_QD}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_MLP, LAYER "post_attention_layernorm.weight", {LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_GATE, LAYER "mlp.gate_proj.weight", {LOAM_DIM_F, LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_UP, LAYER "mlp.up_proj.weight", {LOAM_DIM_F, LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_DOWN, LAYER "mlp.down_proj.weight", {LOAM_DIM_H, LOAM_DIM_F}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_FINAL_NORM, 0, ROOT "norm.weight", {LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_HEAD, 0, "lm_head.weight", {LOAM_DIM_V, LOAM_DIM_H}, LOAM_WEIGHT_TIED,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_IGNORED, 0, LAYER "self_attn.rotary_emb.inv_freq", {LOAM_DIM_NONE}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
};
// clang-format on

static const struct loam_layer_kind kinds[] = {
    {"full_attention", 0, 0}, {"sliding_attention", offsetof(struct loam_config, window), 0}};

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
    {{"layer_types"}, LOAM_CONFIG_KINDS, offsetof(struct loam_config, layer_kinds), false},
};

static const struct loam_config defaults = {
    .kv_heads = 8,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 4096 * 32,
    .activation = LOAM_SILU,
    .norm_eps = 1e-6,
    .initializer_range = 0.02,
    .ropes = {{.theta = 10000.0}},
    .window = 4096,
};

static const char *const dropouts[] = {"attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "MinistralModel", NULL},
    {ROOT "embed_tokens", "Embedding", NULL},
    {ROOT "layers", "ModuleList", NULL},
    {ROOT "layers.%d", "MinistralDecoderLayer", NULL},
    {LAYER "self_attn", "MinistralAttention", NULL},
    {LAYER "self_attn.q_proj", "Linear", NULL},
    {LAYER "self_attn.k_proj", "Linear", NULL},
    {LAYER "self_attn.v_proj", "Linear", NULL},
    {LAYER "self_attn.o_proj", "Linear", NULL},
    {LAYER "mlp", "MinistralMLP", NULL},
    {LAYER "mlp.gate_proj", "Linear", NULL},
    {LAYER "mlp.up_proj", "Linear", NULL},
    {LAYER "mlp.down_proj", "Linear", NULL},
    {LAYER "mlp.act_fn", "SiLUActivation", NULL},
    {LAYER "input_layernorm", "MinistralRMSNorm", NULL},
    {LAYER "post_attention_layernorm", "MinistralRMSNorm", NULL},
    {ROOT "norm", "MinistralRMSNorm", NULL},
    {ROOT "rotary_emb", "MinistralRotaryEmbedding", NULL},
    {"lm_head", "Linear", NULL},
};

// Without a list of kinds, all layers have the window where there is one.
static enum loam_status complete(struct loam_config *config, const json_t *root, const char *name,
                                 struct loam_error *error)
{
    (void)root;
    return loam_config_fill_kinds(config, name, config->window > 0 ? 0 : config->layers, 0, error);
}

const struct loam_family loam_family_ministral = {
    .model_type = "ministral",
    .architecture = "MinistralForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_RMSNORM,
    .position = LOAM_ROPE,
    .branches = {{LOAM_BODY_ATTENTION, LOAM_NORM_ATTENTION, LOAM_NO_NORM, false, 0},
                 {LOAM_BODY_MLP, LOAM_NORM_MLP, LOAM_NO_NORM, false, 0}},
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
    .complete = complete,
    .dropouts = dropouts,
    .modules = modules,
    .module_count = COUNT(modules),
};
