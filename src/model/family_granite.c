// Granite 3: Llama with factors of the embedding, the residual branches, the attention scores and the logits.
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

static const struct loam_layer_kind kinds[] = {FULL_ATTENTION(0)};

static const struct loam_config_key keys[] = {
    LLAMA_KEYS("rms_norm_eps"),
    KEY(ACTIVATION, activation, "hidden_act"),
    KEY(BOOL, attention_bias, "attention_bias"),
    KEY(BOOL, mlp_bias, "mlp_bias"),
    KEY(DOUBLE, embedding_factor, "embedding_multiplier"),
    KEY(DOUBLE, residual_factor, "residual_multiplier"),
    KEY(DOUBLE, attention_factor, "attention_multiplier"),
    KEY(DOUBLE, logit_factor, "logits_scaling"),
};

static const struct loam_config defaults = {
    .kv_heads = LOAM_CONFIG_DERIVED,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 2048,
    .activation = LOAM_SILU,
    .norm_eps = 1e-6,
    .initializer_range = 0.02,
    .ropes = {{.theta = 10000.0}},
    .residual_factor = 1,
    .attention_factor = 1,
};

static const char *const dropouts[] = {"attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "GraniteModel", NULL},
    {ROOT "embed_tokens", "Embedding", NULL},
    LLAMA_LAYER_MODULES("Granite"),
    LLAMA_ATTENTION_MODULES("Granite"),
    LLAMA_MLP_MODULES("Granite", "SiLUActivation"),
    {LAYER "input_layernorm", "GraniteRMSNorm", NULL},
    {LAYER "post_attention_layernorm", "GraniteRMSNorm", NULL},
    {ROOT "norm", "GraniteRMSNorm", NULL},
    LLAMA_LAST_MODULES("Granite"),
};

// The logits are divided by logits_scaling.
static enum loam_status complete(struct loam_config *config, const json_t *root, const char *name,
                                 struct loam_error *error)
{
    (void)root;
    if (!(config->logit_factor > 0))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"logits_scaling\" must be positive", name);
    config->logit_factor = 1.0 / config->logit_factor;
    return LOAM_OK;
}

const struct loam_family loam_family_granite = {
    .model_type = "granite",
    .gguf_architecture = "granite",
    .architecture = "GraniteForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_RMSNORM,
    .position = LOAM_ROPE,
    SCALED_BRANCHES(residual_factor),
    SEPARATE_HEADS,
    KINDS(kinds),
    .rope_count = 1,
    .complete = complete,
    TABLES,
};
