// The directories of checkpoints: their names, the list of them, and the checksums that show damage.
#ifndef LOAM_RUN_CHECKPOINT_FILES_H
#define LOAM_RUN_CHECKPOINT_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define LOAM_CHECKPOINT_STATE "loam_state.json"
#define LOAM_CHECKPOINT_TENSORS "training_state.safetensors"
#define LOAM_CHECKPOINT_METRICS "metrics.jsonl"
#define LOAM_CHECKPOINT_SUMS "checksums.sha256"

// "OUT/checkpoint-STEP"; NULL and a filled error on failure. Released with free().
char *loam_checkpoint_path(const char *out, int64_t step, struct loam_error *error);

// Appends the remedy to the message about a checkpoint that could not be read (LOAM_ERROR_IO). Returns
// `status`.
enum loam_status loam_checkpoint_advise(enum loam_status status, const char *directory,
                                        struct loam_error *error);

// The steps of the checkpoints in `out` that loam has made, highest first: `*steps` [*count], released with
// free(). Directories of that name which something else has made are none. No directory `out`: none. A
// directory that cannot be read is LOAM_ERROR_IO.
enum loam_status loam_checkpoint_list(const char *out, int64_t **steps, size_t *count,
                                      struct loam_error *error);
// The highest of them; -1: none.
enum loam_status loam_checkpoint_newest(const char *out, int64_t *step, struct loam_error *error);

// Writes the checksums of all files in `directory`, in the format of sha256sum; the last file to be written.
enum loam_status loam_checkpoint_seal(const char *directory, struct loam_error *error);
// LOAM_ERROR_FORMAT: it is damaged, for certain; the message names the file that is missing or is not what
// was written. Any other failure tells nothing about the checkpoint.
enum loam_status loam_checkpoint_verify(const char *directory, struct loam_error *error);

// Removes the checkpoint of that step; never leaves half of it under its name.
enum loam_status loam_checkpoint_remove(const char *out, int64_t step, struct loam_error *error);

#endif
