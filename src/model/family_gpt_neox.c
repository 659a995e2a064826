// GPT-NeoX (Pythia): LayerNorm, partial RoPE, query, key and value by head, attention and MLP in parallel with a norm
// each, or one after the other.
#include "model/family_parts.h"

#define ROOT "gpt_neox."
#define LAYER ROOT "layers.%d."

static const struct loam_weight_row rows[] = {
    EMBEDDING("embed_in"),
    NORM_AND_BIAS(ATTENTION, "input_layernorm"),
    NORM_AND_BIAS(MLP, "post_attention_layernorm"),
    ORDERED_LINEAR_AND_BIAS(QKV, "attention.query_key_value", 3H, H, IF_ATTENTION_BIAS, QKV),
    LINEAR_AND_BIAS(O, "attention.dense", H, QD, IF_ATTENTION_BIAS),
    LINEAR_AND_BIAS(UP, "mlp.dense_h_to_4h", F, H, ALWAYS),
    LINEAR_AND_BIAS(DOWN, "mlp.dense_4h_to_h", H, F, ALWAYS),
    FINAL_NORM_AND_BIAS("final_layer_norm"),
    LM_HEAD,
    IGNORED(LAYER "attention.bias"),
    IGNORED(LAYER "attention.masked_bias"),
    IGNORED(LAYER "attention.rotary_emb.inv_freq"),
};

static const struct loam_layer_kind kinds[] = {FULL_ATTENTION(0)};

static const struct loam_config_key keys[] = {
    LLAMA_SIZES,
    LLAMA_MODEL_KEYS("layer_norm_eps"),
    KEY(ACTIVATION, activation, "hidden_act"),
    KEY(BOOL, attention_bias, "attention_bias"),
    KEY(DOUBLE, ropes[0].theta, "rotary_emb_base"),
    KEY(DOUBLE, rotary_fraction, "rotary_pct"),
};

static const struct loam_config defaults = {
    .kv_heads = LOAM_CONFIG_DERIVED,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 2048,
    .activation = LOAM_GELU,
    .norm_eps = 1e-5,
    .initializer_range = 0.02,
    .ropes = {{.theta = 10000.0}},
    .attention_bias = true,
    .rotary_fraction = 0.25,
};

static const char *const dropouts[] = {"attention_dropout", "hidden_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"gpt_neox", "GPTNeoXModel", NULL},
    {ROOT "embed_in", "Embedding", NULL},
    {ROOT "emb_dropout", "Dropout", "p=0.0, inplace=False"},
    {ROOT "layers", "ModuleList", NULL},
    {ROOT "layers.%d", "GPTNeoXLayer", NULL},
    {LAYER "input_layernorm", "LayerNorm", NULL},
    {LAYER "post_attention_layernorm", "LayerNorm", NULL},
    {LAYER "post_attention_dropout", "Dropout", "p=0.0, inplace=False"},
    {LAYER "post_mlp_dropout", "Dropout", "p=0.0, inplace=False"},
    {LAYER "attention", "GPTNeoXAttention", NULL},
    {LAYER "attention.query_key_value", "Linear", NULL},
    {LAYER "attention.dense", "Linear", NULL},
    {LAYER "mlp", "GPTNeoXMLP", NULL},
    {LAYER "mlp.dense_h_to_4h", "Linear", NULL},
    {LAYER "mlp.dense_4h_to_h", "Linear", NULL},
    {LAYER "mlp.act", "GELUActivation", NULL},
    {ROOT "final_layer_norm", "LayerNorm", NULL},
    {ROOT "rotary_emb", "GPTNeoXRotaryEmbedding", NULL},
    {"lm_head", "Linear", NULL},
};

static const char *const default_targets[] = {"query_key_value", NULL};

#define SHARED                                                                                               \
    .model_type = "gpt_neox", .gguf_architecture = "gptneox", .architecture = "GPTNeoXForCausalLM",          \
    .prefix = ROOT, .norm = LOAM_LAYERNORM, .head_alias = "embed_out.weight", .position = LOAM_ROPE,         \
    .rope_partial = true, .rope_count = 1, HEADS_IN_THREES, KINDS(kinds), TABLES,                            \
    .default_targets = default_targets

const struct loam_family loam_family_gpt_neox = {
    SHARED,
    .cases = {{"use_parallel_residual", "true", "true"}},
    PARALLEL_BRANCHES,
};

const struct loam_family loam_family_gpt_neox_serial = {
    SHARED,
    .cases = {{"use_parallel_residual", "false", "true"}},
    SERIAL_BRANCHES,
};
