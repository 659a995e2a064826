// Checkpoints of a run: OUT/checkpoint-STEP holds all that it takes to go on as if the run had not ended
// there (docs/FORMATS.md). Random numbers depend on seed and step alone (base/rng.h), and so does the order
// of the examples, so that the step is their whole state.
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
    json_t *options;                // those that shape the mathematics
    int64_t total_steps;            // of the run
    struct loam_bytes changes;      // a line for each resume: "from step 10 on: --seed was 1 and is 2"
    char *from;                     // the checkpoint that is resumed; NULL: the run starts anew
    int64_t from_step;              // step of that checkpoint; -1: the run starts anew
    char run[LOAM_RUN_ID_SIZE];     // id of the run; a resumed run keeps it
    struct loam_base_digest base;   // of the model
    struct loam_checkpoint_set set; // the checkpoints that the run may remove
};

// Of an opened job: records its options and, with --resume, finds what to go on from. A damaged checkpoint is
// reported and the one before it taken; one that cannot be read is an error. So are options that differ,
// without --allow-change, a run of `total_steps` that has nothing left to train, and a checkpoint that would
// stand in the way and is not certainly this run's.
enum loam_status loam_checkpoints_open(struct loam_checkpoints *checkpoints, struct loam_train_job *job,
                                       struct loam_output *output, int64_t total_steps,
                                       struct loam_error *error);
void loam_checkpoints_close(struct loam_checkpoints *checkpoints);

// A line for each resume that changed the run; "": none did.
const char *loam_checkpoints_changes(const struct loam_checkpoints *checkpoints);

// Starts the slow work for checkpoints, the digest of the base, beside the first steps.
void loam_checkpoints_begin(struct loam_checkpoints *checkpoints);

// After the job was loaded: restores the job's tensors, the loop, the metrics and the event file from `from`.
// `board_directory` is the directory of the event file; NULL: there is none.
enum loam_status loam_checkpoints_resume(struct loam_checkpoints *checkpoints, struct loam_loop *loop,
                                         const char *board_directory, struct loam_error *error);
// Writes the checkpoint of the step that the loop has done, whole or not at all, and removes those from an
// abandoned run or beyond --save-total-limit.
enum loam_status loam_checkpoints_save(struct loam_checkpoints *checkpoints, const struct loam_loop *loop,
                                       struct loam_error *error);
// Writes, checks and removes a checkpoint of the smallest parameter, so that checkpoints that cannot be
// written are found before the first step.
enum loam_status loam_checkpoints_rehearse(struct loam_checkpoints *checkpoints, const struct loam_loop *loop,
                                           struct loam_error *error);
// The trained values as they were at that step.
enum loam_status loam_checkpoints_load_values(const struct loam_checkpoints *checkpoints, int64_t step,
                                              struct loam_error *error);

#endif
