// BLOOM (Le Scao et al. 2022): LayerNorm, a norm over the embedding, ALiBi, one matrix for query, key and
// value with the three interleaved by head, biases everywhere, tanh-GELU, the embedding as the head.
#include "model/family_parts.h"

#define ROOT "transformer."
#define LAYER ROOT "h.%d."

static const struct loam_weight_row rows[] = {
    EMBEDDING("word_embeddings"),
    EMBEDDING_NORM_AND_BIAS("word_embeddings_layernorm"),
    NORM_AND_BIAS(ATTENTION, "input_layernorm"),
    ORDERED_LINEAR_AND_BIAS(QKV, "self_attention.query_key_value", 3H, H, ALWAYS, QKV),
    LINEAR_AND_BIAS(O, "self_attention.dense", H, H, ALWAYS),
    NORM_AND_BIAS(MLP, "post_attention_layernorm"),
    LINEAR_AND_BIAS(UP, "mlp.dense_h_to_4h", F, H, ALWAYS),
    LINEAR_AND_BIAS(DOWN, "mlp.dense_4h_to_h", H, F, ALWAYS),
    FINAL_NORM_AND_BIAS("ln_f"),
    LM_HEAD,
};

static const struct loam_layer_kind kinds[] = {FULL_ATTENTION(LOAM_NO_ROPE)};

static const struct loam_config_key keys[] = {
    REQUIRED(INT, hidden, "n_embed", "hidden_size"),
    REQUIRED(INT, layers, "num_hidden_layers", "n_layer"),
    REQUIRED(INT, heads, "num_attention_heads", "n_head"),
    REQUIRED(INT, vocabulary, "vocab_size"),
    KEY(INT, max_positions, "seq_length"),
    KEY(DOUBLE, norm_eps, "layer_norm_epsilon"),
    KEY(DOUBLE, initializer_range, "initializer_range"),
    KEY(BOOL, tied_head, "tie_word_embeddings"),
};

// The inner size of the MLP is four times the hidden size; n_inner is ignored, as in transformers.
static const struct loam_config defaults = {
    .kv_heads = LOAM_CONFIG_DERIVED,
    .head_dim = LOAM_CONFIG_DERIVED,
    .inner = LOAM_CONFIG_DERIVED,
    .max_positions = 2048,
    .activation = LOAM_GELU_TANH,
    .norm_eps = 1e-5,
    .initializer_range = 0.02,
    .tied_head = true,
};

static const struct loam_config_rule rules[] = {
    {"apply_residual_connection_post_layernorm", {"false"}, NULL},
    {"slow_but_exact", {"false"}, "pretraining_tp"}, // leaves out the biases of two linears
};

static const char *const dropouts[] = {"hidden_dropout", "attention_dropout", NULL};

static const struct loam_module_row modules[] = {
    {"transformer", "BloomModel", NULL},
    {ROOT "word_embeddings", "Embedding", NULL},
    {ROOT "word_embeddings_layernorm", "LayerNorm", NULL},
    {ROOT "h", "ModuleList", NULL},
    {ROOT "h.%d", "BloomBlock", NULL},
    {LAYER "input_layernorm", "LayerNorm", NULL},
    {LAYER "self_attention", "BloomAttention", NULL},
    {LAYER "self_attention.query_key_value", "Linear", NULL},
    {LAYER "self_attention.dense", "Linear", NULL},
    {LAYER "self_attention.attention_dropout", "Dropout", "p=0.0, inplace=False"},
    {LAYER "post_attention_layernorm", "LayerNorm", NULL},
    {LAYER "mlp", "BloomMLP", NULL},
    {LAYER "mlp.dense_h_to_4h", "Linear", NULL},
    {LAYER "mlp.gelu_impl", "BloomGelu", NULL},
    {LAYER "mlp.dense_4h_to_h", "Linear", NULL},
    {ROOT "ln_f", "LayerNorm", NULL},
    {"lm_head", "Linear", NULL},
};

static const char *const default_targets[] = {"query_key_value", NULL};

const struct loam_family loam_family_bloom = {
    .model_type = "bloom",
    .gguf_architecture = "bloom",
    .architecture = "BloomForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_LAYERNORM,
    .position = LOAM_ALIBI,
    .alibi_slopes = loam_config_alibi_slopes,
    SERIAL_BRANCHES,
    HEADS_IN_THREES,
    KINDS(kinds),
    RULES(rules),
    TABLES,
    .default_targets = default_targets,
};
