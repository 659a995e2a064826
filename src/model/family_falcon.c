// Falcon 7B: attention and MLP in parallel behind one LayerNorm, one key and value for all queries, RoPE. The first
// small Falcons: one branch after the other, a key and value for each head, ALiBi. Falcon 40B, 180B and Falcon 2:
// parallel with a LayerNorm each, heads that lie by groups, RoPE.
#include "model/family_parts.h"

#define ROOT "transformer."
#define LAYER ROOT "h.%d."

#define BEFORE_NORMS                                                                                         \
    EMBEDDING("word_embeddings"),                                                                            \
        ORDERED_LINEAR_AND_BIAS(QKV, "self_attention.query_key_value", QKV, H, IF_ATTENTION_BIAS, GROUPS),   \
        LINEAR_AND_BIAS(O, "self_attention.dense", H, QD, IF_ATTENTION_BIAS),                                \
        LINEAR_AND_BIAS(UP, "mlp.dense_h_to_4h", F, H, IF_MLP_BIAS),                                         \
        LINEAR_AND_BIAS(DOWN, "mlp.dense_4h_to_h", H, F, IF_MLP_BIAS)
#define AFTER_NORMS FINAL_NORM_AND_BIAS("ln_f"), LM_HEAD, IGNORED(LAYER "self_attention.rotary_emb.inv_freq")

static const struct loam_weight_row rows[] = {
    BEFORE_NORMS,
    NORM_AND_BIAS(ATTENTION, "input_layernorm"),
    SERIAL_NORM_AND_BIAS(MLP, "post_attention_layernorm"),
    AFTER_NORMS,
};
static const struct loam_weight_row new_rows[] = {
    BEFORE_NORMS,
    NORM_AND_BIAS_AS(ATTENTION, "ln_attn", "attn_norm_2"),
    NORM_AND_BIAS_AS(MLP, "ln_mlp", "attn_norm"),
    AFTER_NORMS,
};

// As BLOOM's, rounded to bf16 as transformers does; the bias is added before the scores are scaled.
static void alibi_slopes(const struct loam_config *config, float *slopes)
{
    const float scale = loam_config_attention_scale(config);
    loam_config_alibi_slopes(config, slopes);
    for (int64_t h = 0; h < config->heads; h++)
        slopes[h] = loam_bf16_to_f32(loam_f32_to_bf16(slopes[h])) * scale;
}

static const struct loam_layer_kind without_rope[] = {FULL_ATTENTION(LOAM_NO_ROPE)};

static const struct loam_layer_kind kinds[] = {FULL_ATTENTION(0)};

static const struct loam_config_key keys[] = {
    REQUIRED(INT, hidden, "hidden_size", "n_embed"),
    REQUIRED(INT, layers, "num_hidden_layers", "n_layer"),
    REQUIRED(INT, heads, "num_attention_heads", "n_head"),
    KEY(INT, kv_heads, "num_kv_heads"),
    KEY(INT, inner, "ffn_hidden_size"),
    REQUIRED(INT, vocabulary, "vocab_size"),
    KEY(INT, max_positions, "max_position_embeddings"),
    KEY(DOUBLE, norm_eps, "layer_norm_epsilon"),
    KEY(DOUBLE, initializer_range, "initializer_range"),
    KEY(BOOL, tied_head, "tie_word_embeddings"),
    KEY(ACTIVATION, activation, "activation"),
    KEY(BOOL, attention_bias, "bias"),
    KEY(BOOL, mlp_bias, "bias"),
};

static const struct loam_config defaults = {
    .kv_heads = LOAM_CONFIG_DERIVED,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 2048,
    .activation = LOAM_GELU,
    .norm_eps = 1e-5,
    .initializer_range = 0.02,
    .ropes = {{.theta = 10000.0}},
    .inner = LOAM_CONFIG_DERIVED,
    .tied_head = true,
};

static const struct loam_config_rule new_rules[] = {
    {"num_ln_in_parallel_attn", {"2"}, NULL},
};

