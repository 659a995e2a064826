// From the residual stream to losses or logits: the final norm, the head, and what adapters change there.
#ifndef LOAM_MODEL_HEAD_H
#define LOAM_MODEL_HEAD_H

#include "model/linear.h"

// Writes pass->losses from pass->x. With gradients, writes dx [R, H], the gradient of the top layer's output,
// and adds the gradients of what is trained in the head and the final norm.
void loam_head_loss(struct loam_pass *pass, struct loam_tensor dx);
// Logits [count, V] f32 of rows [first, first + count) of pass->x, in memory from the arena.
struct loam_tensor loam_head_logits(struct loam_pass *pass, int64_t first, int64_t count);
// Logits [count, V] f32 of some rows of pass->x, ascending; `rows` [count] is on the host.
struct loam_tensor loam_head_logits_of(struct loam_pass *pass, const int32_t *rows, int32_t count);

#endif
