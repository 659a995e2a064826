// One optimiser step: the examples of the accumulated batch are read, packed into as many micro-batches as
// the token budget asks for, and the loss is normalised by the weight of all labels of all of them, so that
// the split does not change the mathematics.
#ifndef LOAM_TRAIN_STEP_H
#define LOAM_TRAIN_STEP_H

#include "data/dataset.h"
#include "train/trainer.h"

struct loam_step_buffers {
    struct loam_batch batch;       // the micro-batch
    struct loam_example *examples; // [capacity]
    size_t capacity;               // examples of an accumulated batch
    size_t count;                  // of the examples of this step
    struct loam_labels labels;     // of those
    int64_t tokens;
};
// Sequences of a micro-batch at most: one has a token at least.
int32_t loam_step_sequences(size_t capacity, int32_t token_budget);
enum loam_status loam_step_buffers_init(struct loam_step_buffers *buffers, size_t capacity,
                                        int32_t token_budget, struct loam_error *error);
void loam_step_buffers_deinit(struct loam_step_buffers *buffers);

// For callers that fill the examples themselves: empties the buffers.
void loam_step_clear(struct loam_step_buffers *buffers);
// Counts the example that the caller has just filled at examples[count].
void loam_step_take(struct loam_step_buffers *buffers);

// Reads the records at `indices` [count]; what the data set drops is left out.
enum loam_status loam_step_collect(struct loam_step_buffers *buffers, struct loam_dataset *dataset,
                                   const uint32_t *indices, size_t count, struct loam_error *error);

struct loam_step_result {
    double loss;      // mean over the labels by their weights
    double grad_norm; // before clipping
};
// Forward, backward and update over what was collected, which must have labels. `step` is 0-based and, with
// `seed`, what dropout depends on. Allocates nothing. A loss or norm that is not finite is LOAM_ERROR_NUMERIC
// with the step and the examples' ids, and nothing is updated.
enum loam_status loam_step_run(struct loam_step_buffers *buffers, struct loam_trainer *trainer,
                               double learning_rate, int64_t step, uint64_t seed,
                               struct loam_step_result *result, struct loam_error *error);

#endif
