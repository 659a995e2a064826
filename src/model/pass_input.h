// What a pass reads from the host, and how a pass begins and ends.
#ifndef LOAM_MODEL_PASS_INPUT_H
#define LOAM_MODEL_PASS_INPUT_H

#include "model/pass.h"

// The sequences of a pass as its attention takes them (struct loam_attention_shape): offsets [count + 1] of
// queries and of keys.
struct loam_attention_spans {
    const int32_t *q_offsets;
    const int32_t *kv_offsets;
    int32_t count;
    int32_t max_q;
    int32_t max_kv;
};

// The input of a pass: host arrays of packed sequences.
struct loam_pass_input {
    const int32_t *ids;
    const int32_t *targets; // NULL: no loss
    const float *factors;   // of the gradient of each row's loss; NULL: no gradients
    float *losses;          // where the device has room for the losses of the rows; NULL: the pass takes it
    const int32_t *positions;
    const int32_t *offsets;      // [sequences + 1] the first row of each sequence
    const int32_t *lengths;      // [sequences] struct loam_pass; NULL: as the offsets say
    const int32_t *cache_places; // [sequences] struct loam_pass; NULL: no cache
    struct loam_attention_spans spans;
    int32_t tokens;
    int32_t sequences;
    // (query, visible key) over all sequences, in layers of each kind
    int64_t pairs[LOAM_LAYER_KINDS];
    int64_t counted;            // rows with a target
    int32_t first;              // row of the first token among those of the call: prompts are fed in chunks
    int32_t kept;               // rows of struct loam_kept_rows, all with a target; 0: all tokens
    const int32_t *kept_rows;   // [kept]
    const int32_t *kept_places; // [tokens]
};

// pairs[kind] += the pairs of `queries` tokens at the end of a sequence of `keys`, in a layer of that kind.
void loam_pass_add_pairs(const struct loam_config *config, int64_t queries, int64_t keys,
                         int64_t pairs[LOAM_LAYER_KINDS]);
// Rows of the loss: those that are kept, or all.
int32_t loam_pass_loss_rows(const struct loam_pass_input *input);

// Starts a pass: empties the arena and uploads the input.
struct loam_pass loam_pass_begin(struct loam_decoder *decoder, struct loam_stream *stream,
                                 struct loam_arena *arena, const struct loam_pass_input *input);
// Waits for the pass. Gives the first failure of an op or of the arena.
enum loam_status loam_pass_end(struct loam_pass *pass, struct loam_error *error);

// Refuses a sequence of so many tokens where the model has not learned as many positions.
enum loam_status loam_pass_check_positions(const struct loam_decoder *decoder, int64_t tokens,
                                           struct loam_error *error);
enum loam_status loam_pass_check_ids(const struct loam_decoder *decoder, const int32_t *ids, int32_t count,
                                     struct loam_error *error);

#endif
