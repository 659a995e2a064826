// What a checkpoint holds besides options and tensors: counts and sums of the loop, as JSON.
#ifndef LOAM_RUN_CHECKPOINT_STATE_H
#define LOAM_RUN_CHECKPOINT_STATE_H

#include "base/json.h"
#include "run/loop.h"

enum { LOAM_CHECKPOINT_VERSION = 1 };

// The state file of the checkpoint in `directory`, of whatever version of loam, released with json_decref().
enum loam_status loam_checkpoint_state_peek(json_t **root, const char *directory, struct loam_error *error);
// The same of this version; of another one it is LOAM_ERROR_UNSUPPORTED.
enum loam_status loam_checkpoint_state_load(json_t **root, const char *directory, struct loam_error *error);

// An object, released with json_decref(); NULL when there is no memory.
json_t *loam_checkpoint_state_format(const struct loam_loop *loop);
// Sets the loop's fields; `name` is the file, for messages. A field that is missing is an error, and so is a
// count beyond what can be counted.
enum loam_status loam_checkpoint_state_parse(struct loam_loop *loop, const json_t *state, const char *name,
                                             struct loam_error *error);

#endif