static const char *const dropouts[] = {"attention_dropout", "hidden_dropout", NULL};

// clang-format off
#define FIRST_MODULES \
    {"transformer", "FalconModel", NULL}, \
    {ROOT "word_embeddings", "Embedding", NULL}, \
    {ROOT "h", "ModuleList", NULL}, \
    {ROOT "h.%d", "FalconDecoderLayer", NULL}, \
    {LAYER "self_attention", "FalconAttention", NULL}, \
    {LAYER "self_attention.query_key_value", "FalconLinear", NULL}, \
    {LAYER "self_attention.dense", "FalconLinear", NULL}, \
    {LAYER "self_attention.attention_dropout", "Dropout", "p=0.0, inplace=False"}, \
    {LAYER "mlp", "FalconMLP", NULL}, \
    {LAYER "mlp.dense_h_to_4h", "FalconLinear", NULL}, \
    {LAYER "mlp.act", "GELUActivation", NULL}, \
    {LAYER "mlp.dense_4h_to_h", "FalconLinear", NULL}
#define LAST_MODULES \
    {ROOT "ln_f", "LayerNorm", NULL}, \
    {ROOT "rotary_emb", "FalconRotaryEmbedding", NULL}, \
    {"lm_head", "Linear", NULL}
// clang-format on

static const struct loam_module_row modules[] = {
    FIRST_MODULES,
    {LAYER "post_attention_layernorm", "LayerNorm", NULL},
    {LAYER "input_layernorm", "LayerNorm", NULL},
    LAST_MODULES,
};
static const struct loam_module_row new_modules[] = {
    FIRST_MODULES,
    {LAYER "ln_attn", "LayerNorm", NULL},
    {LAYER "ln_mlp", "LayerNorm", NULL},
    LAST_MODULES,
};

static const char *const default_targets[] = {"query_key_value", NULL};

static enum loam_status complete(struct loam_config *config, const json_t *root, const char *name,
                                 struct loam_error *error)
{
    bool shared = true;
    LOAM_TRY(loam_json_get_bool(root, name, "multi_query", &shared, error));
    config->kv_heads = shared ? 1 : config->heads;
    return LOAM_OK;
}

#define SHARED                                                                                               \
    .model_type = "falcon", .gguf_architecture = "falcon", .architecture = "FalconForCausalLM",              \
    .prefix = ROOT, .norm = LOAM_LAYERNORM, .default_targets = default_targets

const struct loam_family loam_family_falcon = {
    SHARED,
    .cases = {{"new_decoder_architecture", "false", "false"},
              {"parallel_attn", "true", "true"},
              {"multi_query", "true", "true"},
              {"alibi", "false", "false"}},
    .position = LOAM_ROPE,
    PARALLEL_BRANCHES_OF_ONE_NORM,
    HEADS_IN_BLOCKS,
    KINDS(kinds),
    .rope_count = 1,
    .complete = complete,
    TABLES,
};

const struct loam_family loam_family_falcon_serial = {
    SHARED,
    .cases = {{"new_decoder_architecture", "false", "false"},
              {"parallel_attn", "false", "true"},
              {"multi_query", "false", "true"},
              {"alibi", "true", "false"}},
    .alibi_slopes = alibi_slopes,
    .position = LOAM_ALIBI,
    SERIAL_BRANCHES,
    HEADS_IN_THREES,
    KINDS(without_rope),
    .complete = complete,
    TABLES,
};

const struct loam_family loam_family_falcon_new = {
    SHARED,
    .cases = {{"new_decoder_architecture", "true", "false"},
              {"parallel_attn", "true", "true"},
              {"alibi", "false", "false"}},
    .position = LOAM_ROPE,
    PARALLEL_BRANCHES,
    HEADS_IN_BLOCKS,
    .heads_by_groups = true,
    KINDS(kinds),
    .rope_count = 1,
    RULES(new_rules),
    TABLES_OF(new_rows, keys, defaults, dropouts, new_modules),
};
