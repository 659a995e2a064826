// Command R: attention and MLP in parallel behind one LayerNorm without a bias, interleaved RoPE, a factor of the logits.
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

static const struct loam_layer_kind kinds[] = {FULL_ATTENTION(0)};

static const struct loam_config_key keys[] = {
    LLAMA_KEYS("layer_norm_eps"),
    KEY(ACTIVATION, activation, "hidden_act"),
    KEY(BOOL, attention_bias, "attention_bias"),
    KEY(DOUBLE, logit_factor, "logit_scale"),
};

static const struct loam_config defaults = {
    .kv_heads = LOAM_CONFIG_DERIVED,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 8192,
    .activation = LOAM_SILU,
    .norm_eps = 1e-5,
    .initializer_range = 0.02,
    .ropes = {{.theta = 500000.0}},
    .tied_head = true,
    .logit_factor = 0.0625,
};

static const struct loam_config_rule rules[] = {
    {"use_qk_norm", {"false"}, NULL},
};

static const char *const dropouts[] = {"attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "CohereModel", NULL},
    {ROOT "embed_tokens", "Embedding", NULL},
    LLAMA_LAYER_MODULES("Cohere"),
    LLAMA_ATTENTION_MODULES("Cohere"),
    LLAMA_MLP_MODULES("Cohere", "SiLUActivation"),
    {LAYER "input_layernorm", "CohereLayerNorm", ""},
    {ROOT "norm", "CohereLayerNorm", ""},
    LLAMA_LAST_MODULES("Cohere"),
};

const struct loam_family loam_family_cohere = {
    .model_type = "cohere",
    .gguf_architecture = "command-r",
    .architecture = "CohereForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_LAYERNORM,
    .rope_interleaved = true,
    .position = LOAM_ROPE,
    PARALLEL_BRANCHES_OF_ONE_NORM,
    SEPARATE_HEADS,
    KINDS(kinds),
    .rope_count = 1,
    RULES(rules),
    TABLES,
};
