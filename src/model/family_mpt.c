// MPT: LayerNorm without biases, ALiBi with slopes of its own, query, key and value by blocks, no biases.
#include "model/family_parts.h"

#include <math.h>
#include <string.h>

#define ROOT "transformer."
#define LAYER ROOT "blocks.%d."
#define BLOCK "blk.%d."

// clang-format off
static const struct loam_weight_row rows[] = {
    {LOAM_ROLE_EMBEDDING, 0, ROOT "wte.weight", {LOAM_DIM_V, LOAM_DIM_H}, 0,
     "token_embd.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_ATTENTION, LAYER "norm_1.weight", {LOAM_DIM_H}, 0,
     BLOCK "attn_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_QKV, LAYER "attn.Wqkv.weight", {LOAM_DIM_3H, LOAM_DIM_H}, 0,
     BLOCK "attn_qkv.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_O, LAYER "attn.out_proj.weight", {LOAM_DIM_H, LOAM_DIM_QD}, 0,
     BLOCK "attn_output.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_NORM, LOAM_NORM_MLP, LAYER "norm_2.weight", {LOAM_DIM_H}, 0,
     BLOCK "ffn_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_UP, LAYER "ffn.up_proj.weight", {LOAM_DIM_F, LOAM_DIM_H}, 0,
     BLOCK "ffn_up.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_LINEAR, LOAM_DOWN, LAYER "ffn.down_proj.weight", {LOAM_DIM_H, LOAM_DIM_F}, 0,
     BLOCK "ffn_down.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_FINAL_NORM, 0, ROOT "norm_f.weight", {LOAM_DIM_H}, 0,
     "output_norm.weight", LOAM_GGUF_ROWS_SAME},
    {LOAM_ROLE_HEAD, 0, "lm_head.weight", {LOAM_DIM_V, LOAM_DIM_H}, LOAM_WEIGHT_TIED,
     "output.weight", LOAM_GGUF_ROWS_SAME},
};
// clang-format on

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

static const struct loam_layer_kind kinds[] = {{"full_attention", 0, LOAM_NO_ROPE}};

static const struct loam_config_key keys[] = {
    {{"d_model", "hidden_size"}, LOAM_CONFIG_INT, offsetof(struct loam_config, hidden), true},
    {{"n_layers", "num_hidden_layers"}, LOAM_CONFIG_INT, offsetof(struct loam_config, layers), true},
    {{"n_heads", "num_attention_heads"}, LOAM_CONFIG_INT, offsetof(struct loam_config, heads), true},
    {{"vocab_size"}, LOAM_CONFIG_INT, offsetof(struct loam_config, vocabulary), true},
    {{"max_seq_len"}, LOAM_CONFIG_INT, offsetof(struct loam_config, max_positions), false},
    {{"layer_norm_epsilon"}, LOAM_CONFIG_DOUBLE, offsetof(struct loam_config, norm_eps), false},
    {{"initializer_range"}, LOAM_CONFIG_DOUBLE, offsetof(struct loam_config, initializer_range), false},
    {{"tie_word_embeddings"}, LOAM_CONFIG_BOOL, offsetof(struct loam_config, tied_head), false},
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
    .branches = {{LOAM_BODY_ATTENTION, LOAM_NORM_ATTENTION, LOAM_NO_NORM, false, 0},
                 {LOAM_BODY_MLP, LOAM_NORM_MLP, LOAM_NO_NORM, false, 0}},
    .branch_count = 2,
    .query = {LOAM_QKV, .stride = 1},
    .key = {LOAM_QKV, .first_queries = 1, .stride = 1},
    .value = {LOAM_QKV, .first_queries = 1, .first_keys = 1, .stride = 1},
    .kinds = kinds,
    .kind_count = COUNT(kinds),
    .rows = rows,
    .row_count = COUNT(rows),
    .defaults = &defaults,
    .keys = keys,
    .key_count = COUNT(keys),
    .complete = complete,
    .dropouts = dropouts,
    .modules = modules,
    .module_count = COUNT(modules),
    .default_targets = default_targets,
};
