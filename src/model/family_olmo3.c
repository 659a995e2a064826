// OLMo 3: OLMo 2 with a window on three of four layers; RoPE is scaled on the others alone.
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

static const struct loam_layer_kind kinds[] = {FULL_ATTENTION(0), WINDOWED_ATTENTION(1)};

static const struct loam_config_key keys[] = {
    LLAMA_KEYS("rms_norm_eps"),
    KEY(ACTIVATION, activation, "hidden_act"),
    KEY(BOOL, attention_bias, "attention_bias"),
    KEY(INT_OR_NONE, window, "sliding_window"),
    KEY(KINDS, layer_kinds, "layer_types"),
};

static const struct loam_config defaults = {
    .kv_heads = LOAM_CONFIG_DERIVED,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 2048,
    .activation = LOAM_SILU,
    .norm_eps = 1e-5,
    .initializer_range = 0.02,
    .ropes = {{.theta = 500000.0}, {.theta = 500000.0}},
    .window = 4096,
};

static const char *const dropouts[] = {"attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "Olmo3Model", NULL},
    {ROOT "embed_tokens", "Embedding", NULL},
    LLAMA_LAYER_MODULES("Olmo3"),
    LLAMA_ATTENTION_MODULES("Olmo3"),
    {LAYER "self_attn.q_norm", "Olmo3RMSNorm", NULL},
    {LAYER "self_attn.k_norm", "Olmo3RMSNorm", NULL},
    LLAMA_MLP_MODULES("Olmo3", "SiLUActivation"),
    {LAYER "post_attention_layernorm", "Olmo3RMSNorm", NULL},
    {LAYER "post_feedforward_layernorm", "Olmo3RMSNorm", NULL},
    {ROOT "norm", "Olmo3RMSNorm", NULL},
    LLAMA_LAST_MODULES("Olmo3"),
};

static enum loam_status complete(struct loam_config *config, const json_t *root, const char *name,
                                 struct loam_error *error)
{
    (void)root;
    return loam_config_fill_kinds(config, name, 0, 4, error);
}

const struct loam_family loam_family_olmo3 = {
    .model_type = "olmo3",
    .gguf_architecture = "olmo2",
    .architecture = "Olmo3ForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_RMSNORM,
    .position = LOAM_ROPE,
    BRANCHES_BEFORE_NORMS,
    SEPARATE_HEADS,
    KINDS(kinds),
    .rope_count = 2,
    .complete = complete,
    TABLES,
};
