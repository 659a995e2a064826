// The sum of a merge: the values of the base with the updates of the adapters.
#ifndef LOAM_LORA_MERGE_SUM_H
#define LOAM_LORA_MERGE_SUM_H

#include "lora/merge_state.h"

// Writes elements [first, first + count) of tensor `index` of the current file to `block`; `user` is the state of the merge.
// Values that are not finite are LOAM_ERROR_NUMERIC.
enum loam_status loam_merge_fill_block(void *user, size_t index, size_t first, size_t count, void *block,
                                       struct loam_error *error);

#endif
