// The pieces that files of family rows are made of. A file lists them; what it writes out is what its family has of its
// own.
//
// Before its first piece a file defines ROOT, the path of the decoder ("model."), and LAYER, that of one layer
// ("model.layers.%d."). Pieces take the paths of modules below these.
#ifndef LOAM_MODEL_FAMILY_PARTS_H
#define LOAM_MODEL_FAMILY_PARTS_H

#include "base/json.h"
#include "model/config_parts.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

// ---- weight rows ----

// llama.cpp's name of a tensor. The file of a family that llama.cpp does not have defines this as NULL before it
// includes this header.
#ifndef GGUF
#define GGUF(name) name
#endif

// llama.cpp's names of the slots of a layer.
#define GGUF_QKV "attn_qkv"
#define GGUF_Q "attn_q"
#define GGUF_K "attn_k"
#define GGUF_V "attn_v"
#define GGUF_O "attn_output"
#define GGUF_GATE "ffn_gate"
#define GGUF_UP "ffn_up"
#define GGUF_GATE_UP "ffn_up"
#define GGUF_DOWN "ffn_down"
#define GGUF_NORM_ATTENTION "attn_norm"
#define GGUF_NORM_MLP "ffn_norm"
#define GGUF_NORM_AFTER_ATTENTION "post_attention_norm"
#define GGUF_NORM_AFTER_MLP "post_ffw_norm"
#define GGUF_NORM_Q "attn_q_norm"
#define GGUF_NORM_K "attn_k_norm"

// When a linear has a bias: always, or where the config asks for it.
#define ALWAYS LOAM_WEIGHT_BIAS
#define IF_ATTENTION_BIAS (LOAM_WEIGHT_BIAS | LOAM_WEIGHT_IF_ATTENTION_BIAS)
#define IF_MLP_BIAS (LOAM_WEIGHT_BIAS | LOAM_WEIGHT_IF_MLP_BIAS)

// clang-format off

