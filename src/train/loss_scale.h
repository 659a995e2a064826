// The scale of the loss, for gradients of activations in f16: a factor that lifts small ones out of the numbers that f16
// rounds to zero. It is found while training, as torch.amp.GradScaler finds it.
#ifndef LOAM_TRAIN_LOSS_SCALE_H
#define LOAM_TRAIN_LOSS_SCALE_H

#include <stdbool.h>
#include <stdint.h>

struct loam_loss_scale {
    bool dynamic;       // else the factor is 1 and stays so
    double factor;      // a power of two from 1 to 2^126
    int64_t good_steps; // steps with finite gradients since the factor changed
};

struct loam_loss_scale loam_loss_scale_make(bool dynamic);
// Whether gradients that are not finite may be finite with a smaller factor.
bool loam_loss_scale_can_shrink(const struct loam_loss_scale *scale);
// After a step: halves the factor where its gradients were not finite, and doubles it after 2,000 good steps in a row.
void loam_loss_scale_update(struct loam_loss_scale *scale, bool finite);
// Whether a checkpoint may hold this scale.
bool loam_loss_scale_is_valid(const struct loam_loss_scale *scale);

#endif
