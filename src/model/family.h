// Families are data: a row names the mechanisms of a family and the tensors of its checkpoint. The
// decoder, the loader, adapter naming, inspect and init all read the same rows.
#ifndef LOAM_MODEL_FAMILY_H
#define LOAM_MODEL_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/ops.h"

struct loam_config;

enum loam_norm_kind { LOAM_LAYERNORM, LOAM_RMSNORM };
enum loam_position_kind { LOAM_NO_POSITION, LOAM_ALIBI, LOAM_ROPE };

// The linears of a layer.
enum loam_linear_slot {
    LOAM_QKV, // query, key and value in one; else Q, K, V
    LOAM_Q,
    LOAM_K,
    LOAM_V,
    LOAM_O,
    LOAM_GATE, // of a gated MLP
    LOAM_UP,
    LOAM_DOWN,
    LOAM_LINEAR_SLOTS,
};
enum loam_norm_slot {
    LOAM_NORM_ATTENTION,
    LOAM_NORM_MLP,
    LOAM_NORM_AFTER_ATTENTION,
    LOAM_NORM_AFTER_MLP,
    LOAM_NORM_SLOTS,
    LOAM_NO_NORM = -1,
};

// ---- the layer ----

enum loam_body { LOAM_BODY_ATTENTION, LOAM_BODY_MLP, LOAM_BODY_COUNT };

// A layer is a list of branches, which run in order: each adds factor norm_after(body(norm_before(in))) to
// the residual stream.
struct loam_branch {
    enum loam_body body;
    enum loam_norm_slot norm_before; // or LOAM_NO_NORM
    enum loam_norm_slot norm_after;  // or LOAM_NO_NORM
    bool reads_layer_input;          // in is what came into the layer; else the stream as the branch finds it
    size_t factor;                   // offset of a double in struct loam_config; 0: the factor is 1
};
enum { LOAM_MOST_BRANCHES = 2 };

// Where the heads of query, key or value lie in the rows that a linear writes. The first one begins after
// first + first_queries Q + first_keys G heads of D elements. In [queries | keys | values] the keys have
// first_queries 1, and the values first_queries 1 and first_keys 1.
struct loam_head_layout {
    enum loam_linear_slot linear;
    int first;
    int first_queries;
    int first_keys;
    int stride; // heads of D elements from one head to the next
};

enum { LOAM_NO_ROPE = -1, LOAM_CONFIG_ROPES = 2 };

// What the layers of one kind share. config.json lists the kind of each layer by name.
struct loam_layer_kind {
    const char *name; // "full_attention"
    size_t window;    // offset in struct loam_config of an int64_t: the tokens a query sees; 0: no window
    int rope;         // the table of struct loam_config.ropes that turns query and key; or LOAM_NO_ROPE
};

// What a checkpoint tensor is to the decoder.
enum loam_role {
    LOAM_ROLE_EMBEDDING,      // slot unused
    LOAM_ROLE_EMBEDDING_NORM, // norm over the embedding
    LOAM_ROLE_NORM,           // slot: enum loam_norm_slot, one a layer
    LOAM_ROLE_LINEAR,         // slot: enum loam_linear_slot, one a layer
    LOAM_ROLE_FINAL_NORM,
    LOAM_ROLE_HEAD,
    LOAM_ROLE_IGNORED, // known buffers of old checkpoints: claimed, never read
};

// Symbolic sizes of a dimension.
enum loam_dimension {
    LOAM_DIM_NONE,
    LOAM_DIM_H,
    LOAM_DIM_3H,
    LOAM_DIM_QD,
    LOAM_DIM_GD,
    LOAM_DIM_F,
    LOAM_DIM_V
};

