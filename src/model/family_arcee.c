// Arcee (AFM): Llama with a plain MLP of squared ReLU.
#include "model/family_parts.h"

#define ROOT "model."
#define LAYER ROOT "layers.%d."

static const struct loam_weight_row rows[] = {
    EMBEDDING("embed_tokens"),
    NORM(ATTENTION, "input_layernorm"),
    LLAMA_QKV_AND_BIASES(IF_ATTENTION_BIAS, ROPE),
    LINEAR_AND_BIAS(O, "self_attn.o_proj", H, QD, IF_ATTENTION_BIAS),
    NORM(MLP, "post_attention_layernorm"),
    LINEAR_AND_BIAS(UP, "mlp.up_proj", F, H, IF_MLP_BIAS),
    LINEAR_AND_BIAS(DOWN, "mlp.down_proj", H, F, IF_MLP_BIAS),
    FINAL_NORM("norm"),
    LM_HEAD,
    IGNORED(LAYER "self_attn.rotary_emb.inv_freq"),
};

static const struct loam_layer_kind kinds[] = {FULL_ATTENTION(0)};

static const struct loam_config_key keys[] = {
    LLAMA_KEYS("rms_norm_eps"),
    KEY(BOOL, attention_bias, "attention_bias"),
    KEY(ACTIVATION, activation, "hidden_act"),
    KEY(BOOL, mlp_bias, "mlp_bias"),
};

static const struct loam_config defaults = {
    LLAMA_DEFAULT_SIZES(2560, 32, 32, 18432, 32000),
    .kv_heads = LOAM_CONFIG_DERIVED,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 4096,
    .activation = LOAM_RELU2,
    .norm_eps = 1e-5,
    .initializer_range = 0.02,
    .ropes = {{.theta = 10000.0}},
};

static const char *const dropouts[] = {"attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "ArceeModel", NULL},
    {ROOT "embed_tokens", "Embedding", NULL},
    LLAMA_LAYER_MODULES("Arcee"),
    LLAMA_ATTENTION_MODULES("Arcee"),
    {LAYER "mlp", "ArceeMLP", NULL},
    {LAYER "mlp.up_proj", "Linear", NULL},
    {LAYER "mlp.down_proj", "Linear", NULL},
    {LAYER "mlp.act_fn", "ReLUSquaredActivation", NULL},
    {LAYER "input_layernorm", "ArceeRMSNorm", NULL},
    {LAYER "post_attention_layernorm", "ArceeRMSNorm", NULL},
    {ROOT "norm", "ArceeRMSNorm", NULL},
    LLAMA_LAST_MODULES("Arcee"),
};

const struct loam_family loam_family_arcee = {
    .model_type = "arcee",
    .gguf_architecture = "arcee",
    .architecture = "ArceeForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_RMSNORM,
    .position = LOAM_ROPE,
    SERIAL_BRANCHES,
    SEPARATE_HEADS,
    KINDS(kinds),
    .rope_count = 1,
    TABLES,
};
