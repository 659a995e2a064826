// The largest logits of rows of a pass, which the device finds, so that rows of logits need not come to the host.
#ifndef LOAM_MODEL_TOP_H
#define LOAM_MODEL_TOP_H

#include "model/pass_input.h"

// What is wanted of the logits of a row (struct loam_top_logits_args), and what is found.
struct loam_top {
    int32_t k;
    int32_t limit;
    const int32_t *allowed; // [(V + 31) / 32]; NULL: every id
    const int32_t *asked;   // [asked_count], at most loam_top_most_asked
    int32_t asked_count;
    float factor; // 0: the sum is not wanted
    // Results.
    float *values;  // [k]
    int32_t *ids;   // [k]
    float *answers; // [asked_count]
    float sum;
    int32_t fault;
};

// The largest asked_count.
int32_t loam_top_most_asked(const struct loam_decoder *decoder);

// Host memory of inputs and results.
enum loam_status loam_top_init(struct loam_decoder *decoder, struct loam_error *error);
void loam_top_deinit(struct loam_decoder *decoder);

// Queues the search in logits [count, V], count at most LOAM_ROWS_ALIKE and one limit for all. Row i of the logits is
// row first + i of the pass's rows with logits.
void loam_top_queue(struct loam_pass *pass, struct loam_tensor logits, struct loam_top *const *tops,
                    int32_t first, int32_t count);
// Shares out the results of `count` rows once the pass has ended.
void loam_top_share(const struct loam_decoder *decoder, struct loam_top *const *tops, int32_t first,
                    int32_t count);
// The search of so many rows, in a dry run.
void loam_top_dry(struct loam_pass *pass, struct loam_tensor logits, int32_t count);

#endif
