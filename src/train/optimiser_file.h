// The state of an optimiser as a safetensors file: value, m and v of trainables, as "value.NAME", "m.NAME"
// and "v.NAME", f32. The count of updates is not in it.
#ifndef LOAM_TRAIN_OPTIMISER_FILE_H
#define LOAM_TRAIN_OPTIMISER_FILE_H

#include "train/optimiser.h"

// Writes the trainables [first, first + count) of the optimiser's set.
enum loam_status loam_optimiser_write_file(struct loam_optimiser *optimiser, size_t first, size_t count,
                                           const char *path, struct loam_error *error);
// Reads them. With `values_alone` the moments stay as they are. A tensor that is missing or has another shape is
// LOAM_ERROR_FORMAT; the trainables before it are read then.
enum loam_status loam_optimiser_read_file(struct loam_optimiser *optimiser, size_t first, size_t count,
                                          const char *path, bool values_alone, struct loam_error *error);

#endif
