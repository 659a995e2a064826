// Qwen2 and Qwen2.5: Llama with biases on query, key and value.
#include "model/family_parts.h"

#define ROOT "model."
#define LAYER ROOT "layers.%d."

static const struct loam_weight_row rows[] = {
    EMBEDDING("embed_tokens"),
    NORM(ATTENTION, "input_layernorm"),
    LLAMA_QKV_AND_BIASES(ALWAYS, SAME),
    LINEAR(O, "self_attn.o_proj", H, QD),
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
    KEY(INT_OR_NONE, window, "sliding_window"),
    KEY(KINDS, layer_kinds, "layer_types"),
};

static const struct loam_config defaults = {
    LLAMA_DEFAULT_SIZES(4096, 32, 32, 22016, 151936),
    .kv_heads = 32,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 32768,
    .activation = LOAM_SILU,
    .norm_eps = 1e-6,
    .initializer_range = 0.02,
    .ropes = {{.theta = 10000.0}},
    .window = 4096,
};

static const char *const dropouts[] = {"attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "Qwen2Model", NULL},
    {ROOT "embed_tokens", "Embedding", NULL},
    LLAMA_LAYER_MODULES("Qwen2"),
    LLAMA_ATTENTION_MODULES("Qwen2"),
    LLAMA_MLP_MODULES("Qwen2", "SiLUActivation"),
    {LAYER "input_layernorm", "Qwen2RMSNorm", NULL},
    {LAYER "post_attention_layernorm", "Qwen2RMSNorm", NULL},
    {ROOT "norm", "Qwen2RMSNorm", NULL},
    LLAMA_LAST_MODULES("Qwen2"),
};

static const char *const default_targets[] = {"q_proj", "v_proj", NULL};

const struct loam_family loam_family_qwen2 = {
    .model_type = "qwen2",
    .gguf_architecture = "qwen2",
    .architecture = "Qwen2ForCausalLM",
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
