// GPT-J: attention and MLP in parallel behind one LayerNorm, interleaved partial RoPE, a bias on the head.
#define GGUF(name) NULL // llama.cpp has no such family
#include "model/family_parts.h"

#define ROOT "transformer."
#define LAYER ROOT "h.%d."

static const struct loam_weight_row rows[] = {
    EMBEDDING("wte"),
    NORM_AND_BIAS(ATTENTION, "ln_1"),
    LINEAR(Q, "attn.q_proj", QD, H),
    LINEAR(K, "attn.k_proj", GD, H),
    LINEAR(V, "attn.v_proj", GD, H),
    LINEAR(O, "attn.out_proj", H, QD),
    LINEAR_AND_BIAS(UP, "mlp.fc_in", F, H, ALWAYS),
    LINEAR_AND_BIAS(DOWN, "mlp.fc_out", H, F, ALWAYS),
    FINAL_NORM_AND_BIAS("ln_f"),
    LM_HEAD_AND_BIAS,
    IGNORED(LAYER "attn.bias"),
    IGNORED(LAYER "attn.masked_bias"),
};

static const struct loam_layer_kind kinds[] = {FULL_ATTENTION(0)};

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
    PARALLEL_BRANCHES_OF_ONE_NORM,
    SEPARATE_HEADS,
    KINDS(kinds),
    .rope_count = 1,
    .complete = complete,
    TABLES,
    .default_targets = default_targets,
};
