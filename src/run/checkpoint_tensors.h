// The tensors of a checkpoint: value, m and v of everything that is trained.
#ifndef LOAM_RUN_CHECKPOINT_TENSORS_H
#define LOAM_RUN_CHECKPOINT_TENSORS_H

#include "train/optimiser.h"

enum loam_status loam_checkpoint_tensors_write(struct loam_optimiser *optimiser, const char *directory,
                                               struct loam_error *error);
// The same of the smallest parameter alone.
enum loam_status loam_checkpoint_tensors_rehearse(struct loam_optimiser *optimiser, const char *directory,
                                                  struct loam_error *error);
// With `values_alone` the moments stay as they are.
enum loam_status loam_checkpoint_tensors_read(struct loam_optimiser *optimiser, const char *directory,
                                              bool values_alone, struct loam_error *error);

#endif
