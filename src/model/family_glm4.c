// GLM-4: norms before and after each branch, interleaved partial RoPE, gate and up in one matrix.
#include "model/family_parts.h"

#define ROOT "model."
#define LAYER ROOT "layers.%d."

static const struct loam_weight_row rows[] = {
    EMBEDDING("embed_tokens"),
    LLAMA_QKV_AND_BIASES(IF_ATTENTION_BIAS, SAME),
    LINEAR(O, "self_attn.o_proj", H, QD),
    LINEAR(GATE_UP, "mlp.gate_up_proj", 2F, H),
    LINEAR(DOWN, "mlp.down_proj", H, F),
    NORM(ATTENTION, "input_layernorm"),
    NORM(MLP, "post_attention_layernorm"),
    NORM(AFTER_ATTENTION, "post_self_attn_layernorm"),
    NORM(AFTER_MLP, "post_mlp_layernorm"),
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
    .kv_heads = 2,
    .head_dim = 128,
    .max_positions = 131072,
    .activation = LOAM_SILU,
    .norm_eps = 0.00000015625,
    .initializer_range = 0.02,
    .ropes = {{.theta = 10000.0}},
    .attention_bias = true,
    .rotary_fraction = 0.5,
};

static const char *const dropouts[] = {"attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "Glm4Model", NULL},
    {ROOT "embed_tokens", "Embedding", NULL},
    LLAMA_LAYER_MODULES("Glm4"),
    LLAMA_ATTENTION_MODULES("Glm4"),
    {LAYER "mlp", "Glm4MLP", NULL},
    {LAYER "mlp.gate_up_proj", "Linear", NULL},
    {LAYER "mlp.down_proj", "Linear", NULL},
    {LAYER "mlp.activation_fn", "SiLUActivation", NULL},
    {LAYER "input_layernorm", "Glm4RMSNorm", NULL},
    {LAYER "post_attention_layernorm", "Glm4RMSNorm", NULL},
    {LAYER "post_self_attn_layernorm", "Glm4RMSNorm", NULL},
    {LAYER "post_mlp_layernorm", "Glm4RMSNorm", NULL},
    {ROOT "norm", "Glm4RMSNorm", NULL},
    LLAMA_LAST_MODULES("Glm4"),
};

const struct loam_family loam_family_glm4 = {
    .model_type = "glm4",
    .gguf_architecture = "glm4",
    .architecture = "Glm4ForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_RMSNORM,
    .rope_interleaved = true,
    .rope_partial = true,
    .position = LOAM_ROPE,
    BRANCHES_BETWEEN_NORMS,
    SEPARATE_HEADS,
    KINDS(kinds),
    .rope_count = 1,
    TABLES,
};
