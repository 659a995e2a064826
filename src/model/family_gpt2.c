// GPT-2: learned positions, LayerNorm, matrices that are stored transposed, query, key and value by blocks.
#include "model/family_parts.h"

#define ROOT "transformer."
#define LAYER ROOT "h.%d."

static const struct loam_weight_row rows[] = {
    EMBEDDING("wte"),
    POSITIONS("wpe"),
    NORM_AND_BIAS(ATTENTION, "ln_1"),
    CONV1D_AND_BIAS(QKV, "attn.c_attn", H, QKV),
    CONV1D_AND_BIAS(O, "attn.c_proj", QD, H),
    NORM_AND_BIAS(MLP, "ln_2"),
    CONV1D_AND_BIAS(UP, "mlp.c_fc", H, F),
    CONV1D_AND_BIAS(DOWN, "mlp.c_proj", F, H),
    FINAL_NORM_AND_BIAS("ln_f"),
    LM_HEAD,
    IGNORED(LAYER "attn.bias"),
    IGNORED(LAYER "attn.masked_bias"),
};

static const struct loam_layer_kind kinds[] = {FULL_ATTENTION(LOAM_NO_ROPE)};

static const struct loam_config_key keys[] = {
    REQUIRED(INT, hidden, "n_embd", "hidden_size"),
    REQUIRED(INT, layers, "n_layer", "num_hidden_layers"),
    REQUIRED(INT, heads, "n_head", "num_attention_heads"),
    KEY(INT, inner, "n_inner"),
    REQUIRED(INT, vocabulary, "vocab_size"),
    KEY(INT, max_positions, "n_positions", "max_position_embeddings"),
    KEY(DOUBLE, norm_eps, "layer_norm_epsilon"),
    KEY(DOUBLE, initializer_range, "initializer_range"),
    KEY(BOOL, tied_head, "tie_word_embeddings"),
    KEY(ACTIVATION, activation, "activation_function"),
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
    SERIAL_BRANCHES,
    HEADS_IN_BLOCKS,
    KINDS(kinds),
    RULES(rules),
    TABLES,
    .default_targets = default_targets,
};
