// OPT: learned positions whose first row is the third, LayerNorm, ReLU.
#define GGUF(name) NULL // llama.cpp has no such family
#include "model/family_parts.h"

#define ROOT "model.decoder."
#define LAYER ROOT "layers.%d."

static const struct loam_weight_row rows[] = {
    EMBEDDING("embed_tokens"),
    POSITIONS("embed_positions"),
    FINAL_NORM_AND_BIAS("final_layer_norm"),
    LINEAR_AND_BIAS(K, "self_attn.k_proj", GD, H, IF_ATTENTION_BIAS),
    LINEAR_AND_BIAS(V, "self_attn.v_proj", GD, H, IF_ATTENTION_BIAS),
    LINEAR_AND_BIAS(Q, "self_attn.q_proj", QD, H, IF_ATTENTION_BIAS),
    LINEAR_AND_BIAS(O, "self_attn.out_proj", H, QD, IF_ATTENTION_BIAS),
    NORM_AND_BIAS(ATTENTION, "self_attn_layer_norm"),
    LINEAR_AND_BIAS(UP, "fc1", F, H, IF_ATTENTION_BIAS),
    LINEAR_AND_BIAS(DOWN, "fc2", H, F, IF_ATTENTION_BIAS),
    NORM_AND_BIAS(MLP, "final_layer_norm"),
    LM_HEAD,
};

static const struct loam_layer_kind kinds[] = {FULL_ATTENTION(LOAM_NO_ROPE)};

static const struct loam_config_key keys[] = {
    LLAMA_SIZES,
    REQUIRED(INT, inner, "ffn_dim"),
    REQUIRED(INT, vocabulary, "vocab_size"),
    KEY(INT, max_positions, "max_position_embeddings"),
    KEY(DOUBLE, initializer_range, "init_std"),
    KEY(BOOL, tied_head, "tie_word_embeddings"),
    KEY(ACTIVATION, activation, "activation_function"),
    KEY(BOOL, attention_bias, "enable_bias"),
};

static const struct loam_config defaults = {
    .kv_heads = LOAM_CONFIG_DERIVED,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 2048,
    .activation = LOAM_RELU,
    .norm_eps = 1e-5,
    .initializer_range = 0.02,
    .tied_head = true,
    .attention_bias = true,
};

static const struct loam_config_rule rules[] = {
    {"do_layer_norm_before", {"true"}, NULL},
    {"layer_norm_elementwise_affine", {"true"}, NULL},
    {"_remove_final_layer_norm", {"false"}, NULL},
};

static const char *const dropouts[] = {"dropout", "attention_dropout", "layerdrop", NULL};

static const struct loam_module_row modules[] = {
    {"model", "OPTModel", NULL},
    {"model.decoder", "OPTDecoder", NULL},
    {ROOT "embed_tokens", "Embedding", NULL},
    {ROOT "embed_positions", "OPTLearnedPositionalEmbedding", NULL},
    {ROOT "final_layer_norm", "LayerNorm", NULL},
    LLAMA_LAYER_MODULES("OPT"),
    {LAYER "self_attn", "OPTAttention", NULL},
    {LAYER "self_attn.k_proj", "Linear", NULL},
    {LAYER "self_attn.v_proj", "Linear", NULL},
    {LAYER "self_attn.q_proj", "Linear", NULL},
    {LAYER "self_attn.out_proj", "Linear", NULL},
    {LAYER "activation_fn", "ReLU", NULL},
    {LAYER "self_attn_layer_norm", "LayerNorm", NULL},
    {LAYER "fc1", "Linear", NULL},
    {LAYER "fc2", "Linear", NULL},
    {LAYER "final_layer_norm", "LayerNorm", NULL},
    {"lm_head", "Linear", NULL},
};

static const char *const default_targets[] = {"q_proj", "v_proj", NULL};

static enum loam_status complete(struct loam_config *config, const json_t *root, const char *name,
                                 struct loam_error *error)
{
    int64_t width = config->hidden;
    LOAM_TRY(loam_json_get_int(root, name, "word_embed_proj_dim", &width, error));
    if (width == config->hidden) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                     "%s: \"word_embed_proj_dim\" is %lld; only the hidden size %lld is supported", name,
                     (long long)width, (long long)config->hidden);
}

const struct loam_family loam_family_opt = {
    .model_type = "opt",
    .architecture = "OPTForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_LAYERNORM,
    .position_offset = 2,
    .position = LOAM_LEARNED,
    SERIAL_BRANCHES,
    SEPARATE_HEADS,
    KINDS(kinds),
    RULES(rules),
    .complete = complete,
    TABLES,
    .default_targets = default_targets,
};
