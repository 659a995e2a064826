// How the trainables of a set come together in spans.
#ifndef LOAM_TRAIN_OPTIMISER_SPANS_H
#define LOAM_TRAIN_OPTIMISER_SPANS_H

#include "train/optimiser.h"

// Where the ranges of all spans begin, and their groups.
struct loam_optimiser_ranges {
    int32_t *starts; // [count]
    int32_t *groups; // [count]
    size_t count;
};

// Fills optimiser->spans and the ranges, which the caller releases.
enum loam_status loam_optimiser_make_spans(struct loam_optimiser *optimiser,
                                           struct loam_optimiser_ranges *ranges, struct loam_error *error);
void loam_optimiser_ranges_deinit(struct loam_optimiser_ranges *ranges);

#endif
