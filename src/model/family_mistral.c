// Mistral 7B and its successors: Llama with a window on all layers where the config has one.
#include "model/family_parts.h"

#define ROOT "model."
#define LAYER ROOT "layers.%d."

static const struct loam_weight_row rows[] = {
    EMBEDDING("embed_tokens"),
    NORM(ATTENTION, "input_layernorm"),
    LLAMA_QKV(ROPE),
    LINEAR(O, "self_attn.o_proj", H, QD),
    NORM(MLP, "post_attention_layernorm"),
    LLAMA_MLP,
    FINAL_NORM("norm"),
    LM_HEAD,
    IGNORED(LAYER "self_attn.rotary_emb.inv_freq"),
};

static const struct loam_layer_kind kinds[] = {WINDOWED_ATTENTION(0)};

static const struct loam_config_key keys[] = {
    LLAMA_KEYS("rms_norm_eps"),
    KEY(ACTIVATION, activation, "hidden_act"),
    KEY(INT_OR_NONE, window, "sliding_window"),
};

static const struct loam_config defaults = {
    LLAMA_DEFAULT_SIZES(4096, 32, 32, 14336, 32000),
    .kv_heads = 8,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 4096 * 32,
    .activation = LOAM_SILU,
    .norm_eps = 1e-6,
    .initializer_range = 0.02,
    .ropes = {{.theta = 10000.0}},
    .window = 4096,
};

static const char *const dropouts[] = {"attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "MistralModel", NULL},
    {ROOT "embed_tokens", "Embedding", NULL},
    LLAMA_LAYER_MODULES("Mistral"),
    LLAMA_ATTENTION_MODULES("Mistral"),
    LLAMA_MLP_MODULES("Mistral", "SiLUActivation"),
    {LAYER "input_layernorm", "MistralRMSNorm", NULL},
    {LAYER "post_attention_layernorm", "MistralRMSNorm", NULL},
    {ROOT "norm", "MistralRMSNorm", NULL},
    LLAMA_LAST_MODULES("Mistral"),
};

static const char *const default_targets[] = {"q_proj", "v_proj", NULL};

const struct loam_family loam_family_mistral = {
    .model_type = "mistral",
    .gguf_architecture = "llama",
    .architecture = "MistralForCausalLM",
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