enum loam_weight_flags {
    LOAM_WEIGHT_BIAS = 1,              // the additive vector of the role; without it the matrix or the scale
    LOAM_WEIGHT_TIED = 2,              // present only when the head is not tied (model/sources.c: a copy)
    LOAM_WEIGHT_IF_ATTENTION_BIAS = 4, // present only with config.attention_bias
    LOAM_WEIGHT_IF_MLP_BIAS = 8,       // present only with config.mlp_bias
};

// The order of a weight's rows in GGUF (model/gguf_rows.h). In a checkpoint the rows of a head are adjacent.
enum loam_gguf_rows {
    LOAM_GGUF_ROWS_SAME,
    LOAM_GGUF_ROWS_QKV,  // all heads' queries, then all keys, then all values
    LOAM_GGUF_ROWS_ROPE, // within a head, the two rows that RoPE rotates together are adjacent
};

struct loam_weight_row {
    enum loam_role role;
    int slot;
    const char *name;             // of transformers' full model: "transformer.h.%d.mlp.dense_h_to_4h.weight"
    enum loam_dimension shape[2]; // rows (outputs) first; LOAM_DIM_NONE ends a vector
    unsigned flags;
    const char *gguf; // llama.cpp's name of the tensor; NULL: it has none
    enum loam_gguf_rows gguf_rows;
};

// How config.json calls a number of struct loam_config.
enum loam_config_type {
    LOAM_CONFIG_INT,
    LOAM_CONFIG_DOUBLE,
    LOAM_CONFIG_BOOL,
    LOAM_CONFIG_INTS,  // an array of integers, or one alone: struct loam_config_list
    LOAM_CONFIG_KINDS, // an array of names of layer kinds, one a layer: a list of their indices in the row
};
struct loam_config_key {
    const char *names[3]; // all spellings, in transformers' order; the first that is present is used
    enum loam_config_type type;
    size_t offset; // of the field in struct loam_config
    bool required; // else the row's defaults hold where the key is absent or null
};

// A key whose value changes the mathematics; other values than these are refused.
struct loam_config_rule {
    const char *name;
    const char *allowed[3]; // as text; absent and null are always allowed
    const char *above_one;  // it matters only where this number is above 1; NULL: always
};

// The module tree as PyTorch prints it, depth first. What a module with weights prints follows from its
// weight row.
struct loam_module_row {
    const char *path;      // "transformer.h.%d.mlp"
    const char *type;      // "BloomMLP"
    const char *arguments; // of a module without weights, as printed; NULL: none
};

struct loam_family {
    const char *model_type;        // config.json's
    const char *architecture;      // "BloomForCausalLM"
    const char *gguf_architecture; // as GGUF's metadata calls it
    const char *prefix;            // what hub checkpoints may leave out: "transformer.", "model."
    enum loam_norm_kind norm;
    enum loam_position_kind position;
    enum loam_activation activation;
    struct loam_branch branches[LOAM_MOST_BRANCHES];
    int branch_count;
    struct loam_head_layout query, key, value;
    const struct loam_layer_kind *kinds; // layers are of the first where config.json names none
    size_t kind_count;
    int rope_count; // tables of struct loam_config.ropes in use
    const struct loam_weight_row *rows;
    size_t row_count;
    const struct loam_config *defaults; // of keys that are left out
    const struct loam_config_key *keys;
    size_t key_count;
    const struct loam_config_rule *rules;
    size_t rule_count;
    const char *const *dropouts; // keys of dropout that transformers applies in training, NULL-terminated
    const struct loam_module_row *modules;
    size_t module_count;
    const char *const *default_targets; // LoRA, NULL-terminated
};

// The family of a model_type; NULL when there is none. `index` enumerates, NULL at the end.
const struct loam_family *loam_family_find(const char *model_type);
const struct loam_family *loam_family_at(size_t index);
// The row of the head, which may be the embedding.
const struct loam_weight_row *loam_family_tied_row(const struct loam_family *family);

// The rows, one file each.
extern const struct loam_family loam_family_bloom;
extern const struct loam_family loam_family_llama;

#endif
