// Phi-3, Phi-3.5 and Phi-4: Llama with query, key and value in one matrix, gate and up in another, LongRoPE.
#include "model/family_parts.h"

#define ROOT "model."
#define LAYER ROOT "layers.%d."

static const struct loam_weight_row rows[] = {
    EMBEDDING("embed_tokens"),
    NORM(ATTENTION, "input_layernorm"),
    LINEAR(QKV, "self_attn.qkv_proj", QKV, H),
    LINEAR(O, "self_attn.o_proj", H, QD),
    NORM(MLP, "post_attention_layernorm"),
    LINEAR(GATE_UP, "mlp.gate_up_proj", 2F, H),
    LINEAR(DOWN, "mlp.down_proj", H, F),
    FINAL_NORM("norm"),
    LM_HEAD,
    IGNORED(LAYER "self_attn.rotary_emb.inv_freq"),
};

static const struct loam_layer_kind kinds[] = {WINDOWED_ATTENTION(0)};

static const struct loam_config_key keys[] = {
    LLAMA_KEYS("rms_norm_eps"),
    KEY(ACTIVATION, activation, "hidden_act"),
    KEY(INT_OR_NONE, window, "sliding_window"),
};

static const struct loam_config defaults = {
    .kv_heads = LOAM_CONFIG_DERIVED,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 4096,
    .activation = LOAM_SILU,
    .norm_eps = 1e-5,
    .initializer_range = 0.02,
    .ropes = {{.theta = 10000.0}},
    .window = 0,
};

static const char *const dropouts[] = {"resid_pdrop", "embd_pdrop", "attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"model", "Phi3Model", NULL},
    {ROOT "embed_tokens", "Embedding", NULL},
    LLAMA_LAYER_MODULES("Phi3"),
    {LAYER "self_attn", "Phi3Attention", NULL},
    {LAYER "self_attn.o_proj", "Linear", NULL},
    {LAYER "self_attn.qkv_proj", "Linear", NULL},
    {LAYER "mlp", "Phi3MLP", NULL},
    {LAYER "mlp.gate_up_proj", "Linear", NULL},
    {LAYER "mlp.down_proj", "Linear", NULL},
    {LAYER "mlp.activation_fn", "SiLUActivation", NULL},
    {LAYER "input_layernorm", "Phi3RMSNorm", NULL},
    {LAYER "post_attention_layernorm", "Phi3RMSNorm", NULL},
    {LAYER "resid_attn_dropout", "Dropout", "p=0.0, inplace=False"},
    {LAYER "resid_mlp_dropout", "Dropout", "p=0.0, inplace=False"},
    {ROOT "norm", "Phi3RMSNorm", NULL},
    LLAMA_LAST_MODULES("Phi3"),
};

const struct loam_family loam_family_phi3 = {
    .model_type = "phi3",
    .gguf_architecture = "phi3",
    .architecture = "Phi3ForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_RMSNORM,
    .rope_partial = true,
    .position = LOAM_ROPE,
    SERIAL_BRANCHES,
    HEADS_IN_BLOCKS,
    KINDS(kinds),
    .rope_count = 1,
    TABLES,
};
