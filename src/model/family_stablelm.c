// StableLM: Llama with LayerNorm and partial RoPE; attention and MLP one after the other, or in parallel behind one norm.
#include "model/family_parts.h"

#define ROOT "model."
#define LAYER ROOT "layers.%d."

static const struct loam_weight_row rows[] = {
    EMBEDDING("embed_tokens"),
    NORM_AND_BIAS(ATTENTION, "input_layernorm"),
    LLAMA_QKV_AND_BIASES(IF_ATTENTION_BIAS, SAME),
    LINEAR(O, "self_attn.o_proj", H, QD),
    SERIAL_NORM_AND_BIAS(MLP, "post_attention_layernorm"),
    LLAMA_MLP,
    FINAL_NORM_AND_BIAS("norm"),
    LM_HEAD,
    IGNORED(LAYER "self_attn.rotary_emb.inv_freq"),
};

static const struct loam_layer_kind kinds[] = {FULL_ATTENTION(0)};

static const struct loam_config_key keys[] = {
    LLAMA_SIZES,
    KEY(INT, kv_heads, "num_key_value_heads"),
    LLAMA_MODEL_KEYS("layer_norm_eps"),
    KEY(ACTIVATION, activation, "hidden_act"),
    KEY(BOOL, attention_bias, "use_qkv_bias"),
};

static const struct loam_config defaults = {
    .kv_heads = 32,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 4096,
    .activation = LOAM_SILU,
    .norm_eps = 1e-5,
    .initializer_range = 0.02,
    .ropes = {{.theta = 10000.0}},
    .rotary_fraction = 0.25,
};

static const struct loam_config_rule rules[] = {
    {"qk_layernorm", {"false"}, NULL},
};

static const char *const dropouts[] = {"attention_dropout", "hidden_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "StableLmModel", NULL},
    {ROOT "embed_tokens", "Embedding", NULL},
    LLAMA_LAYER_MODULES("StableLm"),
    LLAMA_ATTENTION_MODULES("StableLm"),
    LLAMA_MLP_MODULES("StableLm", "SiLUActivation"),
    {LAYER "input_layernorm", "LayerNorm", NULL},
    {LAYER "post_attention_layernorm", "LayerNorm", NULL},
    {LAYER "dropout", "Dropout", "p=0.0, inplace=False"},
    {ROOT "norm", "LayerNorm", NULL},
    LLAMA_LAST_MODULES("StableLm"),
};

static const char *const default_targets[] = {"q_proj", "v_proj", NULL};

#define SHARED                                                                                               \
    .model_type = "stablelm", .gguf_architecture = "stablelm", .architecture = "StableLmForCausalLM",        \
    .prefix = ROOT, .norm = LOAM_LAYERNORM, .position = LOAM_ROPE, .rope_partial = true, .rope_count = 1,    \
    SEPARATE_HEADS, KINDS(kinds), RULES(rules), TABLES, .default_targets = default_targets

const struct loam_family loam_family_stablelm = {
    SHARED,
    .cases = {{"use_parallel_residual", "false", "false"}},
    SERIAL_BRANCHES,
};

const struct loam_family loam_family_stablelm_parallel = {
    SHARED,
    .cases = {{"use_parallel_residual", "true", "false"}},
    PARALLEL_BRANCHES_OF_ONE_NORM,
};
