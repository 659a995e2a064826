// Checkpoints of a run: OUT/checkpoint-STEP holds everything that a resumed run needs to give the same result
// as an uninterrupted one (docs/FORMATS.md). Random numbers (base/rng.h) and the order of the examples depend
// only on the seed and the step, so a checkpoint stores no other state for them.
#ifndef LOAM_RUN_CHECKPOINT_H
#define LOAM_RUN_CHECKPOINT_H

#include "base/json.h"
#include "run/base_digest.h"
#include "run/checkpoint_set.h"
#include "run/job.h"
#include "run/loop.h"
#include "run/output.h"

struct loam_checkpoints {
    struct loam_train_job *job;
    struct loam_output *output;
    json_t *options;     // options that shape the mathematics
    int64_t total_steps; // steps of the whole run
    // A line for each resume that changed the run: "from step 10 on: --seed was 1 and is 2".
    struct loam_bytes changes;
    char *from;                     // directory of the checkpoint that is resumed; NULL: a new run
    int64_t from_step;              // step of `from`; -1: a new run
    char run[LOAM_RUN_ID_SIZE];     // id of the run; a resumed run keeps it
    struct loam_base_digest base;   // digest of the model
    struct loam_checkpoint_set set; // checkpoints that the run may remove
};

// Records the options of an opened job and, with --resume, finds the checkpoint to resume. A damaged
// checkpoint is logged and the one before it is taken. These are errors: a checkpoint that cannot be read;
// options that differ, without --allow-change; a run of `total_steps` with no step left to train; a later
// checkpoint in OUT that cannot be shown to be this run's.
enum loam_status loam_checkpoints_open(struct loam_checkpoints *checkpoints, struct loam_train_job *job,
                                       struct loam_output *output, int64_t total_steps,
                                       struct loam_error *error);
void loam_checkpoints_close(struct loam_checkpoints *checkpoints);

// Returns a line for each resume that changed the run; "": none did.
const char *loam_checkpoints_changes(const struct loam_checkpoints *checkpoints);

// Starts the digest of the base model, which is slow, beside the first steps.
void loam_checkpoints_begin(struct loam_checkpoints *checkpoints);

// Restores the checkpoint `from` into the tensors of the loaded job, the loop, the metrics and the event file
// in `board_directory` (NULL: no event file).
enum loam_status loam_checkpoints_resume(struct loam_checkpoints *checkpoints, struct loam_loop *loop,
                                         const char *board_directory, struct loam_error *error);
// Writes a checkpoint of the last step, whole or not at all, and removes checkpoints from an abandoned run,
// or beyond --save-total-limit.
enum loam_status loam_checkpoints_save(struct loam_checkpoints *checkpoints, const struct loam_loop *loop,
                                       struct loam_error *error);
// Writes, checks and removes a checkpoint of the smallest parameter, so that a run whose checkpoints cannot
// be written fails before the first step.
enum loam_status loam_checkpoints_rehearse(struct loam_checkpoints *checkpoints, const struct loam_loop *loop,
                                           struct loam_error *error);
// Reads the trained values from the checkpoint of that step.
enum loam_status loam_checkpoints_load_values(const struct loam_checkpoints *checkpoints, int64_t step,
                                              struct loam_error *error);

#endif
