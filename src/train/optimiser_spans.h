// How the trainables of a set come together in spans.
#ifndef LOAM_TRAIN_OPTIMISER_SPANS_H
#define LOAM_TRAIN_OPTIMISER_SPANS_H

#include "model/trainables.h"

// Trainables whose values, gradients and moments lie in one piece each: one op updates them.
struct loam_optimiser_span {
    struct loam_tensor param, grad, m, v, mirror; // of all elements
    struct loam_tensor starts, groups;            // struct loam_adamw_args
    struct loam_optimiser_group {
        double rate;  // factor of the learning rate
        bool decayed; // weight decay applies
    } kinds[LOAM_ADAMW_GROUPS];
    int kind_count;
    size_t first_range, range_count; // in the lists of all ranges
};

struct loam_optimiser_spans {
    struct loam_optimiser_span *items;
    size_t count;
};

// Where the ranges of all spans begin, and their groups.
struct loam_optimiser_ranges {
    int32_t *starts; // [count]
    int32_t *groups; // [count]
    size_t count;
};

// The caller releases both, also after a failure.
enum loam_status loam_optimiser_make_spans(struct loam_optimiser_spans *spans,
                                           struct loam_optimiser_ranges *ranges,
                                           const struct loam_trainables *set, struct loam_error *error);
void loam_optimiser_spans_deinit(struct loam_optimiser_spans *spans);
void loam_optimiser_ranges_deinit(struct loam_optimiser_ranges *ranges);

#endif
