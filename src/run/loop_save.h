// Checkpoints of the training loop, and what a loop that stops before its end leaves behind.
#ifndef LOAM_RUN_LOOP_SAVE_H
#define LOAM_RUN_LOOP_SAVE_H

#include "run/loop_state.h"

// Writes a checkpoint of the last step.
enum loam_status loam_loop_save(struct loam_loop *loop, struct loam_error *error);

// These save the steps that are done, unless they are saved or cannot be. `error` holds the reason why the loop stopped,
// and gets the step, the checkpoint and how to go on. They return the status of the reason.

// The caller asked to stop.
enum loam_status loam_loop_save_stopped(struct loam_loop *loop, struct loam_error *error);
// A loss or gradient was not finite.
enum loam_status loam_loop_save_diverged(struct loam_loop *loop, struct loam_error *error);
// Any other failure: an unreadable input, a failed evaluation, lack of memory.
enum loam_status loam_loop_save_failed(struct loam_loop *loop, struct loam_error *error);

#endif
