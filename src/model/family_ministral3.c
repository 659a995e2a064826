// Ministral 3: Mistral with YaRN and queries that are scaled by their position.
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
    LLAMA_DEFAULT_SIZES(4096, 34, 32, 14336, 131072),
    .kv_heads = 8,
    .head_dim = 128,
    .max_positions = 262144,
    .activation = LOAM_SILU,
    .norm_eps = 1e-5,
    .initializer_range = 0.02,
    .ropes = {{.theta = 10000.0}},
};

static const char *const dropouts[] = {"attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "Ministral3Model", NULL},
    {ROOT "embed_tokens", "Embedding", NULL},
    LLAMA_LAYER_MODULES("Ministral3"),
    LLAMA_ATTENTION_MODULES("Ministral3"),
    LLAMA_MLP_MODULES("Ministral3", "SiLUActivation"),
    {LAYER "input_layernorm", "Ministral3RMSNorm", NULL},
    {LAYER "post_attention_layernorm", "Ministral3RMSNorm", NULL},
    {ROOT "norm", "Ministral3RMSNorm", NULL},
    LLAMA_LAST_MODULES("Ministral3"),
};

// transformers gives a config without a description of RoPE the one of the released models.
static enum loam_status complete(struct loam_config *config, const json_t *root, const char *name,
                                 struct loam_error *error)
{
    (void)config;
    if (loam_config_is_given(root, "rope_parameters") || loam_config_is_given(root, "rope_scaling"))
        return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                     "%s: \"rope_parameters\" is missing, a ministral3 model needs it", name);
}

const struct loam_family loam_family_ministral3 = {
    .model_type = "ministral3",
    .gguf_architecture = "mistral3",
    .architecture = "Ministral3ForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_RMSNORM,
    .scales_queries = true,
    .position = LOAM_ROPE,
    SERIAL_BRANCHES,
    SEPARATE_HEADS,
    KINDS(kinds),
    .rope_count = 1,
    .complete = complete,
    TABLES,
};
