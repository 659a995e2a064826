// AdamW over the trainables, with clipping by the global norm. All of it happens on the device.
#ifndef LOAM_TRAIN_OPTIMISER_H
#define LOAM_TRAIN_OPTIMISER_H

#include "model/trainables.h"

struct loam_optimiser_settings {
    double beta1;
    double beta2;
    double epsilon;
    double weight_decay;  // of the trainables that are decayed
    double max_grad_norm; // 0: no clipping
};

struct loam_optimiser {
    struct loam_trainables *set;
    struct loam_optimiser_settings settings;
    struct loam_stream stream;
    struct loam_arena arena;
    struct loam_tensor squared_norm; // [1] f64
    int64_t step;                    // updates made
};

// The set must have its memory. Asks the device for the ops and takes all that they need.
enum loam_status loam_optimiser_init(struct loam_optimiser *optimiser, struct loam_trainables *set,
                                     const struct loam_optimiser_settings *settings,
                                     struct loam_error *error);
void loam_optimiser_deinit(struct loam_optimiser *optimiser);

enum loam_status loam_optimiser_zero_gradients(struct loam_optimiser *optimiser, struct loam_error *error);
// The norm of all gradients together, before clipping; not finite when one of them is not.
enum loam_status loam_optimiser_gradient_norm(struct loam_optimiser *optimiser, double *norm,
                                              struct loam_error *error);
// The norm of all trained values together; not finite when one of them is not.
enum loam_status loam_optimiser_value_norm(struct loam_optimiser *optimiser, double *norm,
                                           struct loam_error *error);
// One update; clips by the norm that was measured last.
enum loam_status loam_optimiser_update(struct loam_optimiser *optimiser, double learning_rate,
                                       struct loam_error *error);

#endif
