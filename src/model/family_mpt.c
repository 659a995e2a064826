// MPT: LayerNorm without biases, ALiBi with slopes of its own, query, key and value by blocks, no biases.
#include "model/family_parts.h"

#include <math.h>
#include <string.h>

#define ROOT "transformer."
#define LAYER ROOT "blocks.%d."

static const struct loam_weight_row rows[] = {
    EMBEDDING("wte"),
    NORM(ATTENTION, "norm_1"),
    LINEAR(QKV, "attn.Wqkv", 3H, H),
    LINEAR(O, "attn.out_proj", H, QD),
    NORM(MLP, "norm_2"),
    LINEAR(UP, "ffn.up_proj", F, H),
    LINEAR(DOWN, "ffn.down_proj", H, F),
    FINAL_NORM("norm_f"),
    LM_HEAD,
};

// 2^(-8 i / n) for i = 1..n, n the power of two that is not below the head count. Where that is larger, the slopes of
// even i come first.
static void alibi_slopes(const struct loam_config *config, float *slopes)
{
    int64_t power = 1;
    while (power < config->heads)
        power *= 2;
    for (int64_t h = 0; h < config->heads; h++) {
        const int64_t even = 2 * (h + 1), odd = 2 * (h - power / 2) + 1;
        const int64_t i = power == config->heads ? h + 1 : even <= power ? even : odd;
        slopes[h] = 1.0f / powf(2.0f, (float)i * (float)(8.0 / (double)power));
    }
}

static const struct loam_layer_kind kinds[] = {FULL_ATTENTION(LOAM_NO_ROPE)};

static const struct loam_config_key keys[] = {
    REQUIRED(INT, hidden, "d_model", "hidden_size"),
    REQUIRED(INT, layers, "n_layers", "num_hidden_layers"),
    REQUIRED(INT, heads, "n_heads", "num_attention_heads"),
    REQUIRED(INT, vocabulary, "vocab_size"),
    KEY(INT, max_positions, "max_seq_len"),
    KEY(DOUBLE, norm_eps, "layer_norm_epsilon"),
    KEY(DOUBLE, initializer_range, "initializer_range"),
    KEY(BOOL, tied_head, "tie_word_embeddings"),
};

static const struct loam_config defaults = {
    .kv_heads = LOAM_CONFIG_DERIVED,
    .head_dim = LOAM_CONFIG_DERIVED,
    .max_positions = 2048,
    .activation = LOAM_GELU,
    .norm_eps = 1e-5,
    .initializer_range = 0.02,
    .inner = LOAM_CONFIG_DERIVED,
    .tied_head = true,
};

static const char *const dropouts[] = {"resid_pdrop", "emb_pdrop", NULL};

static const struct loam_module_row modules[] = {
    {"transformer", "MptModel", NULL},       {ROOT "wte", "Embedding", NULL},
    {ROOT "blocks", "ModuleList", NULL},     {ROOT "blocks.%d", "MptBlock", NULL},
    {LAYER "norm_1", "LayerNorm", NULL},     {LAYER "attn", "MptAttention", NULL},
    {LAYER "attn.Wqkv", "Linear", NULL},     {LAYER "attn.out_proj", "Linear", NULL},
    {LAYER "norm_2", "LayerNorm", NULL},     {LAYER "ffn", "MptMLP", NULL},
    {LAYER "ffn.up_proj", "Linear", NULL},   {LAYER "ffn.act", "GELU", "approximate='none'"},
    {LAYER "ffn.down_proj", "Linear", NULL}, {LAYER "resid_attn_dropout", "Dropout", "p=0, inplace=False"},
    {ROOT "norm_f", "LayerNorm", NULL},      {"lm_head", "Linear", NULL},
};

static const char *const default_targets[] = {"Wqkv", NULL};

static enum loam_status refuse(const char *name, const char *key, const char *reason,
                               struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s: \"attn_config\".\"%s\" is set; %s", name, key,
                     reason);
}

static bool is_set(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_true(value) || (json_is_number(value) && json_number_value(value) != 0);
}

// The settings of the attention stand in an object of their own.
static enum loam_status complete(struct loam_config *config, const json_t *root, const char *name,
                                 struct loam_error *error)
{
    const json_t *attention = json_object_get(root, "attn_config");
    const char *type = "multihead_attention";
    LOAM_TRY(loam_json_get_double(attention, name, "softmax_scale", &config->attention_factor, error));
    LOAM_TRY(loam_json_get_string(attention, name, "attn_type", &type, error));
    if (strcmp(type, "multihead_attention") != 0)
        return refuse(name, "attn_type", "only multihead_attention is supported", error);
    if (is_set(attention, "clip_qkv")) return refuse(name, "clip_qkv", "clipping is not supported", error);
    if (is_set(attention, "qk_ln"))
        return refuse(name, "qk_ln", "norms of query and key are not supported", error);
    if (is_set(attention, "prefix_lm")) return refuse(name, "prefix_lm", "attention is causal here", error);
    return LOAM_OK;
}

const struct loam_family loam_family_mpt = {
    .model_type = "mpt",
    .gguf_architecture = "mpt",
    .architecture = "MptForCausalLM",
    .prefix = ROOT,
    .norm = LOAM_LAYERNORM,
    .alibi_slopes = alibi_slopes,
    .position = LOAM_ALIBI,
    SERIAL_BRANCHES,
    HEADS_IN_BLOCKS,
    KINDS(kinds),
    .complete = complete,
    TABLES,
    .default_targets = default_targets,
};
