// The state of the loop in a checkpoint, as JSON: counts, sums and times.
#ifndef LOAM_RUN_CHECKPOINT_STATE_H
#define LOAM_RUN_CHECKPOINT_STATE_H

#include "base/json.h"
#include "run/loop.h"

enum { LOAM_CHECKPOINT_VERSION = 1 };

// Reads the state file of the checkpoint in `directory`, written by any version of loam. Released with
// json_decref().
enum loam_status loam_checkpoint_state_peek(json_t **root, const char *directory, struct loam_error *error);
// Reads the state file. One of another format version is LOAM_ERROR_UNSUPPORTED.
enum loam_status loam_checkpoint_state_load(json_t **root, const char *directory, struct loam_error *error);

// Returns the state as an object, released with json_decref(); NULL if memory runs out.
json_t *loam_checkpoint_state_format(const struct loam_loop *loop);
// Sets the loop's fields. `name` is the file, for messages. A missing field is an error, and so are counts that
// cannot be.
enum loam_status loam_checkpoint_state_parse(struct loam_loop *loop, const json_t *state, const char *name,
                                             struct loam_error *error);
// Sets the scale of the loss of a run that has one. A run that has another dtype now, or a checkpoint without a scale,
// starts with the first one. A scale that cannot be, such as one with more good steps than `step` steps, is an error in
// every run.
enum loam_status loam_checkpoint_loss_scale_parse(struct loam_loss_scale *scale, int64_t step,
                                                  const json_t *root, const char *name,
                                                  struct loam_error *error);

#endif
