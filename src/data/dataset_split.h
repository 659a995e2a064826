// Counts the examples of a data set before their order is drawn (--too-long split).
#ifndef LOAM_DATA_DATASET_SPLIT_H
#define LOAM_DATA_DATASET_SPLIT_H

#include "data/dataset_parts.h"

// Sets the examples of all records. With LOAM_TOO_LONG_SPLIT every record that may be split is encoded once. `callbacks`, which
// may be NULL, get LOAM_ACTIVITY_READ.
enum loam_status loam_dataset_split(struct loam_dataset *dataset, const struct loam_callbacks *callbacks,
                                    struct loam_error *error);
// Logs how many records were split, and which files have records that are never split.
void loam_dataset_tell_split(const struct loam_dataset *dataset, const struct loam_log *log);

#endif
