// The tensors of a checkpoint: value and both Adam moments (m and v) of each trained parameter.
#ifndef LOAM_RUN_CHECKPOINT_TENSORS_H
#define LOAM_RUN_CHECKPOINT_TENSORS_H

#include "train/optimiser.h"

enum loam_status loam_checkpoint_tensors_write(struct loam_optimiser *optimiser, const char *directory,
                                               struct loam_error *error);
// Writes only the smallest parameter, to find whether a checkpoint can be written.
enum loam_status loam_checkpoint_tensors_rehearse(struct loam_optimiser *optimiser, const char *directory,
                                                  struct loam_error *error);
// Reads the tensors. `values_alone` leaves the moments as they are.
enum loam_status loam_checkpoint_tensors_read(struct loam_optimiser *optimiser, const char *directory,
                                              bool values_alone, struct loam_error *error);

#endif