// A matrix [rows, columns] or a vector [size] of the whole model, and of each layer. `order`: of its rows in GGUF.
#define MODEL_ROW(role, name, rows, columns, flags, gguf) \
    {LOAM_ROLE_##role, 0, name, {LOAM_DIM_##rows, LOAM_DIM_##columns}, flags, GGUF(gguf), LOAM_GGUF_ROWS_SAME}
#define LAYER_ROW(role, slot, path, rows, columns, flags, gguf, order) \
    {LOAM_ROLE_##role, slot, LAYER path, {LOAM_DIM_##rows, LOAM_DIM_##columns}, flags, GGUF("blk.%d." gguf), \
     LOAM_GGUF_ROWS_##order}

#define EMBEDDING(path) MODEL_ROW(EMBEDDING, ROOT path ".weight", V, H, 0, "token_embd.weight")
#define POSITIONS(path) MODEL_ROW(POSITIONS, ROOT path ".weight", P, H, 0, "position_embd.weight")
#define EMBEDDING_NORM_AND_BIAS(path) \
    MODEL_ROW(EMBEDDING_NORM, ROOT path ".weight", H, NONE, 0, "token_embd_norm.weight"), \
    MODEL_ROW(EMBEDDING_NORM, ROOT path ".bias", H, NONE, LOAM_WEIGHT_BIAS, "token_embd_norm.bias")
#define FINAL_NORM(path) MODEL_ROW(FINAL_NORM, ROOT path ".weight", H, NONE, 0, "output_norm.weight")
#define FINAL_NORM_AND_BIAS(path) \
    FINAL_NORM(path), MODEL_ROW(FINAL_NORM, ROOT path ".bias", H, NONE, LOAM_WEIGHT_BIAS, "output_norm.bias")
#define LM_HEAD MODEL_ROW(HEAD, "lm_head.weight", V, H, LOAM_WEIGHT_TIED, "output.weight")
#define LM_HEAD_AND_BIAS LM_HEAD, MODEL_ROW(HEAD, "lm_head.bias", V, NONE, LOAM_WEIGHT_BIAS, "output.bias")

// A buffer of old checkpoints.
#define IGNORED(name) {LOAM_ROLE_IGNORED, 0, name, {LOAM_DIM_NONE}, 0, NULL, LOAM_GGUF_ROWS_SAME}

// A norm over rows of `size` elements.
#define NORM_OVER(slot, path, size) \
    LAYER_ROW(NORM, LOAM_NORM_##slot, path ".weight", size, NONE, 0, GGUF_NORM_##slot ".weight", SAME)
#define NORM(slot, path) NORM_OVER(slot, path, H)
#define NORM_AND_BIAS(slot, path) NORM_AND_BIAS_AS(slot, path, GGUF_NORM_##slot)
// One that llama.cpp calls otherwise.
#define NORM_AND_BIAS_AS(slot, path, gguf) \
    LAYER_ROW(NORM, LOAM_NORM_##slot, path ".weight", H, NONE, 0, gguf ".weight", SAME), \
    LAYER_ROW(NORM, LOAM_NORM_##slot, path ".bias", H, NONE, LOAM_WEIGHT_BIAS, gguf ".bias", SAME)
// One that families of one model_type lack where their branches are parallel.
#define SERIAL_NORM_AND_BIAS(slot, path) \
    LAYER_ROW(NORM, LOAM_NORM_##slot, path ".weight", H, NONE, LOAM_WEIGHT_IF_SERIAL, \
              GGUF_NORM_##slot ".weight", SAME), \
    LAYER_ROW(NORM, LOAM_NORM_##slot, path ".bias", H, NONE, LOAM_WEIGHT_IF_SERIAL | LOAM_WEIGHT_BIAS, \
              GGUF_NORM_##slot ".bias", SAME)

#define LINEAR(slot, path, out, in) ORDERED_LINEAR(slot, path, out, in, SAME)
#define LINEAR_AND_BIAS(slot, path, out, in, when) ORDERED_LINEAR_AND_BIAS(slot, path, out, in, when, SAME)
#define ORDERED_LINEAR(slot, path, out, in, order) \
    LAYER_ROW(LINEAR, LOAM_##slot, path ".weight", out, in, 0, GGUF_##slot ".weight", order)
#define ORDERED_LINEAR_AND_BIAS(slot, path, out, in, when, order) \
    ORDERED_LINEAR(slot, path, out, in, order), \
    LAYER_ROW(LINEAR, LOAM_##slot, path ".bias", out, NONE, when, GGUF_##slot ".bias", order)
// A matrix that is stored transposed.
#define CONV1D_AND_BIAS(slot, path, in, out) \
    LAYER_ROW(LINEAR, LOAM_##slot, path ".weight", in, out, LOAM_WEIGHT_TRANSPOSED, GGUF_##slot ".weight", SAME), \
    LAYER_ROW(LINEAR, LOAM_##slot, path ".bias", out, NONE, LOAM_WEIGHT_BIAS, GGUF_##slot ".bias", SAME)

// The projections of Llama and the families that follow it. `order`: of the rows of query and key in GGUF.
#define LLAMA_QKV(order) \
    ORDERED_LINEAR(Q, "self_attn.q_proj", QD, H, order), ORDERED_LINEAR(K, "self_attn.k_proj", GD, H, order), \
    LINEAR(V, "self_attn.v_proj", GD, H)
#define LLAMA_QKV_AND_BIASES(when, order) \
    ORDERED_LINEAR_AND_BIAS(Q, "self_attn.q_proj", QD, H, when, order), \
    ORDERED_LINEAR_AND_BIAS(K, "self_attn.k_proj", GD, H, when, order), \
    LINEAR_AND_BIAS(V, "self_attn.v_proj", GD, H, when)
#define LLAMA_MLP \
    LINEAR(GATE, "mlp.gate_proj", F, H), LINEAR(UP, "mlp.up_proj", F, H), LINEAR(DOWN, "mlp.down_proj", H, F)
#define LLAMA_MLP_AND_BIASES(when) \
    LINEAR_AND_BIAS(GATE, "mlp.gate_proj", F, H, when), LINEAR_AND_BIAS(UP, "mlp.up_proj", F, H, when), \
    LINEAR_AND_BIAS(DOWN, "mlp.down_proj", H, F, when)

// ---- keys of config.json ----

// A field of struct loam_config and all its spellings, the first one that is given counts. REQUIRED: it has no default.
#define KEY(type, field, ...) {{__VA_ARGS__}, LOAM_CONFIG_##type, offsetof(struct loam_config, field), false}
#define REQUIRED(type, field, ...) {{__VA_ARGS__}, LOAM_CONFIG_##type, offsetof(struct loam_config, field), true}

#define LLAMA_SIZES \
    REQUIRED(INT, hidden, "hidden_size"), REQUIRED(INT, layers, "num_hidden_layers"), \
    REQUIRED(INT, heads, "num_attention_heads")
#define LLAMA_MODEL_KEYS(epsilon) \
    REQUIRED(INT, inner, "intermediate_size"), REQUIRED(INT, vocabulary, "vocab_size"), \
    KEY(INT, max_positions, "max_position_embeddings"), KEY(DOUBLE, norm_eps, epsilon), \
    KEY(DOUBLE, initializer_range, "initializer_range"), KEY(BOOL, tied_head, "tie_word_embeddings")
#define LLAMA_KEYS(epsilon) \
    LLAMA_SIZES, KEY(INT, kv_heads, "num_key_value_heads"), KEY(INT, head_dim, "head_dim"), LLAMA_MODEL_KEYS(epsilon)

// Sizes that the text part of a multimodal model may leave out (model/multimodal.h).
#define LLAMA_DEFAULT_SIZES(h, l, q, f, v) .hidden = h, .layers = l, .heads = q, .inner = f, .vocabulary = v

// ---- the module tree ----

// `name` is what transformers' classes of the family begin with, `act` its class of the activation.
#define LLAMA_LAYER_MODULES(name) \
    {ROOT "layers", "ModuleList", NULL}, {ROOT "layers.%d", name "DecoderLayer", NULL}
#define LLAMA_ATTENTION_MODULES(name) \
    {LAYER "self_attn", name "Attention", NULL}, {LAYER "self_attn.q_proj", "Linear", NULL}, \
    {LAYER "self_attn.k_proj", "Linear", NULL}, {LAYER "self_attn.v_proj", "Linear", NULL}, \
    {LAYER "self_attn.o_proj", "Linear", NULL}
#define LLAMA_MLP_MODULES(name, act) \
    {LAYER "mlp", name "MLP", NULL}, {LAYER "mlp.gate_proj", "Linear", NULL}, {LAYER "mlp.up_proj", "Linear", NULL}, \
    {LAYER "mlp.down_proj", "Linear", NULL}, {LAYER "mlp.act_fn", act, NULL}
#define LLAMA_LAST_MODULES(name) {ROOT "rotary_emb", name "RotaryEmbedding", NULL}, {"lm_head", "Linear", NULL}

// ---- kinds of layers ----

#define FULL_ATTENTION(rope) {"full_attention", 0, rope}
#define WINDOWED_ATTENTION(rope) {"sliding_attention", offsetof(struct loam_config, window), rope}

// ---- the family ----

// Attention, then the MLP, with these norms before and after each.
#define BRANCHES(attention_before, attention_after, mlp_before, mlp_after, parallel, field) \
    .branches = {{LOAM_BODY_ATTENTION, attention_before, attention_after, parallel, field}, \
                 {LOAM_BODY_MLP, mlp_before, mlp_after, parallel, field}}, \
    .branch_count = 2
// One after the other: a norm before each; with a factor of what each adds; norms before and after; after alone.
#define SERIAL_BRANCHES BRANCHES(LOAM_NORM_ATTENTION, LOAM_NO_NORM, LOAM_NORM_MLP, LOAM_NO_NORM, false, 0)
#define SCALED_BRANCHES(factor) \
    BRANCHES(LOAM_NORM_ATTENTION, LOAM_NO_NORM, LOAM_NORM_MLP, LOAM_NO_NORM, false, \
             offsetof(struct loam_config, factor))
#define BRANCHES_BETWEEN_NORMS \
    BRANCHES(LOAM_NORM_ATTENTION, LOAM_NORM_AFTER_ATTENTION, LOAM_NORM_MLP, LOAM_NORM_AFTER_MLP, false, 0)
#define BRANCHES_BEFORE_NORMS \
    BRANCHES(LOAM_NO_NORM, LOAM_NORM_AFTER_ATTENTION, LOAM_NO_NORM, LOAM_NORM_AFTER_MLP, false, 0)
// Both of the layer's input: behind a norm each, or behind one.
#define PARALLEL_BRANCHES BRANCHES(LOAM_NORM_ATTENTION, LOAM_NO_NORM, LOAM_NORM_MLP, LOAM_NO_NORM, true, 0)
#define PARALLEL_BRANCHES_OF_ONE_NORM \
    BRANCHES(LOAM_NORM_ATTENTION, LOAM_NO_NORM, LOAM_NORM_ATTENTION, LOAM_NO_NORM, true, 0)

// Query, key and value: a linear each; one linear, [queries | keys | values] or [heads, 3, D].
#define SEPARATE_HEADS .query = {LOAM_Q, .stride = 1}, .key = {LOAM_K, .stride = 1}, .value = {LOAM_V, .stride = 1}
#define HEADS_IN_BLOCKS \
    .query = {LOAM_QKV, .stride = 1}, .key = {LOAM_QKV, .first_queries = 1, .stride = 1}, \
    .value = {LOAM_QKV, .first_queries = 1, .first_keys = 1, .stride = 1}
#define HEADS_IN_THREES \
    .query = {LOAM_QKV, .first = 0, .stride = 3}, .key = {LOAM_QKV, .first = 1, .stride = 3}, \
    .value = {LOAM_QKV, .first = 2, .stride = 3}

// The tables of the file that have these names.
#define TABLES TABLES_OF(rows, keys, defaults, dropouts, modules)
#define TABLES_OF(rows_, keys_, defaults_, dropouts_, modules_) \
    .rows = rows_, .row_count = COUNT(rows_), .keys = keys_, .key_count = COUNT(keys_), .defaults = &defaults_, \
    .dropouts = dropouts_, .modules = modules_, .module_count = COUNT(modules_)
#define KINDS(kinds_) .kinds = kinds_, .kind_count = COUNT(kinds_)
#define RULES(rules_) .rules = rules_, .rule_count = COUNT(rules_)

// clang-format on

// ---- what follows from several keys ----

// Without a list of kinds in config.json: gives the layers from `first` on the second kind of the family, and the
// others the first. Where `period` is above 1, every layer of that number keeps the first kind.
enum loam_status loam_config_fill_kinds(struct loam_config *config, const char *name, int64_t first,
                                        int64_t period, struct loam_error *error);

// Qwen: without a list of kinds, the layers from max_window_layers on have the window where it is in use.
enum loam_status loam_config_complete_qwen(struct loam_config *config, const json_t *root, const char *name,
                                           struct loam_error *error);

// Gemma 2 and 3: scores times 1 / sqrt(query_pre_attn_scalar), the embedding times sqrt(H).
enum loam_status loam_config_scale_gemma(struct loam_config *config, const char *name,
                                         struct loam_error *error);

#endif
