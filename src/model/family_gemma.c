// Gemma: norms that scale by 1 + w, an embedding times sqrt(H), GeGLU.
#include "model/family_parts.h"

#include <math.h>

#define ROOT "model."
#define LAYER ROOT "layers.%d."

static const struct loam_weight_row rows[] = {
    EMBEDDING("embed_tokens"),
    NORM(ATTENTION, "input_layernorm"),
    LLAMA_QKV_AND_BIASES(IF_ATTENTION_BIAS, SAME),
    LINEAR_AND_BIAS(O, "self_attn.o_proj", H, QD, IF_ATTENTION_BIAS),
    NORM(MLP, "post_attention_layernorm"),
    LLAMA_MLP,
    FINAL_NORM("norm"),
    LM_HEAD,
    IGNORED(LAYER "self_attn.rotary_emb.inv_freq"),
};

static const struct loam_layer_kind kinds[] = {FULL_ATTENTION(0)};

static const struct loam_config_key keys[] = {
    LLAMA_KEYS("rms_norm_eps"),
    KEY(ACTIVATION, activation, "hidden_act"),
    KEY(BOOL, attention_bias, "attention_bias"),
};

static const struct loam_config defaults = {
    .kv_heads = 16,
    .head_dim = 256,
    .max_positions = 8192,
    .activation = LOAM_GELU_TANH,
    .norm_eps = 1e-6,
    .initializer_range = 0.02,
    .ropes = {{.theta = 10000.0}},
    .tied_head = true,
};

static const struct loam_config_rule rules[] = {
    {"use_bidirectional_attention", {"false"}, NULL},
};

static const char *const dropouts[] = {"attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "GemmaModel", NULL},
    {ROOT "embed_tokens", "GemmaTextScaledWordEmbedding", NULL},
    LLAMA_LAYER_MODULES("Gemma"),
    LLAMA_ATTENTION_MODULES("Gemma"),
    LLAMA_MLP_MODULES("Gemma", "GELUTanh"),
    {LAYER "input_layernorm", "GemmaRMSNorm", NULL},
    {LAYER "post_attention_layernorm", "GemmaRMSNorm", NULL},
    {ROOT "norm", "GemmaRMSNorm", NULL},
    LLAMA_LAST_MODULES("Gemma"),
};

static const char *const default_targets[] = {"q_proj", "v_proj", NULL};

// "gelu" of the first releases means its approximation by tanh.
static enum loam_status complete(struct loam_config *config, const json_t *root, const char *name,
                                 struct loam_error *error)
{
    (void)root, (void)name, (void)error;
    if (config->activation == LOAM_GELU) config->activation = LOAM_GELU_TANH;
    config->embedding_factor = sqrt((double)config->hidden);
    return LOAM_OK;
}

const struct loam_family loam_family_gemma = {
    .model_type = "gemma",
    .gguf_architecture = "gemma",
    .architecture = "GemmaForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_RMSNORM,
    .norm_offset = 1.0f,
    .rounds_embedding_factor = true,
    .position = LOAM_ROPE,
    SERIAL_BRANCHES,
    SEPARATE_HEADS,
    KINDS(kinds),
    .rope_count = 1,
    RULES(rules),
    .complete = complete,
    TABLES,
    .default_targets = default_targets,
};
