// Gemma 2: Gemma with norms before and after each branch, soft-caps of scores and logits, a window on every other
// layer.
#include "model/family_parts.h"

#define ROOT "model."
#define LAYER ROOT "layers.%d."

static const struct loam_weight_row rows[] = {
    EMBEDDING("embed_tokens"),
    NORM(ATTENTION, "input_layernorm"),
    LLAMA_QKV_AND_BIASES(IF_ATTENTION_BIAS, SAME),
    LINEAR_AND_BIAS(O, "self_attn.o_proj", H, QD, IF_ATTENTION_BIAS),
    NORM(AFTER_ATTENTION, "post_attention_layernorm"),
    NORM(MLP, "pre_feedforward_layernorm"),
    NORM(AFTER_MLP, "post_feedforward_layernorm"),
    LLAMA_MLP,
    FINAL_NORM("norm"),
    LM_HEAD,
    IGNORED(LAYER "self_attn.rotary_emb.inv_freq"),
};

static const struct loam_layer_kind kinds[] = {FULL_ATTENTION(0), WINDOWED_ATTENTION(0)};

static const struct loam_config_key keys[] = {
    LLAMA_KEYS("rms_norm_eps"),
    KEY(ACTIVATION, activation, "hidden_activation"),
    KEY(BOOL, attention_bias, "attention_bias"),
    KEY(INT_OR_NONE, window, "sliding_window"),
    KEY(KINDS, layer_kinds, "layer_types"),
    KEY(DOUBLE, attention_factor, "query_pre_attn_scalar"),
    KEY(DOUBLE_OR_NONE, logit_softcap, "final_logit_softcapping"),
    KEY(DOUBLE_OR_NONE, attention_softcap, "attn_logit_softcapping"),
};

static const struct loam_config defaults = {
    .kv_heads = 4,
    .head_dim = 256,
    .max_positions = 8192,
    .activation = LOAM_GELU_TANH,
    .norm_eps = 1e-6,
    .initializer_range = 0.02,
    .ropes = {{.theta = 10000.0}},
    .tied_head = true,
    .window = 4096,
    .attention_factor = 256,
    .logit_softcap = 30,
    .attention_softcap = 50,
};

static const struct loam_config_rule rules[] = {
    {"use_bidirectional_attention", {"false"}, NULL},
};

static const char *const dropouts[] = {"attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "Gemma2Model", NULL},
    {ROOT "embed_tokens", "Gemma2TextScaledWordEmbedding", NULL},
    LLAMA_LAYER_MODULES("Gemma2"),
    LLAMA_ATTENTION_MODULES("Gemma2"),
    LLAMA_MLP_MODULES("Gemma2", "GELUTanh"),
    {LAYER "input_layernorm", "Gemma2RMSNorm", NULL},
    {LAYER "post_attention_layernorm", "Gemma2RMSNorm", NULL},
    {LAYER "pre_feedforward_layernorm", "Gemma2RMSNorm", NULL},
    {LAYER "post_feedforward_layernorm", "Gemma2RMSNorm", NULL},
    {ROOT "norm", "Gemma2RMSNorm", NULL},
    LLAMA_LAST_MODULES("Gemma2"),
};

static const char *const default_targets[] = {"q_proj", "v_proj", NULL};

static enum loam_status complete(struct loam_config *config, const json_t *root, const char *name,
                                 struct loam_error *error)
{
    (void)root;
    LOAM_TRY(loam_config_scale_gemma(config, name, error));
    return loam_config_fill_kinds(config, name, 0, 2, error);
}

const struct loam_family loam_family_gemma2 = {
    .model_type = "gemma2",
    .gguf_architecture = "gemma2",
    .architecture = "Gemma2ForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_RMSNORM,
    .norm_offset = 1.0f,
    .rounds_embedding_factor = true,
    .position = LOAM_ROPE,
    BRANCHES_BETWEEN_NORMS,
    SEPARATE_HEADS,
    KINDS(kinds),
    .rope_count = 1,
    RULES(rules),
    .complete = complete,
    TABLES,
    .default_targets = default_targets,
};
