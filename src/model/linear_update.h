// The updates that the adapters of a pass make to a linear.
#ifndef LOAM_MODEL_LINEAR_UPDATE_H
#define LOAM_MODEL_LINEAR_UPDATE_H

#include "model/linear_weight.h"

// A segment on one linear.
struct loam_update {
    const struct loam_lora_slot *slot;
    int64_t first; // row
    int64_t rows;
    float factor; // of the segment
    struct loam_dropout dropout;
    struct loam_tensor t;     // t [rows, rank] f32
    struct loam_tensor norms; // of DoRA [out] f32; data NULL: still to be computed
};

// A walk over the updates of a linear in a pass, in the order of the segments.
struct loam_updates {
    struct loam_update update; // where `more`
    bool more;
    size_t segment;
    size_t used;                        // elements of t that the updates so far have
    const struct loam_lora_slot *taken; // of the last segment, still to come; NULL: none
};

// Takes the next update of a segment that has rows and adapts the linear.
void loam_updates_next(const struct loam_pass *pass, const struct loam_linear_output *output,
                       struct loam_updates *updates);
// The first one.
struct loam_updates loam_updates_begin(const struct loam_pass *pass, const struct loam_linear_output *output);
// Whether the update can be a part of one op with the linear, whose rows are those of `rows`: it is on all of them, and the
// weight is not read in blocks.
bool loam_update_is_fused(const struct loam_pass *pass, const struct loam_linear *linear,
                          const struct loam_update *update, const struct loam_tensor *rows);

// y += the updates from the one of `updates` on.
void loam_updates_add(struct loam_pass *pass, const struct loam_linear_output *output, struct loam_tensor x,
                      struct loam_updates *updates);
// Adds their gradients, and those of x to dx.
void loam_updates_add_gradients(struct loam_pass *pass, const struct loam_linear_output *output,
                                struct loam_tensor x, struct loam_tensor dx, struct loam_updates *updates);
// The gradients of an update without DoRA on its rows; dy is that of what the update added, divided by `scale`.
void loam_update_run_backward(struct loam_pass *pass, const struct loam_update *update, float scale,
                              struct loam_tensor x, struct loam_tensor dy, struct loam_tensor dx);

// ---- DoRA (linear_dora.c) ----

// Whether z of the update is x WT of every row, so that the linear needs no other product.
bool loam_dora_takes_whole(const struct loam_update *update, const struct loam_tensor *x);
// y += factor ((g - 1) z + g u) on the rows of the update; `whole`: y = z + bias + residual + the same.
void loam_dora_add(struct loam_pass *pass, const struct loam_linear *linear, const struct loam_update *update,
                   struct loam_tensor x, struct loam_tensor bias, struct loam_tensor residual,
                   struct loam_tensor y, bool whole);
// dmagnitude += factor sum_t dy (z + u) / norms; the gradients of z and u go on through their products.
// `whole`: dx (+)= that of the linear itself, too.
void loam_dora_add_gradients(struct loam_pass *pass, const struct loam_linear *linear,
                             const struct loam_update *update, struct loam_tensor x, struct loam_tensor dy,
                             struct loam_tensor dx, bool whole, bool accumulate);

#endif
