// Ministral: Mistral with a window by layer.
#define GGUF(name) NULL // llama.cpp has no such family
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

static const struct loam_layer_kind kinds[] = {FULL_ATTENTION(0), WINDOWED_ATTENTION(0)};

static const struct loam_config_key keys[] = {
    LLAMA_KEYS("rms_norm_eps"),
    KEY(ACTIVATION, activation, "hidden_act"),
    KEY(INT_OR_NONE, window, "sliding_window"),
    KEY(KINDS, layer_kinds, "layer_types"),
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
    {"model", "MinistralModel", NULL},
    {ROOT "embed_tokens", "Embedding", NULL},
    LLAMA_LAYER_MODULES("Ministral"),
    LLAMA_ATTENTION_MODULES("Ministral"),
    LLAMA_MLP_MODULES("Ministral", "SiLUActivation"),
    {LAYER "input_layernorm", "MinistralRMSNorm", NULL},
    {LAYER "post_attention_layernorm", "MinistralRMSNorm", NULL},
    {ROOT "norm", "MinistralRMSNorm", NULL},
    LLAMA_LAST_MODULES("Ministral"),
};

// Without a list of kinds, all layers have the window where there is one.
static enum loam_status complete(struct loam_config *config, const json_t *root, const char *name,
                                 struct loam_error *error)
{
    (void)root;
    return loam_config_fill_kinds(config, name, config->window > 0 ? 0 : config->layers, 0, error);
}

const struct loam_family loam_family_ministral = {
    .model_type = "ministral",
    .architecture = "MinistralForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_RMSNORM,
    .position = LOAM_ROPE,
    SERIAL_BRANCHES,
    SEPARATE_HEADS,
    KINDS(kinds),
    .rope_count = 1,
    .complete = complete,
    TABLES,
};
