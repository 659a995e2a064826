// StarCoder2: LayerNorm, RoPE, biases everywhere, a plain MLP, a window on all layers where the config has one.
#include "model/family_parts.h"

#define ROOT "model."
#define LAYER ROOT "layers.%d."

static const struct loam_weight_row rows[] = {
    EMBEDDING("embed_tokens"),
    NORM_AND_BIAS(ATTENTION, "input_layernorm"),
    LLAMA_QKV_AND_BIASES(IF_ATTENTION_BIAS, SAME),
    LINEAR_AND_BIAS(O, "self_attn.o_proj", H, QD, IF_ATTENTION_BIAS),
    NORM_AND_BIAS(MLP, "post_attention_layernorm"),
    LINEAR_AND_BIAS(UP, "mlp.c_fc", F, H, IF_MLP_BIAS),
    LINEAR_AND_BIAS(DOWN, "mlp.c_proj", H, F, IF_MLP_BIAS),
    FINAL_NORM_AND_BIAS("norm"),
    LM_HEAD,
    IGNORED(LAYER "self_attn.rotary_emb.inv_freq"),
};

static const struct loam_layer_kind kinds[] = {WINDOWED_ATTENTION(0)};

static const struct loam_config_key keys[] = {
    LLAMA_KEYS("norm_epsilon"),
    KEY(ACTIVATION, activation, "hidden_act"),
    KEY(INT_OR_NONE, window, "sliding_window"),
    KEY(BOOL, attention_bias, "use_bias"),
    KEY(BOOL, mlp_bias, "use_bias"),
};

static const struct loam_config defaults = {
    .kv_heads = 2,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 4096,
    .activation = LOAM_GELU_TANH,
    .norm_eps = 1e-5,
    .initializer_range = 0.018042,
    .ropes = {{.theta = 10000.0}},
    .tied_head = true,
    .attention_bias = true,
    .mlp_bias = true,
};

static const char *const dropouts[] = {"attention_dropout", "residual_dropout", "embedding_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "Starcoder2Model", NULL},
    {ROOT "embed_tokens", "Embedding", NULL},
    LLAMA_LAYER_MODULES("Starcoder2"),
    LLAMA_ATTENTION_MODULES("Starcoder2"),
    {LAYER "mlp", "Starcoder2MLP", NULL},
    {LAYER "mlp.c_fc", "Linear", NULL},
    {LAYER "mlp.c_proj", "Linear", NULL},
    {LAYER "mlp.act", "GELUTanh", NULL},
    {LAYER "input_layernorm", "LayerNorm", NULL},
    {LAYER "post_attention_layernorm", "LayerNorm", NULL},
    {ROOT "norm", "LayerNorm", NULL},
    LLAMA_LAST_MODULES("Starcoder2"),
};

const struct loam_family loam_family_starcoder2 = {
    .model_type = "starcoder2",
    .gguf_architecture = "starcoder2",
    .architecture = "Starcoder2ForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_LAYERNORM,
    .position = LOAM_ROPE,
    SERIAL_BRANCHES,
    SEPARATE_HEADS,
    KINDS(kinds),
    .rope_count = 1,
    TABLES,
};
