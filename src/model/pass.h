// What the decoder's files share: one pass over a batch, and what its layers keep for the backward.
#ifndef LOAM_MODEL_PASS_H
#define LOAM_MODEL_PASS_H

#include "base/rng.h"
#include "model/limits.h"

// A norm's statistics, one value a token.
struct loam_norm_stats {
    struct loam_tensor mean; // [T] f32; LayerNorm only
    struct loam_tensor rstd; // [T] f32
};

// Query, key and value of a layer: as linears write them, and as the attention reads them.
struct loam_heads {
    struct loam_tensor rows[3]; // [T, N] of the linear of q, k, v; no data where an earlier one shares it
    struct loam_tensor q;       // [T, Q, D] in rows, or after the norm of the queries
    struct loam_tensor k;       // [T, G, D]
    struct loam_tensor v;       // [T, G, D]
};

// What the backward of one branch reads. Norm outputs and activations are not kept: they are cheap functions
// of these tensors, and computed again. The level of checkpointing sets which of these stay from the forward
// and which are computed again. In a layer without a backward they live until the end of their branch.
struct loam_branch_state {
    struct loam_tensor in; // [T, H] what the branch reads
    struct loam_norm_stats before;
    struct loam_tensor out; // [T, H] what the norm after the body reads; with such a norm only
    struct loam_norm_stats after;
    // Attention.
    struct loam_heads heads;
    struct loam_norm_stats head_norms[2]; // of queries and keys
    struct loam_tensor lse;               // [Q, T] f32
    struct loam_tensor attn;              // [T, QD]
    struct loam_tensor source; // [R, QD] what the output projection reads: attn, or the rows that go on
    // MLP.
    struct loam_tensor gate; // [T, F] gated MLPs only
    struct loam_tensor pre;  // [T, F] the up projection, before the activation
    struct loam_tensor both; // [T, 2F] gate and up, where one linear writes them: both are views of it
};

struct loam_layer_state {
    size_t mark;           // of the step arena, before this layer's tensors
    size_t before_streams; // before the streams between the branches
    struct loam_tensor x;  // [T, H] the residual stream that came in
    struct loam_branch_state branches[LOAM_MOST_BRANCHES];
    struct loam_tensor t[LOAM_LINEAR_SLOTS]; // [T, columns] f32: x AT of the adapters on each linear
};

// What the passes of a decoder may do with a linear.
struct loam_linear_use {
    int64_t columns;  // of x AT for each row; 0: no adapter has the linear
    bool trained;     // its weight, its bias or an adapter on it
    bool reads_input; // its backward does: x of the forward is needed again
};

// What the host keeps of the sequences in the KV cache, and arrays for the next pass over some of them.
// Sequence s has rows [s context, s context + lengths[s]) of the cache. A cache without sequences is zeroed.
struct loam_host_cache {
    int32_t *memory;       // of all arrays
    int32_t *lengths;      // [cached] tokens of each sequence
    void **logits;         // [cached] rows of the last pass that are still on the device; NULL: there is none
    int32_t *offsets;      // [cached + 1] of the pass: the first row of each of its sequences
    int32_t *pass_lengths; // [cached] of the pass: struct loam_pass, host_lengths
    int32_t *places;       // [cached] of the pass: struct loam_pass, cache_places
    int32_t *q_offsets;    // [2 cached + 1] of the pass: struct loam_attention_spans
    int32_t *kv_offsets;   // [2 cached + 1]
};

struct loam_decoder {
    const struct loam_model *model;
    const struct loam_device *device;
    struct loam_decoder_limits limits;
    struct loam_stream stream;
    struct loam_arena step;  // activations of one pass
    struct loam_arena cache; // KV cache
    struct loam_layer_state *layers;
    struct loam_tensor *cache_k; // [L] of [cached context, G, D]
    struct loam_tensor *cache_v;
    struct loam_host_cache cached;
    int32_t *host_ids;       // [limits.tokens] for generation
    int32_t *host_positions; // [limits.tokens] for generation
    int32_t *host_targets;   // [2 limits.tokens] for losses: targets of the kept rows, their places
    float *host_rows;        // [limits.tokens] for losses: a value for each row
    void *top_inputs;        // of a search for the largest logits (model/top.h)
    void *top_results;       // [cached] blocks of top_result_bytes
    size_t top_result_bytes;
    char *host_inputs; // [host_input_bytes] the arrays of the next pass, on their way to the device
    size_t host_input_bytes;
    float *host_frequencies;      // [limits.sequences, R/2] of RoPE tables that depend on the length
    bool embedding_trained;       // the embedding, the positions or their norm
    int first_trained;            // lowest layer with something trained; config.layers when there is none
    struct loam_linear_use *uses; // [linear_count + 1], the head last
    const struct loam_adapter_slots **adapters; // [adapter_count] of limits.adapters
    size_t adapter_count;
    struct loam_segment *chosen;    // [segment_count] of loam_decoder_adapt
    struct loam_segment *of_rows;   // these over the rows of the running pass
    struct loam_segment *of_kept;   // these over the rows that go on above the last attention
    struct loam_segment *of_part;   // these over some of those rows
    struct loam_tensor *head_norms; // [segment_count] of the head's DoRA
    size_t segment_count;
    size_t segment_capacity;
};

