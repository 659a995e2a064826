// The checkpoints in OUT that a run may remove: those that it made, and those that it can prove to be its own
// earlier steps, damaged, or replaced by --overwrite. A checkpoint is identified by the inode of its
// directory, so another directory of the same name is never removed.
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
    bool doomed; // not a step of this run: removed after the next checkpoint is saved
};

// Zeroed: empty.
struct loam_checkpoint_set {
    struct loam_bytes entries; // struct loam_checkpoint_entry
};
void loam_checkpoint_set_deinit(struct loam_checkpoint_set *set);

// The identity of this run, and where it resumes.
struct loam_checkpoint_past {
    const char *run; // id of the run that it continues
    int64_t step;    // that it resumes from; -1: it starts anew
    bool overwrite;
};
// Adds every checkpoint in `out` that the run may remove. Fails on a checkpoint of a later step than `past`
// that it may not remove: the run would come to the same step.
enum loam_status loam_checkpoint_set_fill(struct loam_checkpoint_set *set, const char *out,
                                          const struct loam_checkpoint_past *past, struct loam_error *error);
// Adds OUT/checkpoint-STEP, a directory or a symbolic link to one, and drops an entry of the same step.
enum loam_status loam_checkpoint_set_add(struct loam_checkpoint_set *set, const char *out, int64_t step,
                                         bool doomed, struct loam_error *error);
bool loam_checkpoint_set_has_doomed(const struct loam_checkpoint_set *set);
// Removes the checkpoint of that step from disk and set, if the set has it.
enum loam_status loam_checkpoint_set_remove(struct loam_checkpoint_set *set, const char *out, int64_t step,
                                            struct loam_error *error);

// Which checkpoints stay after one was written.
struct loam_checkpoint_limit {
    int64_t count;   // the newest so many; 0 or less: all
    int64_t best;    // step that stays as well; -1: none
    bool spare_all;  // all steps of this run stay
    int64_t written; // step that was just saved; -1: none, and doomed checkpoints stay
};
enum loam_status loam_checkpoint_set_rotate(struct loam_checkpoint_set *set, const char *out,
                                            const struct loam_checkpoint_limit *limit,
                                            struct loam_error *error);

#endif
