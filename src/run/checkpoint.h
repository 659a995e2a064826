// Checkpoints of a run. OUT/checkpoint-STEP holds the state from which a run continues as if it had not
// stopped (docs/FORMATS.md). Random numbers (base/rng.h) and the order of the examples depend on seed and
// step alone, so the step is their whole state.
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
    json_t *options;     // that shape the mathematics
    int64_t total_steps; // of the run
    // A line for each resume that changed the run, "from step 10 on: --seed was 1 and is 2".
    struct loam_bytes changes;
    char *from;                     // directory of the checkpoint that the run resumes from; NULL: none
    int64_t from_step;              // step of `from`; -1: none
    char run[LOAM_RUN_ID_SIZE];     // id of the run; a resumed run keeps it
    struct loam_base_digest base;   // of the model
    struct loam_checkpoint_set set; // checkpoints that the run may remove
};

// Records the options of an opened job and, with --resume, finds the checkpoint to resume from. A damaged
// checkpoint is reported, and the one before it is used. Errors: a checkpoint that cannot be read, options
// that differ without --allow-change, a run of `total_steps` with no step left to train, and a checkpoint
// that the run would replace and cannot prove to be its own.
enum loam_status loam_checkpoints_open(struct loam_checkpoints *checkpoints, struct loam_train_job *job,
                                       struct loam_output *output, int64_t total_steps,
                                       struct loam_error *error);
void loam_checkpoints_close(struct loam_checkpoints *checkpoints);

// A line for each resume that changed the run; "": none did.
const char *loam_checkpoints_changes(const struct loam_checkpoints *checkpoints);

// Starts the digest of the base in a thread beside the first steps, since it is slow.
void loam_checkpoints_begin(struct loam_checkpoints *checkpoints);

// Reads the checkpoint `from` into the tensors of the loaded job, the loop, the metrics and the event file in
// `board_directory` (NULL: no event file).
enum loam_status loam_checkpoints_resume(struct loam_checkpoints *checkpoints, struct loam_loop *loop,
                                         const char *board_directory, struct loam_error *error);
// Writes the checkpoint of the loop's last step, complete or not at all. Removes checkpoints from an
// abandoned run, or beyond --save-total-limit.
enum loam_status loam_checkpoints_save(struct loam_checkpoints *checkpoints, const struct loam_loop *loop,
                                       struct loam_error *error);
// Writes, checks and removes a checkpoint of the smallest parameter, so that a failure to write shows before
// the first step.
enum loam_status loam_checkpoints_rehearse(struct loam_checkpoints *checkpoints, const struct loam_loop *loop,
                                           struct loam_error *error);
// Reads the trained values of the checkpoint of `step`.
enum loam_status loam_checkpoints_load_values(const struct loam_checkpoints *checkpoints, int64_t step,
                                              struct loam_error *error);

#endif
