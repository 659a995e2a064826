// The checkpoints in OUT that a run may remove: those that it has made, and those that are certainly of its
// own earlier steps, damaged, or replaced by --overwrite. Each is known by its directory's inode, so that
// another directory of the same name stays.
#ifndef LOAM_RUN_CHECKPOINT_SET_H
#define LOAM_RUN_CHECKPOINT_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/bytes.h"

enum { LOAM_RUN_ID_SIZE = 33 }; // hexadecimal digits, and NUL

struct loam_checkpoint_entry {
    int64_t step;
    dev_t device;
    ino_t inode;
    bool doomed; // not of this run's steps: removed once this run has saved a checkpoint
};

// Zeroed: empty.
struct loam_checkpoint_set {
    struct loam_bytes entries; // struct loam_checkpoint_entry
};
void loam_checkpoint_set_deinit(struct loam_checkpoint_set *set);

// The run, and the checkpoint that it resumes.
struct loam_checkpoint_origin {
    const char *run; // id of the run
    int64_t step;    // of the checkpoint; -1: the run starts anew
    bool overwrite;
};
// Adds the checkpoints in `out` that are the run's own, or that it may replace. Another one, later than
// origin->step, is an error: the run would have to write over it.
enum loam_status loam_checkpoint_set_fill(struct loam_checkpoint_set *set, const char *out,
                                          const struct loam_checkpoint_origin *origin,
                                          struct loam_error *error);
// OUT/checkpoint-STEP, in the place of one of that step. A link is not added.
enum loam_status loam_checkpoint_set_add(struct loam_checkpoint_set *set, const char *out, int64_t step,
                                         bool doomed, struct loam_error *error);
bool loam_checkpoint_set_has_doomed(const struct loam_checkpoint_set *set);
// Removes the checkpoint of that step if it is in the set.
enum loam_status loam_checkpoint_set_remove(struct loam_checkpoint_set *set, const char *out, int64_t step,
                                            struct loam_error *error);

// Which checkpoints stay after one was written.
struct loam_checkpoint_limit {
    int64_t count;   // of the newest; 0 or less: all
    int64_t best;    // this one too; -1: none
    bool spare_all;  // all of this run's steps
    int64_t written; // the step that was just saved; -1: none, and doomed ones stay
};
enum loam_status loam_checkpoint_set_rotate(struct loam_checkpoint_set *set, const char *out,
                                            const struct loam_checkpoint_limit *limit,
                                            struct loam_error *error);

#endif
