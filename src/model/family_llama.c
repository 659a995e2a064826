// Llama (Touvron et al. 2023; Grattafiori et al. 2024): RMSNorm, RoPE, grouped queries, SwiGLU, the head its
// own or the embedding.
#include "model/family_parts.h"

#define ROOT "model."
#define LAYER ROOT "layers.%d."

static const struct loam_weight_row rows[] = {
    EMBEDDING("embed_tokens"),
    NORM(ATTENTION, "input_layernorm"),
    LLAMA_QKV_AND_BIASES(IF_ATTENTION_BIAS, ROPE),
    LINEAR_AND_BIAS(O, "self_attn.o_proj", H, QD, IF_ATTENTION_BIAS),
    NORM(MLP, "post_attention_layernorm"),
    LLAMA_MLP_AND_BIASES(IF_MLP_BIAS),
    FINAL_NORM("norm"),
    LM_HEAD,
    IGNORED(LAYER "self_attn.rotary_emb.inv_freq"),
    IGNORED(ROOT "rotary_emb.inv_freq"),
};

static const struct loam_layer_kind kinds[] = {FULL_ATTENTION(0)};

static const struct loam_config_key keys[] = {
    LLAMA_KEYS("rms_norm_eps"),
    KEY(BOOL, attention_bias, "attention_bias"),
    KEY(ACTIVATION, activation, "hidden_act"),
    KEY(BOOL, mlp_bias, "mlp_bias"),
};

static const struct loam_config defaults = {
    LLAMA_DEFAULT_SIZES(4096, 32, 32, 11008, 32000),
    .kv_heads = LOAM_CONFIG_DERIVED,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 2048,
    .activation = LOAM_SILU,
    .norm_eps = 1e-6,
    .initializer_range = 0.02,
    .ropes = {{.theta = 10000.0}},
};

static const char *const dropouts[] = {"attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "LlamaModel", NULL},
    {ROOT "embed_tokens", "Embedding", NULL},
    LLAMA_LAYER_MODULES("Llama"),
    LLAMA_ATTENTION_MODULES("Llama"),
    LLAMA_MLP_MODULES("Llama", "SiLUActivation"),
    {LAYER "input_layernorm", "LlamaRMSNorm", NULL},
    {LAYER "post_attention_layernorm", "LlamaRMSNorm", NULL},
    {ROOT "norm", "LlamaRMSNorm", NULL},
    LLAMA_LAST_MODULES("Llama"),
};

static const char *const default_targets[] = {"q_proj", "v_proj", NULL};

const struct loam_family loam_family_llama = {
    .model_type = "llama",
    .gguf_architecture = "llama",
    .architecture = "LlamaForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_RMSNORM,
    .position = LOAM_ROPE,
    SERIAL_BRANCHES,
    SEPARATE_HEADS,
    KINDS(kinds),
    .rope_count = 1,
    TABLES,
    .default_targets = default_targets,
};
