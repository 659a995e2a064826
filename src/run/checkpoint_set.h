// The checkpoints in OUT that a run may remove: those that it wrote, and those that it can prove to be from
// its own earlier steps, damaged, or to be replaced by --overwrite. Each is identified by the inode of its
// directory, so that another directory of the same name is never removed.
#ifndef LOAM_RUN_CHECKPOINT_SET_H
#define LOAM_RUN_CHECKPOINT_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/bytes.h"

enum { LOAM_RUN_ID_SIZE = 33 }; // bytes: 32 hexadecimal digits and NUL

struct loam_checkpoint_entry {
    int64_t step;
    dev_t device;
    ino_t inode;
    bool doomed; // not one of this run's steps: removed after this run saves its next checkpoint
};

// A zeroed struct is an empty set.
struct loam_checkpoint_set {
    struct loam_bytes entries; // struct loam_checkpoint_entry
};
void loam_checkpoint_set_deinit(struct loam_checkpoint_set *set);

// Where the run starts.
struct loam_checkpoint_start {
    const char *run; // id of the run
    int64_t step;    // step of the resumed checkpoint; -1: a new run
    bool overwrite;  // --overwrite
};
// Adds the checkpoints in `out` that the run may remove. A checkpoint after `start->step` that it may not
// remove is an error, because the run would write to the same place.
enum loam_status loam_checkpoint_set_fill(struct loam_checkpoint_set *set, const char *out,
                                          const struct loam_checkpoint_start *start,
                                          struct loam_error *error);
// Adds OUT/checkpoint-STEP, replacing an entry of the same step. If nothing has that name, only the old entry
// is dropped.
enum loam_status loam_checkpoint_set_add(struct loam_checkpoint_set *set, const char *out, int64_t step,
                                         bool doomed, struct loam_error *error);
bool loam_checkpoint_set_has_doomed(const struct loam_checkpoint_set *set);
// Removes the checkpoint of that step if it is in the set.
enum loam_status loam_checkpoint_set_remove(struct loam_checkpoint_set *set, const char *out, int64_t step,
                                            struct loam_error *error);

// Which checkpoints stay.
struct loam_checkpoint_limit {
    int64_t count;   // keep so many of the newest; 0 or less: all
    int64_t best;    // keep the checkpoint of this step too; -1: none
    bool keeps_all;  // keep every checkpoint of this run's steps
    int64_t written; // the step that was just saved; -1: none, and doomed checkpoints stay
};
// Removes the checkpoints that `limit` does not keep.
enum loam_status loam_checkpoint_set_rotate(struct loam_checkpoint_set *set, const char *out,
                                            const struct loam_checkpoint_limit *limit,
                                            struct loam_error *error);

#endif
