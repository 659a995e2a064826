// Phi-1, Phi-1.5 and Phi-2: attention and MLP in parallel behind one LayerNorm, partial RoPE, biases everywhere.
#include "model/family_parts.h"

#define ROOT "model."
#define LAYER ROOT "layers.%d."

static const struct loam_weight_row rows[] = {
    EMBEDDING("embed_tokens"),
    NORM_AND_BIAS(ATTENTION, "input_layernorm"),
    LLAMA_QKV_AND_BIASES(ALWAYS, SAME),
    LINEAR_AND_BIAS(O, "self_attn.dense", H, QD, ALWAYS),
    LINEAR_AND_BIAS(UP, "mlp.fc1", F, H, ALWAYS),
    LINEAR_AND_BIAS(DOWN, "mlp.fc2", H, F, ALWAYS),
    FINAL_NORM_AND_BIAS("final_layernorm"),
    LM_HEAD_AND_BIAS,
    IGNORED(LAYER "self_attn.rotary_emb.inv_freq"),
};

static const struct loam_layer_kind kinds[] = {FULL_ATTENTION(0)};

static const struct loam_config_key keys[] = {
    LLAMA_KEYS("layer_norm_eps"),
    KEY(ACTIVATION, activation, "hidden_act"),
};

static const struct loam_config defaults = {
    .kv_heads = LOAM_CONFIG_DERIVED,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 2048,
    .activation = LOAM_GELU_TANH,
    .norm_eps = 1e-5,
    .initializer_range = 0.02,
    .ropes = {{.theta = 10000.0}},
    .rotary_fraction = 0.5,
};

static const struct loam_config_rule rules[] = {
    {"qk_layernorm", {"false"}, NULL},
};

static const char *const dropouts[] = {"resid_pdrop", "embd_pdrop", "attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "PhiModel", NULL},
    {ROOT "embed_tokens", "Embedding", NULL},
    LLAMA_LAYER_MODULES("Phi"),
    {LAYER "self_attn", "PhiAttention", NULL},
    {LAYER "self_attn.q_proj", "Linear", NULL},
    {LAYER "self_attn.k_proj", "Linear", NULL},
    {LAYER "self_attn.v_proj", "Linear", NULL},
    {LAYER "self_attn.dense", "Linear", NULL},
    {LAYER "mlp", "PhiMLP", NULL},
    {LAYER "mlp.activation_fn", "NewGELUActivation", NULL},
    {LAYER "mlp.fc1", "Linear", NULL},
    {LAYER "mlp.fc2", "Linear", NULL},
    {LAYER "input_layernorm", "LayerNorm", NULL},
    {LAYER "resid_dropout", "Dropout", "p=0.0, inplace=False"},
    {ROOT "rotary_emb", "PhiRotaryEmbedding", NULL},
    {ROOT "embed_dropout", "Dropout", "p=0.0, inplace=False"},
    {ROOT "final_layernorm", "LayerNorm", NULL},
    {"lm_head", "Linear", NULL},
};

static const char *const default_targets[] = {"q_proj", "v_proj", "fc1", "fc2", NULL};

const struct loam_family loam_family_phi = {
    .model_type = "phi",
    .gguf_architecture = "phi2",
    .architecture = "PhiForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_LAYERNORM,
    .rope_partial = true,
    .position = LOAM_ROPE,
    PARALLEL_BRANCHES_OF_ONE_NORM,
    SEPARATE_HEADS,
    KINDS(kinds),
    .rope_count = 1,
    RULES(rules),
    TABLES,
    .default_targets = default_targets,
};
