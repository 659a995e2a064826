// SmolLM3: Llama without positions on every fourth layer.
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
};

static const struct loam_layer_kind kinds[] = {
    FULL_ATTENTION(0), WINDOWED_ATTENTION(0), FULL_ATTENTION(LOAM_NO_ROPE), WINDOWED_ATTENTION(LOAM_NO_ROPE)};

static const struct loam_config_key keys[] = {
    LLAMA_KEYS("rms_norm_eps"),
    KEY(ACTIVATION, activation, "hidden_act"),
    KEY(BOOL, attention_bias, "attention_bias"),
    KEY(BOOL, mlp_bias, "mlp_bias"),
    KEY(INT_OR_NONE, window, "sliding_window"),
    KEY(KINDS, layer_kinds, "layer_types"),
};

static const struct loam_config defaults = {
    .kv_heads = 4,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 32768,
    .activation = LOAM_SILU,
    .norm_eps = 1e-6,
    .initializer_range = 0.02,
    .ropes = {{.theta = 2000000.0}},
    .tied_head = true,
};

static const char *const dropouts[] = {"attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "SmolLM3Model", NULL},
    {ROOT "embed_tokens", "Embedding", NULL},
    LLAMA_LAYER_MODULES("SmolLM3"),
    LLAMA_ATTENTION_MODULES("SmolLM3"),
    LLAMA_MLP_MODULES("SmolLM3", "SiLUActivation"),
    {LAYER "input_layernorm", "SmolLM3RMSNorm", NULL},
    {LAYER "post_attention_layernorm", "SmolLM3RMSNorm", NULL},
    {ROOT "norm", "SmolLM3RMSNorm", NULL},
    LLAMA_LAST_MODULES("SmolLM3"),
};

enum { WITHOUT_ROPE = 2 }; // from a kind to the same without RoPE

static bool has_rope(const json_t *list, int64_t layer, int64_t interval)
{
    if (list == NULL || json_is_null(list)) return (layer + 1) % interval != 0;
    return json_integer_value(json_array_get(list, (size_t)layer)) != 0;
}

// "no_rope_layers" has a 1 for each layer with RoPE.
static enum loam_status complete(struct loam_config *config, const json_t *root, const char *name,
                                 struct loam_error *error)
{
    const json_t *list = json_object_get(root, "no_rope_layers");
    const bool listed = loam_config_is_given(root, "layer_types");
    bool windowed = false;
    int64_t interval = 4;
    LOAM_TRY(loam_json_get_bool(root, name, "use_sliding_window", &windowed, error));
    LOAM_TRY(loam_json_get_int(root, name, "no_rope_layer_interval", &interval, error));
    if (!windowed) config->window = 0;
    if (interval < 1)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"no_rope_layer_interval\" must be positive", name);
    if (json_is_array(list) && json_array_size(list) != (size_t)config->layers)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: \"no_rope_layers\" must have an element for each layer", name);
    LOAM_TRY(loam_config_fill_kinds(config, name, config->layers, 0, error));
    for (int i = 0; i < config->layer_kinds.count; i++) {
        const bool rope = has_rope(list, i, interval);
        if (!listed && config->window > 0 && !rope) config->layer_kinds.items[i] = 1;
        if (!rope) config->layer_kinds.items[i] += WITHOUT_ROPE;
    }
    return LOAM_OK;
}

const struct loam_family loam_family_smollm3 = {
    .model_type = "smollm3",
    .gguf_architecture = "smollm3",
    .architecture = "SmolLM3ForCausalLM",
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
