// AdamW over the trainables, with clipping by the global norm. All of it happens on the device.
#ifndef LOAM_TRAIN_OPTIMISER_H
#define LOAM_TRAIN_OPTIMISER_H

#include "model/trainables.h"
#include "train/loss_scale.h"
#include "train/optimiser_spans.h"

struct loam_optimiser_settings {
    double beta1;
    double beta2;
    double epsilon;
    double weight_decay;  // of the trainables that are decayed
    double max_grad_norm; // 0: no clipping
    bool scales_loss;     // gradients are of the loss times a factor that is found while training
    int32_t loss_rows;    // losses of a queued step at most; 0: no step is queued
};

struct loam_optimiser {
    struct loam_trainables *set;
    struct loam_optimiser_settings settings;
    struct loam_stream stream;
    struct loam_arena arena;
    struct loam_optimiser_spans spans;
    // What the host reads of a step, in one piece: the two scalars, then the losses.
    struct loam_tensor squared_norm; // [1] f64
    struct loam_tensor guard;        // [1] f64, the sum of squares of the losses
    struct loam_tensor losses;       // [loss_rows] f32
    double *host_report;             // the same on the host
    struct loam_loss_scale loss_scale;
    int64_t step; // updates made
};

// The set must have its memory. Asks the device for the ops and takes all that they need.
enum loam_status loam_optimiser_init(struct loam_optimiser *optimiser, struct loam_trainables *set,
                                     const struct loam_optimiser_settings *settings,
                                     struct loam_error *error);
void loam_optimiser_deinit(struct loam_optimiser *optimiser);

enum loam_status loam_optimiser_zero_gradients(struct loam_optimiser *optimiser, struct loam_error *error);
// The norm of all gradients together, before clipping, of the loss without its factor; not finite when one of them is
// not.
enum loam_status loam_optimiser_gradient_norm(struct loam_optimiser *optimiser, double *norm,
                                              struct loam_error *error);
// The norm of all trained values together; not finite when one of them is not.
enum loam_status loam_optimiser_value_norm(struct loam_optimiser *optimiser, double *norm,
                                           struct loam_error *error);
// One update; clips by the norm that was measured last, which is finite.
enum loam_status loam_optimiser_update(struct loam_optimiser *optimiser, double learning_rate,
                                       struct loam_error *error);

// ---- a step that is queued whole: clear, passes that write losses, update, then one wait ----

// Sets the gradients to zero.
void loam_optimiser_queue_clear(struct loam_optimiser *optimiser);
// Looks at `rows` losses: the update does nothing unless all of them are finite.
void loam_optimiser_queue_losses(struct loam_optimiser *optimiser, int32_t rows);
// Measures the norm and makes one update, which changes nothing where the norm is not finite.
void loam_optimiser_queue_update(struct loam_optimiser *optimiser, double learning_rate);
// Waits, and reads `rows` losses.
enum loam_status loam_optimiser_wait(struct loam_optimiser *optimiser, int32_t rows, const float **losses,
                                     struct loam_error *error);
// After the wait: the norm as loam_optimiser_gradient_norm. An update that changed nothing is not counted.
double loam_optimiser_settle(struct loam_optimiser *optimiser);

#endif
