// Combining adapters of one model to a new one, as add_weighted_adapter of PEFT does.
#ifndef LOAM_LORA_COMBINE_H
#define LOAM_LORA_COMBINE_H

#include "base/event.h"
#include "lora/adapter_list.h"

// How the matrices of the new adapter are made of those of adapters with the factors f and the scales s.
enum loam_combination {
    LOAM_COMBINE_SVD,    // the best approximation of the sum of f s B A by a given rank
    LOAM_COMBINE_LINEAR, // A and B are sums, each times the root of f s: an approximation, for equal ranks
    LOAM_COMBINE_CAT,    // A and B side by side, the exact sum: ranks add up
};

struct loam_combine_settings {
    struct loam_adapter_choices adapters; // one at least
    enum loam_combination combination;
    int rank;        // of LOAM_COMBINE_SVD; 0: the largest rank of the adapters
    const char *out; // directory
    bool overwrite;
    const struct loam_callbacks *callbacks; // for the log and for progress; NULL: none
};

struct loam_combine_result {
    size_t modules;
    int64_t rank; // of the new adapter
    int64_t parameters;
    enum loam_combination combination; // LINEAR for a single adapter without a rank, as in PEFT
};

// Reads the adapters and writes `out`, an adapter with the scale 1. Base, dropout and initial weights in its config
// are those of the first adapter. Needs no model. A module that only some adapters have is the sum of these.
enum loam_status loam_combine(const struct loam_combine_settings *settings,
                              struct loam_combine_result *result, struct loam_error *error);

#endif
