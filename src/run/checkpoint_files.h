// The directories of checkpoints: names, listing, and checksums that detect damage.
#ifndef LOAM_RUN_CHECKPOINT_FILES_H
#define LOAM_RUN_CHECKPOINT_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define LOAM_CHECKPOINT_STATE "loam_state.json"
#define LOAM_CHECKPOINT_TENSORS "training_state.safetensors"
#define LOAM_CHECKPOINT_METRICS "metrics.jsonl"
#define LOAM_CHECKPOINT_SUMS "checksums.sha256"

// Returns "OUT/checkpoint-STEP", released with free(); NULL and a filled error on failure.
char *loam_checkpoint_path(const char *out, int64_t step, struct loam_error *error);

// Appends the remedy to the message about a checkpoint that could not be read (LOAM_ERROR_IO). Returns
// `status`.
enum loam_status loam_checkpoint_advise(enum loam_status status, const char *directory,
                                        struct loam_error *error);

// Lists the steps of the checkpoints in `out` that loam wrote, highest first: `*steps` [*count], released
// with free(). Directories of that name from other programs are left out. If `out` does not exist, the list
// is empty. A directory that cannot be read is LOAM_ERROR_IO.
enum loam_status loam_checkpoint_list(const char *out, int64_t **steps, size_t *count,
                                      struct loam_error *error);
// Sets `*step` to the highest step of that list; -1: it is empty.
enum loam_status loam_checkpoint_newest(const char *out, int64_t *step, struct loam_error *error);

// Writes the checksums of all files in `directory`, in the format of sha256sum. Call it after all other files
// are written.
enum loam_status loam_checkpoint_seal(const char *directory, struct loam_error *error);
// Compares the files with the checksums. LOAM_ERROR_FORMAT means that the checkpoint is damaged; the message
// names the file that is missing or differs. Any other failure leaves open whether it is damaged.
enum loam_status loam_checkpoint_verify(const char *directory, struct loam_error *error);

// Removes the checkpoint of that step. It never leaves half of a checkpoint under its name.
enum loam_status loam_checkpoint_remove(const char *out, int64_t step, struct loam_error *error);

#endif
