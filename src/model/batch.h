// Packed batches: sequences end to end without padding; attention, positions and targets never cross a
// boundary.
#ifndef LOAM_MODEL_BATCH_H
#define LOAM_MODEL_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

// Labels: the tokens of a sequence that are learnt. Each token of a sequence has a weight [count]; the token
// before it predicts it, so the first token is never a label, nor is one of weight 0.
struct loam_labels {
    int64_t count;
    double weight; // the sum of their weights
};
// `weights` NULL: nothing is learnt.
struct loam_labels loam_labels_count(const float *weights, int32_t count);
void loam_labels_add(struct loam_labels *labels, struct loam_labels other);

// Row t predicts token t + 1 of its sequence. A row counts where that is a label.
struct loam_batch {
    int32_t *ids;       // [tokens]
    int32_t *positions; // [tokens] within the sequence, from 0
    int32_t *offsets;   // [sequences + 1] first token of each sequence; offsets[sequences] = tokens
    int32_t *targets;   // [tokens] the label of each row that counts, else LOAM_NO_TARGET
    float *weights;     // [tokens] the label's weight of each row that counts, else 0
    int32_t *rows;      // [labels.count] the rows that count, ascending
    float *losses;      // [tokens] of the last pass over the batch; 0 in rows that do not count
    struct loam_labels labels;
    int32_t tokens;
    int32_t sequences;
    int32_t max_sequence;   // tokens of the longest one
    int32_t token_capacity; // what the arrays have room for
    int32_t sequence_capacity;
};
enum loam_status loam_batch_init(struct loam_batch *batch, int32_t token_capacity, int32_t sequence_capacity,
                                 struct loam_error *error);
void loam_batch_deinit(struct loam_batch *batch);
void loam_batch_clear(struct loam_batch *batch);
// Whether one more sequence of `count` tokens fits.
bool loam_batch_fits(const struct loam_batch *batch, int32_t count);
// Appends a sequence of ids [count] and weights [count]; `weights` NULL: nothing is learnt.
// LOAM_ERROR_ARGUMENT, with `name`, when it has no tokens, does not fit or a weight is negative or not
// finite. Allocates nothing.
enum loam_status loam_batch_append(struct loam_batch *batch, const char *name, const int32_t *ids,
                                   const float *weights, int32_t count, struct loam_error *error);
// sum_t weights[t] losses[t] of the last pass, in the order of the rows.
double loam_batch_loss(const struct loam_batch *batch);

#endif
