// The choice among the best candidates, where the logits of the others are not known.
#ifndef LOAM_GENERATE_SAMPLE_H
#define LOAM_GENERATE_SAMPLE_H

#include "generate/generate.h"

struct loam_candidate {
    float logit;
    int32_t id;
};

struct loam_best {
    // [count] The `found` best of those that were searched, in falling order, and then all others.
    struct loam_candidate *candidates;
    int32_t found, count;
    bool is_all; // no more than these were searched
    double sum;  // over all that were searched of exp((logit - logit of the first) / temperature), nearly
};
// Chooses what loam_sample chooses from the logits of all candidates. `*is_known` is false where the best do not settle
// it. Sorts the candidates.
enum loam_status loam_sample_best(const struct loam_sampling *sampling, struct loam_best *best, uint64_t draw,
                                  int32_t *id, bool *is_known, struct loam_error *error);
// The logit of an id of the history.
float loam_sample_penalise(float logit, double penalty);
// Fails for a logit that is not finite.
enum loam_status loam_sample_refuse(int32_t id, struct loam_error *error);

#endif
