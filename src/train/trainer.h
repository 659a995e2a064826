// The trainer: passes over packed batches add up the gradients of a set of trainables, and an update moves
// their values. A training run, `loam bench step` and the trainer of loam.h go through it.
#ifndef LOAM_TRAIN_TRAINER_H
#define LOAM_TRAIN_TRAINER_H

#include "model/decoder.h"
#include "train/optimiser.h"

struct loam_trainer_settings {
    int32_t tokens;    // of a packed batch
    int32_t sequences; // of a packed batch
    enum loam_checkpointing checkpointing;
    bool evaluate; // passes without gradients are run, too
    // The adapters that batches may use, at most one for each row. loam_decoder_adapt chooses which.
    struct loam_segments adapters;
    struct loam_optimiser_settings optimiser;
};

struct loam_trainer {
    struct loam_optimiser optimiser;
    struct loam_decoder *decoder; // NULL: released
};

// `set` must have its memory; it and the model must outlive the trainer. Takes all memory that passes and
// updates need. On failure nothing has to be released.
enum loam_status loam_trainer_init(struct loam_trainer *trainer, const struct loam_model *model,
                                   const struct loam_device *device, struct loam_trainables *set,
                                   const struct loam_trainer_settings *settings, struct loam_error *error);
void loam_trainer_deinit(struct loam_trainer *trainer);
// Gives back the memory of passes; values, moments and the count of updates stay.
void loam_trainer_release_passes(struct loam_trainer *trainer);

// Adds the gradient of sum_t scale weights[t] losses[t], and sets batch->losses. `pass` tells the passes of a
// run apart, for dropout. A mapped file of the model that cannot be read is LOAM_ERROR_IO.
enum loam_status loam_trainer_add(struct loam_trainer *trainer, struct loam_batch *batch, double scale,
                                  uint64_t seed, uint64_t pass, struct loam_error *error);
// As loam_trainer_add, without waiting for the device (loam_decoder_queue). step->scale is the `scale` of
// loam_trainer_add.
enum loam_status loam_trainer_queue(struct loam_trainer *trainer, const struct loam_batch *batch,
                                    const struct loam_decoder_step *step, struct loam_decoder_losses *losses,
                                    struct loam_error *error);
// The norm of the gradients that were added, before clipping.
enum loam_status loam_trainer_measure(struct loam_trainer *trainer, double *norm, struct loam_error *error);
// One AdamW update, clipped by the norm that was measured last. The gradients stay as they are.
enum loam_status loam_trainer_apply(struct loam_trainer *trainer, double learning_rate,
                                    struct loam_error *error);
// Sets the gradients to zero.
enum loam_status loam_trainer_clear(struct loam_trainer *trainer, struct loam_error *error);

#endif
