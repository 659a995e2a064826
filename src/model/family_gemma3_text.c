// Gemma 3, text: Gemma 2 with norms over each head of query and key, two RoPE tables, five layers with a window to
// one without, no soft-cap of scores.
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
    NORM(AFTER_ATTENTION, "post_attention_layernorm"),
    NORM(MLP, "pre_feedforward_layernorm"),
    NORM(AFTER_MLP, "post_feedforward_layernorm"),
    LLAMA_MLP,
    FINAL_NORM("norm"),
    LM_HEAD,
    IGNORED(LAYER "self_attn.rotary_emb.inv_freq"),
};

static const struct loam_layer_kind kinds[] = {FULL_ATTENTION(0), WINDOWED_ATTENTION(1)};

static const struct loam_config_key keys[] = {
    LLAMA_KEYS("rms_norm_eps"),
    KEY(ACTIVATION, activation, "hidden_activation"),
    KEY(BOOL, attention_bias, "attention_bias"),
    KEY(INT_OR_NONE, window, "sliding_window"),
    KEY(KINDS, layer_kinds, "layer_types"),
    KEY(DOUBLE, attention_factor, "query_pre_attn_scalar"),
    KEY(DOUBLE_OR_NONE, logit_softcap, "final_logit_softcapping"),
    KEY(DOUBLE, ropes[1].theta, "rope_local_base_freq"),
};

static const struct loam_config defaults = {
    LLAMA_DEFAULT_SIZES(2304, 26, 8, 9216, 262208),
    .kv_heads = 4,
    .head_dim = 256,
    .max_positions = 131072,
    .activation = LOAM_GELU_TANH,
    .norm_eps = 1e-6,
    .initializer_range = 0.02,
    .ropes = {{.theta = 1000000.0}, {.theta = 10000.0}},
    .tied_head = true,
    .window = 4096,
    .attention_factor = 256,
};

static const struct loam_config_rule rules[] = {
    {"use_bidirectional_attention", {"false"}, NULL},
    {"attn_logit_softcapping", {"null"}, NULL},
};

static const char *const dropouts[] = {"attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "Gemma3TextModel", NULL},
    {ROOT "embed_tokens", "Gemma3TextScaledWordEmbedding", NULL},
    LLAMA_LAYER_MODULES("Gemma3"),
    LLAMA_ATTENTION_MODULES("Gemma3"),
    {LAYER "self_attn.q_norm", "Gemma3RMSNorm", NULL},
    {LAYER "self_attn.k_norm", "Gemma3RMSNorm", NULL},
    LLAMA_MLP_MODULES("Gemma3", "GELUTanh"),
    {LAYER "input_layernorm", "Gemma3RMSNorm", NULL},
    {LAYER "post_attention_layernorm", "Gemma3RMSNorm", NULL},
    {LAYER "pre_feedforward_layernorm", "Gemma3RMSNorm", NULL},
    {LAYER "post_feedforward_layernorm", "Gemma3RMSNorm", NULL},
    {ROOT "norm", "Gemma3RMSNorm", NULL},
    LLAMA_LAST_MODULES("Gemma3"),
};

static const char *const default_targets[] = {"q_proj", "v_proj", NULL};

static enum loam_status complete(struct loam_config *config, const json_t *root, const char *name,
                                 struct loam_error *error)
{
    int64_t period = 6;
    LOAM_TRY(loam_json_get_int(root, name, "sliding_window_pattern", &period, error));
    LOAM_TRY(loam_config_scale_gemma(config, name, error));
    return loam_config_fill_kinds(config, name, 0, period, error);
}

const struct loam_family loam_family_gemma3_text = {
    .model_type = "gemma3_text",
    .gguf_architecture = "gemma3",
    .architecture = "Gemma3ForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_RMSNORM,
    .norm_offset = 1.0f,
    .rounds_embedding_factor = true,
    .position = LOAM_ROPE,
    BRANCHES_BETWEEN_NORMS,
    SEPARATE_HEADS,
    KINDS(kinds),
    .rope_count = 2,
    RULES(rules),
    .complete = complete,
    TABLES,
    .default_targets = default_targets,
};
