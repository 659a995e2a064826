// The training loop: steps, and the reports, evaluations and checkpoints that are due between them.
#ifndef LOAM_RUN_LOOP_H
#define LOAM_RUN_LOOP_H

#include "run/loop_state.h"

// Sets the initial state of a new run.
void loam_loop_begin(struct loam_loop *loop);
// Runs a tiny evaluation, so that one that cannot work fails before the first step.
enum loam_status loam_loop_rehearse(struct loam_loop *loop, struct loam_error *error);
// Runs the steps that are left. If the caller, a loss or gradient that is not finite, or any other failure
// stops the run, the steps that are done are saved. A step whose examples have no labels counts as a step but
// changes nothing. A run without any label is an error.
enum loam_status loam_loop_run(struct loam_loop *loop, struct loam_error *error);

#endif
