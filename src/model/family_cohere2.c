// Command R7B: Command R with a window on three of four layers, and no positions on the others.
#include "model/family_parts.h"

#define ROOT "model."
#define LAYER ROOT "layers.%d."

static const struct loam_weight_row rows[] = {
    EMBEDDING("embed_tokens"),
    NORM(ATTENTION, "input_layernorm"),
    LLAMA_QKV_AND_BIASES(IF_ATTENTION_BIAS, SAME),
    LINEAR_AND_BIAS(O, "self_attn.o_proj", H, QD, IF_ATTENTION_BIAS),
    LLAMA_MLP,
    FINAL_NORM("norm"),
    LM_HEAD,
    IGNORED(LAYER "self_attn.rotary_emb.inv_freq"),
};

static const struct loam_layer_kind kinds[] = {FULL_ATTENTION(LOAM_NO_ROPE), WINDOWED_ATTENTION(0)};

static const struct loam_config_key keys[] = {
    LLAMA_KEYS("layer_norm_eps"),
    KEY(ACTIVATION, activation, "hidden_act"),
    KEY(BOOL, attention_bias, "attention_bias"),
    KEY(DOUBLE, logit_factor, "logit_scale"),
    KEY(INT_OR_NONE, window, "sliding_window"),
    KEY(KINDS, layer_kinds, "layer_types"),
};

static const struct loam_config defaults = {
    .kv_heads = LOAM_CONFIG_DERIVED,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 8192,
    .activation = LOAM_SILU,
    .norm_eps = 1e-5,
    .initializer_range = 0.02,
    .ropes = {{.theta = 10000.0}},
    .tied_head = true,
    .logit_factor = 0.0625,
    .window = 4096,
};

static const char *const dropouts[] = {"attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "Cohere2Model", NULL},
    {ROOT "embed_tokens", "Embedding", NULL},
    LLAMA_LAYER_MODULES("Cohere2"),
    LLAMA_ATTENTION_MODULES("Cohere2"),
    LLAMA_MLP_MODULES("Cohere2", "SiLUActivation"),
    {LAYER "input_layernorm", "Cohere2LayerNorm", ""},
    {ROOT "norm", "Cohere2LayerNorm", ""},
    LLAMA_LAST_MODULES("Cohere2"),
};

static enum loam_status complete(struct loam_config *config, const json_t *root, const char *name,
                                 struct loam_error *error)
{
    int64_t period = 4;
    LOAM_TRY(loam_json_get_int(root, name, "sliding_window_pattern", &period, error));
    if (config->window == 0)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s: \"sliding_window\" is null; a cohere2 model needs a window", name);
    return loam_config_fill_kinds(config, name, 0, period, error);
}

const struct loam_family loam_family_cohere2 = {
    .model_type = "cohere2",
    .gguf_architecture = "cohere2",
    .architecture = "Cohere2ForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_LAYERNORM,
    .rope_interleaved = true,
    .position = LOAM_ROPE,
    PARALLEL_BRANCHES_OF_ONE_NORM,
    SEPARATE_HEADS,
    KINDS(kinds),
    .rope_count = 1,
    .complete = complete,
    TABLES,
};