// Above the last attention a row is needed only where it counts. Where few enough rows count, only these R go
// through the rest of the top layer, the final norm and the head.
struct loam_kept_rows {
    struct loam_tensor rows;   // [R] i32: where they are among the T
    struct loam_tensor places; // [T] i32: where a row is among the R; R: it is not
    struct loam_tensor dx;     // [R + 1, H]: the gradient of the R rows of the stream, and zeros
};

// One pass of a batch through the decoder.
struct loam_pass {
    struct loam_decoder *decoder;
    const struct loam_model *model;
    struct loam_stream *stream;
    struct loam_arena *arena;
    int64_t tokens;               // T; above the last attention R, where it keeps fewer
    int64_t sequences;            // S
    int64_t counted;              // rows with a target
    struct loam_tensor ids;       // [T] i32
    struct loam_tensor targets;   // [T] i32, or [R]
    struct loam_tensor factors;   // [T] f32, or [R]: of the gradient of each row's loss
    struct loam_tensor losses;    // [T] f32, or [R]
    struct loam_tensor positions; // [T] i32
    struct loam_attention_shape attention;
    struct loam_tensor ropes[LOAM_CONFIG_ROPES];       // [T, R] f32 of each table in use
    struct loam_tensor query_ropes[LOAM_CONFIG_ROPES]; // the same for queries, where they are scaled
    const int32_t *host_offsets;                       // [S + 1] the first row of each sequence, on the host
    // [S] Tokens of each sequence once all chunks of its prompt are in, for RoPE tables that depend on it.
    // NULL: as the offsets say.
    const int32_t *host_lengths;
    // [S] Where keys and values of each sequence go, rows of the KV cache, on the host. NULL: no cache.
    const int32_t *cache_places;
    int32_t cache_end;               // rows of the cache up to the last one that the pass reads
    int64_t pairs[LOAM_LAYER_KINDS]; // (query, visible key) in a layer of each kind
    bool gradients;                  // keep what the backward reads
    uint64_t seed;
    uint64_t dropout_counter;
    struct loam_tensor embedded; // [T, H] input of the embedding norm
    struct loam_norm_stats embedded_stats;
    struct loam_tensor x; // [T, H] the residual stream
    // [T, H] the next stream, of layers that read x to their end and are run forward
    struct loam_tensor spare;
    // [T, H] the output of a norm that the branches of a layer share, and the layer whose it is; -1: of none
    struct loam_tensor normed;
    int64_t normed_layer;
    struct loam_kept_rows kept;          // none: R = T
    const struct loam_segment *segments; // [segment_count] over the T or R rows
    size_t segment_count;
    int64_t first_row; // of a part: where its rows begin among those of the pass
    // [segment_count] Norms of the head's DoRA, no data where a segment has none. NULL: each product of the
    // head computes them.
    const struct loam_tensor *head_norms;
};

// Tensors of the step arena.
// [count] i32 from host memory.
struct loam_tensor loam_pass_ints(struct loam_pass *pass, const int32_t *host, int64_t count);
// [rows, columns] in a dtype; [T, columns] and [rows, columns] in the model's dtype.
struct loam_tensor loam_pass_tensor(struct loam_pass *pass, enum loam_dtype dtype, int64_t rows,
                                    int64_t columns);
struct loam_tensor loam_pass_rows(struct loam_pass *pass, int64_t columns);
struct loam_tensor loam_pass_rows_of(struct loam_pass *pass, int64_t rows, int64_t columns);
// [rows, columns] f32.
struct loam_tensor loam_pass_f32(struct loam_pass *pass, int64_t rows, int64_t columns);
// [rows + 1, columns] in the model's dtype; the last row is zero.
struct loam_tensor loam_pass_rows_and_zeros(struct loam_pass *pass, int64_t rows, int64_t columns);

