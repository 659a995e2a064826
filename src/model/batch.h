// Packed batches: sequences end to end without padding; attention, positions and labels never cross a
// boundary.
#ifndef LOAM_MODEL_BATCH_H
#define LOAM_MODEL_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { LOAM_IGNORED_LABEL = -100 };

struct loam_batch {
    int32_t *ids;    // [tokens]
    int32_t *labels; // [tokens] the next token of the same sequence, or LOAM_IGNORED_LABEL: already shifted
    int32_t *positions; // [tokens] within the sequence, from 0
    int32_t *offsets;   // [sequences + 1] first token of each sequence; offsets[sequences] = tokens
    int32_t tokens;
    int32_t sequences;
    int32_t max_sequence;   // tokens of the longest one
    int64_t label_count;    // labels that count, after the shift
    int32_t token_capacity; // what the arrays have room for
    int32_t sequence_capacity;
};
enum loam_status loam_batch_init(struct loam_batch *batch, int32_t token_capacity, int32_t sequence_capacity,
                                 struct loam_error *error);
void loam_batch_deinit(struct loam_batch *batch);
void loam_batch_clear(struct loam_batch *batch);
// Whether one more sequence of `count` tokens fits.
bool loam_batch_fits(const struct loam_batch *batch, int32_t count);
// Appends a sequence of ids [count], of which the tokens from `label_start` on are labels of the tokens
// before them. LOAM_ERROR_ARGUMENT, with `name`, when it has no tokens or does not fit. Allocates nothing.
enum loam_status loam_batch_append(struct loam_batch *batch, const char *name, const int32_t *ids,
                                   int32_t label_start, int32_t count, struct loam_error *error);

#endif
