// A linear in a pass, forward and backward: the weight behind its handle, the bias, the residual and the
// adapters of the pass. The head of the model is a linear, too.
#ifndef LOAM_MODEL_LINEAR_H
#define LOAM_MODEL_LINEAR_H

#include "model/linear_weight.h"

// Memory from the arena for x AT of every adapter of the pass on this linear [T, columns] f32; no data where
// no adapter has the linear.
struct loam_tensor loam_linear_updates(struct loam_pass *pass, const struct loam_linear *linear);

// y = x WT + bias + residual, then the update of each segment on its rows: y += factor scale ((drop(x) AT) BT
// + bias of B).
// A fresh adapter (B = 0) without DoRA changes no bit. `t` comes from loam_linear_updates and is kept for the backward.
// x [T, K]; residual [T, N], optional, may be y itself; y [T, N].
void loam_linear_run(struct loam_pass *pass, const struct loam_linear *linear, struct loam_tensor x,
                     struct loam_tensor residual, struct loam_tensor t, struct loam_tensor y);

// loam_linear_run of each linear, without a residual; in one op where they allow it. There are up to LOAM_LINEARS_MOST.
void loam_linears_run(struct loam_pass *pass, struct loam_tensor x, const struct loam_linear_output *outputs,
                      int count);

// dx (+)= dy W + sum over segments of dropped(scale dy B A), on the rows of each segment.
// Gradients of what is trained: dW += dyT x; dbias += sum_t dy; dA and dB of each segment from its rows
// (struct loam_lora_backward_args).
// dx [T, K] is optional. x [T, K] is read only where loam_linear_reads_input is true. dy [T, N].
void loam_linear_run_backward(struct loam_pass *pass, const struct loam_linear *linear, struct loam_tensor x,
                              struct loam_tensor t, struct loam_tensor dy, struct loam_tensor dx,
                              bool accumulate);

// loam_linear_run_backward of each linear, in their order: the gradients of all add up in dx.
void loam_linears_run_backward(struct loam_pass *pass, struct loam_tensor x,
                               const struct loam_linear_output *outputs, int count, struct loam_tensor dx,
                               bool accumulate);

// The norms of DoRA [out] f32: those that the slot keeps, or computed in memory from the arena.
struct loam_tensor loam_linear_dora_norms(struct loam_pass *pass, const struct loam_linear *linear,
                                          const struct loam_lora_slot *slot);

#endif
