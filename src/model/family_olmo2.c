// OLMo 2: norms after the branches alone, and over the whole row of query and key.
#include "model/family_parts.h"

#define ROOT "model."
#define LAYER ROOT "layers.%d."

static const struct loam_weight_row rows[] = {
    EMBEDDING("embed_tokens"),
    LLAMA_QKV_AND_BIASES(IF_ATTENTION_BIAS, SAME),
    LINEAR_AND_BIAS(O, "self_attn.o_proj", H, QD, IF_ATTENTION_BIAS),
    NORM_OVER(Q, "self_attn.q_norm", QD),
    NORM_OVER(K, "self_attn.k_norm", GD),
    LLAMA_MLP,
    NORM(AFTER_ATTENTION, "post_attention_layernorm"),
    NORM(AFTER_MLP, "post_feedforward_layernorm"),
    FINAL_NORM("norm"),
    LM_HEAD,
    IGNORED(LAYER "self_attn.rotary_emb.inv_freq"),
};

static const struct loam_layer_kind kinds[] = {FULL_ATTENTION(0)};

static const struct loam_config_key keys[] = {
    LLAMA_KEYS("rms_norm_eps"),
    KEY(ACTIVATION, activation, "hidden_act"),
    KEY(BOOL, attention_bias, "attention_bias"),
};

static const struct loam_config defaults = {
    .kv_heads = LOAM_CONFIG_DERIVED,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 2048,
    .activation = LOAM_SILU,
    .norm_eps = 1e-5,
    .initializer_range = 0.02,
    .ropes = {{.theta = 10000.0}},
};

static const char *const dropouts[] = {"attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "Olmo2Model", NULL},
    {ROOT "embed_tokens", "Embedding", NULL},
    LLAMA_LAYER_MODULES("Olmo2"),
    LLAMA_ATTENTION_MODULES("Olmo2"),
    {LAYER "self_attn.q_norm", "Olmo2RMSNorm", NULL},
    {LAYER "self_attn.k_norm", "Olmo2RMSNorm", NULL},
    LLAMA_MLP_MODULES("Olmo2", "SiLUActivation"),
    {LAYER "post_attention_layernorm", "Olmo2RMSNorm", NULL},
    {LAYER "post_feedforward_layernorm", "Olmo2RMSNorm", NULL},
    {ROOT "norm", "Olmo2RMSNorm", NULL},
    LLAMA_LAST_MODULES("Olmo2"),
};

const struct loam_family loam_family_olmo2 = {
    .model_type = "olmo2",
    .gguf_architecture = "olmo2",
    .architecture = "Olmo2ForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_RMSNORM,
    .position = LOAM_ROPE,
    BRANCHES_BEFORE_NORMS,
    SEPARATE_HEADS,
    KINDS(kinds),
    .rope_count = 1,
    TABLES,
};
