// One optimiser step: the examples of the accumulated batch are read, packed into as many micro-batches as
// the token budget asks for, and the loss is normalised by the weight of all labels of all of them, so that
// the split does not change the mathematics.
#ifndef LOAM_TRAIN_STEP_H
#define LOAM_TRAIN_STEP_H

#include "data/dataset.h"
#include "train/trainer.h"

// A micro-batch of a step that is queued.
struct loam_step_part {
    size_t first, end;          // examples
    int32_t first_row, end_row; // of the losses that the device holds
};

struct loam_step_buffers {
    struct loam_batch batch;       // the micro-batch
    struct loam_example *examples; // [capacity]
    size_t capacity;               // examples of an accumulated batch
    size_t count;                  // of the examples of this step
    struct loam_labels labels;     // of those
    int64_t tokens;
    struct loam_step_part *parts; // [capacity] of which no loss was read
    size_t part_count;
    float *weights; // [row_capacity] of the rows of these parts
    int32_t row_capacity, rows;
    double loss_sum; // of the parts whose losses were read
};
// Sequences of a micro-batch at most: one has a token at least.
int32_t loam_step_sequences(size_t capacity, int32_t token_budget);
// Losses that the device holds at most, before the host reads them: of a whole step, where that is not too large.
int32_t loam_step_rows(size_t capacity, int32_t token_budget);
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
    // the gradients were not finite because of the scale of the loss, and nothing was updated
    bool overflowed;
};
// Forward, backward and update over what was collected, which must have labels, for a trainer with as many
// loss_rows as loam_step_rows() gives. The device works when the call returns; no loss or norm has been read, unless the
// losses of the step are too many to keep. `step` is 0-based and, with `seed`, what dropout depends on. Allocates nothing.
enum loam_status loam_step_queue(struct loam_step_buffers *buffers, struct loam_trainer *trainer,
                                 double learning_rate, int64_t step, uint64_t seed, struct loam_error *error);
// Waits for the step that was queued. A loss or norm that is not finite is LOAM_ERROR_NUMERIC with the step and the
// examples' ids, and nothing is updated.
enum loam_status loam_step_wait(struct loam_step_buffers *buffers, struct loam_trainer *trainer, int64_t step,
                                struct loam_step_result *result, struct loam_error *error);
// Queues a step and waits for it.
enum loam_status loam_step_run(struct loam_step_buffers *buffers, struct loam_trainer *trainer,
                               double learning_rate, int64_t step, uint64_t seed,
                               struct loam_step_result *result, struct loam_error *error);

#endif
