// Families are data: a row names the mechanisms of a family and the tensors of its checkpoint. The
// decoder, the loader, adapter naming, inspect and init all read the same rows.
#ifndef LOAM_MODEL_FAMILY_H
#define LOAM_MODEL_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"
#include "device/ops.h"

struct loam_config;

enum loam_norm_kind { LOAM_LAYERNORM, LOAM_RMSNORM };
enum loam_position_kind { LOAM_NO_POSITION, LOAM_ALIBI, LOAM_ROPE, LOAM_LEARNED };

// The linears of a layer.
enum loam_linear_slot {
    LOAM_QKV, // query, key and value in one; else Q, K, V
    LOAM_Q,
    LOAM_K,
    LOAM_V,
    LOAM_O,
    LOAM_GATE, // of a gated MLP
    LOAM_UP,
    LOAM_GATE_UP, // gate and up in one: rows of gate come first
    LOAM_DOWN,
    LOAM_LINEAR_SLOTS,
};
enum loam_norm_slot {
    LOAM_NORM_ATTENTION,
    LOAM_NORM_MLP,
    LOAM_NORM_AFTER_ATTENTION,
    LOAM_NORM_AFTER_MLP,
    LOAM_NORM_Q, // of the queries before RoPE: over each head, or over the whole row, as its weight is long
    LOAM_NORM_K, // of the keys
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

enum { LOAM_NO_ROPE = -1, LOAM_CONFIG_ROPES = 2, LOAM_LAYER_KINDS = 4 };

// What the layers of one kind share. config.json lists the kind of each layer by name.
struct loam_layer_kind {
    const char *name; // "full_attention"
    size_t window;    // offset in struct loam_config of an int64_t: the tokens a query sees; 0: no window
    int rope;         // the table of struct loam_config.ropes that turns query and key; or LOAM_NO_ROPE
};

// What a checkpoint tensor is to the decoder.
enum loam_role {
    LOAM_ROLE_EMBEDDING,      // slot unused
    LOAM_ROLE_POSITIONS,      // learned positions, added to the embedding
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
    LOAM_DIM_D,
    LOAM_DIM_QD,
    LOAM_DIM_GD,
    LOAM_DIM_QKV, // (Q + 2 G) D
    LOAM_DIM_F,
    LOAM_DIM_2F,
    LOAM_DIM_V,
    LOAM_DIM_P, // rows of the learned positions
};

enum loam_weight_flags {
    LOAM_WEIGHT_BIAS = 1,              // the additive vector of the role; without it the matrix or the scale
    LOAM_WEIGHT_TIED = 2,              // present only when the head is not tied (model/sources.c: a copy)
    LOAM_WEIGHT_IF_ATTENTION_BIAS = 4, // present only with config.attention_bias
    LOAM_WEIGHT_IF_MLP_BIAS = 8,       // present only with config.mlp_bias
    LOAM_WEIGHT_IF_SERIAL = 32,        // present only where the branches are not parallel
    LOAM_WEIGHT_TRANSPOSED = 16,       // stored [in, out], as transformers' Conv1D
};

// The order of a weight's rows in GGUF (model/gguf_rows.h). In a checkpoint the rows of a head are adjacent.
enum loam_gguf_rows {
    LOAM_GGUF_ROWS_SAME,
    LOAM_GGUF_ROWS_QKV,    // all heads' queries, then all keys, then all values
    LOAM_GGUF_ROWS_GROUPS, // the same from [G, Q / G + 2, D]
    LOAM_GGUF_ROWS_ROPE,   // within a head, the two rows that RoPE rotates together are adjacent
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
    LOAM_CONFIG_INT_OR_NONE, // null is 0, and not the default
    LOAM_CONFIG_DOUBLE,
    LOAM_CONFIG_DOUBLE_OR_NONE,
    LOAM_CONFIG_BOOL,
    LOAM_CONFIG_INTS,       // an array of integers, or one alone: struct loam_config_list
    LOAM_CONFIG_ACTIVATION, // the name of an activation: enum loam_activation
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
// weight row, unless the row here has it.
struct loam_module_row {
    const char *path;      // "transformer.h.%d.mlp"
    const char *type;      // "BloomMLP"
    const char *arguments; // as printed; NULL: none, or those that follow from the weight row
};

// A key of config.json that chooses between families of one model_type.
struct loam_family_case {
    const char *key;
    const char *value;    // as text
    const char *fallback; // where the key is absent or null
};
enum { LOAM_FAMILY_CASES = 4 };

struct loam_family {
    const char *model_type; // config.json's
    // All must hold; a NULL key ends them.
    struct loam_family_case cases[LOAM_FAMILY_CASES];
    const char *architecture;      // "BloomForCausalLM"
    const char *gguf_architecture; // as GGUF's metadata calls it
    const char *prefix;            // what hub checkpoints may leave out: "transformer.", "model."
    const char *head_alias;        // another name of the head's weight in checkpoints; NULL: none
    enum loam_norm_kind norm;
    float norm_offset; // RMSNorm scales by offset + w
    enum loam_position_kind position;
    bool rope_partial;     // the config may leave a part of each head unturned
    bool rope_interleaved; // RoPE turns the pairs (2i, 2i + 1), not (i, i + R/2)
    bool scales_queries;   // by their position, where the config asks for it (struct loam_rope)
    int position_offset;   // row of the learned positions that the first token reads
    // slopes[h], h < Q, of ALiBi.
    void (*alibi_slopes)(const struct loam_config *config, float *slopes);
    bool rounds_embedding_factor; // to the model's dtype
    struct loam_branch branches[LOAM_MOST_BRANCHES];
    int branch_count;
    struct loam_head_layout query, key, value;
    // The heads lie by groups, [G, Q / G + 2, D]: the queries of a group, its key, its value. They are copied
    // to the layouts above.
    bool heads_by_groups;
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
    // What follows from several keys, after they were read and before sizes are checked; NULL: nothing.
    enum loam_status (*complete)(struct loam_config *config, const json_t *root, const char *name,
                                 struct loam_error *error);
    const char *const *dropouts; // keys of dropout that transformers applies in training, NULL-terminated
    const struct loam_module_row *modules;
    size_t module_count;
    const char *const *default_targets; // LoRA, as PEFT maps them, NULL-terminated; NULL: all linears
};

// The first family of a model_type; NULL when there is none. `index` enumerates, NULL at the end.
const struct loam_family *loam_family_find(const char *model_type);
const struct loam_family *loam_family_at(size_t index);
size_t loam_family_index(const struct loam_family *family);
// The row of the head, which may be the embedding.
const struct loam_weight_row *loam_family_tied_row(const struct loam_family *family);

// Whether a branch after the first reads what came into the layer.
bool loam_family_is_parallel(const struct loam_family *family);

// The rows. Several may have one model_type, with other cases.
#define LOAM_FAMILIES(FAMILY)                                                                                \
    FAMILY(bloom)                                                                                            \
    FAMILY(llama)                                                                                            \
    FAMILY(qwen2)                                                                                            \
    FAMILY(qwen3)                                                                                            \
    FAMILY(mistral)                                                                                          \
    FAMILY(ministral)                                                                                        \
    FAMILY(ministral3)                                                                                       \
    FAMILY(gemma)                                                                                            \
    FAMILY(gemma2)                                                                                           \
    FAMILY(gemma3_text)                                                                                      \
    FAMILY(phi3)                                                                                             \
    FAMILY(phi)                                                                                              \
    FAMILY(gpt2)                                                                                             \
    FAMILY(gpt_neox)                                                                                         \
    FAMILY(gpt_neox_serial)                                                                                  \
    FAMILY(gptj)                                                                                             \
    FAMILY(opt)                                                                                              \
    FAMILY(falcon)                                                                                           \
    FAMILY(falcon_serial)                                                                                    \
    FAMILY(falcon_new)                                                                                       \
    FAMILY(mpt)                                                                                              \
    FAMILY(stablelm)                                                                                         \
    FAMILY(stablelm_parallel)                                                                                \
    FAMILY(starcoder2)                                                                                       \
    FAMILY(olmo2)                                                                                            \
    FAMILY(olmo3)                                                                                            \
    FAMILY(granite)                                                                                          \
    FAMILY(smollm3)                                                                                          \
    FAMILY(cohere)                                                                                           \
    FAMILY(cohere2)                                                                                          \
    FAMILY(glm4)                                                                                             \
    FAMILY(arcee)

#define LOAM_DECLARE_FAMILY(name) extern const struct loam_family loam_family_##name;
LOAM_FAMILIES(LOAM_DECLARE_FAMILY)
#undef LOAM_DECLARE_FAMILY

#endif