// Whether the weight or the bias of the norm is trained.
bool loam_norm_trained(const struct loam_decoder *decoder, const struct loam_norm *norm);
// The dropout of an adapted linear in this pass, from an element of its input on; none outside training. Each
// pass has 2^32 counters of its own.
struct loam_dropout loam_pass_dropout(const struct loam_pass *pass, const struct loam_lora_slot *slot,
                                      int64_t element);

// ---- parameters (model/parameters.c) ----
// A parameter is that of the model or, where an adapter of the pass replaces it, that of the adapter. The weight
// of a linear has functions of its own, because a tied head may be replaced without the embedding.

// The value as a pass reads it; no data: there is no such parameter.
struct loam_tensor loam_pass_value(const struct loam_pass *pass, const struct loam_parameter *parameter);
const struct loam_weight_handle *loam_pass_weight(const struct loam_pass *pass,
                                                  const struct loam_linear *linear);
// The gradient in a pass; no data: it is frozen, or there is no such parameter.
struct loam_tensor loam_pass_gradient(const struct loam_pass *pass, const struct loam_parameter *parameter);
struct loam_tensor loam_pass_weight_gradient(const struct loam_pass *pass, const struct loam_linear *linear);
// The gradient that some pass of the decoder computes; no data: none does.
struct loam_tensor loam_decoder_gradient(const struct loam_decoder *decoder,
                                         const struct loam_parameter *parameter);
struct loam_tensor loam_decoder_weight_gradient(const struct loam_decoder *decoder,
                                                const struct loam_linear *linear);

// ---- segments (model/segments.c) ----

// Whether an adapter of the decoder replaces parameters.
bool loam_decoder_replaces(const struct loam_decoder *decoder);
// Takes the adapters of the decoder's limits, and chooses each over all rows: the dry passes need segments.
enum loam_status loam_decoder_take_adapters(struct loam_decoder *decoder, struct loam_error *error);
// Whether an adapter trains rows of tokens there, and anything of the embedding.
bool loam_decoder_trains_tokens(const struct loam_decoder *decoder, enum loam_token_place place);
bool loam_decoder_trains_embedding(const struct loam_decoder *decoder);
// Refuses chosen segments that do not fit a batch of `rows` or the limits.
enum loam_status loam_decoder_check_segments(const struct loam_decoder *decoder, int32_t rows,
                                             struct loam_error *error);
// Sets the pass's segments over rows [first, first + count) of those that the segments were chosen for.
void loam_pass_take_segments(struct loam_pass *pass, int32_t first, int32_t count);
// Sets the segments over the kept rows: `rows` [count], ascending rows of the pass.
void loam_pass_keep_segments(struct loam_pass *pass, const int32_t *rows, int32_t count);
// A pass over rows [first, first + count) of a pass. Its segments are in use until the next part is made.
struct loam_pass loam_pass_part(const struct loam_pass *pass, int64_t first, int64_t count);
// Makes the pass go on with the R kept rows, or with all T rows: sets its tokens and segments.
void loam_pass_use_kept(struct loam_pass *pass, bool kept);

// ---- the pass ----

// From pass->ids to pass->x, the residual stream after the last layer.
void loam_decoder_forward(struct loam_pass *pass);

// y [n, columns] = the rows of x that `rows` [n] i32 names.
void loam_pass_take_rows(struct loam_pass *pass, struct loam_tensor rows, struct loam_tensor x,
                         struct loam_tensor y);

// y = norm(x).
void loam_decoder_norm(struct loam_pass *pass, const struct loam_norm *norm, struct loam_tensor x,
                       struct loam_norm_stats stats, struct loam_tensor y);
struct loam_norm_stats loam_pass_norm_stats(struct loam_pass *pass, const struct loam_norm *norm,
                                            int64_t rows);
// From dres [T, H], the gradient of pass->x, to every gradient below. dres is overwritten.
void loam_decoder_backward(struct loam_pass *pass, struct loam_tensor dres);
// dx (+)= the norm's backward of dy.
void loam_decoder_norm_backward(struct loam_pass *pass, const struct loam_norm *norm, struct loam_tensor dy,
                                struct loam_tensor x, struct loam_norm_stats stats, struct loam_tensor dx,
                                bool accumulate);

#endif
