// GPT-J: attention and MLP in parallel behind one LayerNorm, interleaved partial RoPE, a bias on the head.
#include "model/family_parts.h"

#define ROOT "transformer."
#define LAYER ROOT "h.%d."

// clang-format off
static const struct loam_weight_row rows[] = {
    {LOAM_ROLE_EMBEDDING, 0, ROOT "wte.weight", {LOAM_DIM_V, LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_ATTENTION, LAYER "ln_1.weight", {LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_ATTENTION, LAYER "ln_1.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_Q, LAYER "attn.q_proj.weight", {LOAM_DIM_QD, LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_K, LAYER "attn.k_proj.weight", {LOAM_DIM_GD, LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_V, LAYER "attn.v_proj.weight", {LOAM_DIM_GD, LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_O, LAYER "attn.out_proj.weight", {LOAM_DIM_H, LOAM_DIM_QD}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_UP, LAYER "mlp.fc_in.weight", {LOAM_DIM_F, LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_UP, LAYER "mlp.fc_in.bias", {LOAM_DIM_F}, LOAM_WEIGHT_BIAS,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_DOWN, LAYER "mlp.fc_out.weight", {LOAM_DIM_H, LOAM_DIM_F}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_DOWN, LAYER "mlp.fc_out.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_FINAL_NORM, 0, ROOT "ln_f.weight", {LOAM_DIM_H}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_FINAL_NORM, 0, ROOT "ln_f.bias", {LOAM_DIM_H}, LOAM_WEIGHT_BIAS,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_HEAD, 0, "lm_head.weight", {LOAM_DIM_V, LOAM_DIM_H}, LOAM_WEIGHT_TIED,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_HEAD, 0, "lm_head.bias", {LOAM_DIM_V}, LOAM_WEIGHT_BIAS,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_IGNORED, 0, LAYER "attn.bias", {LOAM_DIM_NONE}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_IGNORED, 0, LAYER "attn.masked_bias", {LOAM_DIM_NONE}, 0,
     NULL, LOAM_GGUF_ROWS_SAME},
};
// clang-format on

static const struct loam_layer_kind kinds[] = {{"full_attention", 0, 0}};

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
    .max_positions = 2048,
    .activation = LOAM_GELU_TANH,
    .norm_eps = 1e-5,
    .initializer_range = 0.02,
    .ropes = {{.theta = 10000.0}},
    .inner = LOAM_CONFIG_DERIVED,
};

static const char *const dropouts[] = {"resid_pdrop", "embd_pdrop", "attn_pdrop", NULL};

static const struct loam_module_row modules[] = {
    {"transformer", "GPTJModel", NULL},
    {ROOT "wte", "Embedding", NULL},
    {ROOT "drop", "Dropout", "p=0.0, inplace=False"},
    {ROOT "h", "ModuleList", NULL},
    {ROOT "h.%d", "GPTJBlock", NULL},
    {LAYER "ln_1", "LayerNorm", NULL},
    {LAYER "attn", "GPTJAttention", NULL},
    {LAYER "attn.attn_dropout", "Dropout", "p=0.0, inplace=False"},
    {LAYER "attn.resid_dropout", "Dropout", "p=0.0, inplace=False"},
    {LAYER "attn.k_proj", "Linear", NULL},
    {LAYER "attn.v_proj", "Linear", NULL},
    {LAYER "attn.q_proj", "Linear", NULL},
    {LAYER "attn.out_proj", "Linear", NULL},
    {LAYER "mlp", "GPTJMLP", NULL},
    {LAYER "mlp.fc_in", "Linear", NULL},
    {LAYER "mlp.fc_out", "Linear", NULL},
    {LAYER "mlp.act", "NewGELUActivation", NULL},
    {LAYER "mlp.dropout", "Dropout", "p=0.0, inplace=False"},
    {ROOT "ln_f", "LayerNorm", NULL},
    {"lm_head", "Linear", NULL},
};

static const char *const default_targets[] = {"q_proj", "v_proj", NULL};

// rotary_dim counts the elements of a head that turn.
static enum loam_status complete(struct loam_config *config, const json_t *root, const char *name,
                                 struct loam_error *error)
{
    int64_t rotated = 64;
    LOAM_TRY(loam_json_get_int(root, name, "rotary_dim", &rotated, error));
    if (rotated < 2 || rotated > config->head_dim || rotated % 2 != 0)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: \"rotary_dim\" is %lld; it must be even, from 2 to the head size %lld", name,
                         (long long)rotated, (long long)config->head_dim);
    config->rotary_fraction = (double)rotated / (double)config->head_dim;
    return LOAM_OK;
}

const struct loam_family loam_family_gptj = {
    .model_type = "gptj",
    .architecture = "GPTJForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_LAYERNORM,
    .rope_interleaved = true,
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
    .complete = complete,
    .dropouts = dropouts,
    .modules = modules,
    .module_count = COUNT(modules),
    .default_targets = default_targets,
};
