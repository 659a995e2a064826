// The best approximation of a product of thin matrices by one of lower rank.
#ifndef LOAM_LORA_LOW_RANK_H
#define LOAM_LORA_LOW_RANK_H

#include <stdint.h>

#include "base/status.h"

// b [out, inner], a [inner, in], both overwritten.
struct loam_low_rank_product {
    const char *name; // of the module, for messages
    int64_t out, inner, in;
    double *b;
    double *a;
};

// Computes u [out, rank] and v [rank, in], zeroed before, with u v = the first `rank` terms of the singular value
// decomposition of b a: u has the left vectors times the values, v the right vectors. The product itself, which may
// be as large as a weight, is not made.
enum loam_status loam_low_rank_compute(const struct loam_low_rank_product *product, int64_t rank, float *u,
                                       float *v, struct loam_error *error);

#endif
