// Qwen3: Llama with norms over each head of query and key.
#include "model/family_parts.h"

#define ROOT "model."
#define LAYER ROOT "layers.%d."

static const struct loam_weight_row rows[] = {
    EMBEDDING("embed_tokens"),
    NORM(ATTENTION, "input_layernorm"),
    LLAMA_QKV_AND_BIASES(IF_ATTENTION_BIAS, SAME),
    LINEAR_AND_BIAS(O, "self_attn.o_proj", H, QD, IF_ATTENTION_BIAS),
    NORM_OVER(Q, "self_attn.q_norm", D),
    NORM_OVER(K, "self_attn.k_norm", D),
    NORM(MLP, "post_attention_layernorm"),
    LLAMA_MLP,
    FINAL_NORM("norm"),
    LM_HEAD,
    IGNORED(LAYER "self_attn.rotary_emb.inv_freq"),
};

static const struct loam_layer_kind kinds[] = {FULL_ATTENTION(0), WINDOWED_ATTENTION(0)};

static const struct loam_config_key keys[] = {
    LLAMA_KEYS("rms_norm_eps"),
    KEY(ACTIVATION, activation, "hidden_act"),
    KEY(BOOL, attention_bias, "attention_bias"),
    KEY(INT_OR_NONE, window, "sliding_window"),
    KEY(KINDS, layer_kinds, "layer_types"),
};

static const struct loam_config defaults = {
    LLAMA_DEFAULT_SIZES(4096, 32, 32, 22016, 151936),
    .kv_heads = 32,
    .head_dim = 128,
    .max_positions = 32768,
    .activation = LOAM_SILU,
    .norm_eps = 1e-6,
    .initializer_range = 0.02,
    .ropes = {{.theta = 10000.0}},
    .window = 4096,
};

static const char *const dropouts[] = {"attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "Qwen3Model", NULL},
    {ROOT "embed_tokens", "Embedding", NULL},
    LLAMA_LAYER_MODULES("Qwen3"),
    LLAMA_ATTENTION_MODULES("Qwen3"),
    {LAYER "self_attn.q_norm", "Qwen3RMSNorm", NULL},
    {LAYER "self_attn.k_norm", "Qwen3RMSNorm", NULL},
    LLAMA_MLP_MODULES("Qwen3", "SiLUActivation"),
    {LAYER "input_layernorm", "Qwen3RMSNorm", NULL},
    {LAYER "post_attention_layernorm", "Qwen3RMSNorm", NULL},
    {ROOT "norm", "Qwen3RMSNorm", NULL},
    LLAMA_LAST_MODULES("Qwen3"),
};

static const char *const default_targets[] = {"q_proj", "v_proj", NULL};

const struct loam_family loam_family_qwen3 = {
    .model_type = "qwen3",
    .gguf_architecture = "qwen3",
    .architecture = "Qwen3ForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_RMSNORM,
    .position = LOAM_ROPE,
    SERIAL_BRANCHES,
    SEPARATE_HEADS,
    KINDS(kinds),
    .rope_count = 1,
    .complete = loam_config_complete_qwen,
    TABLES,
    .default_targets = default_targets,
};
