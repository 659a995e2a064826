// The records of an epoch, taken from several sources: a pure function of seed and epoch.
//
// A source is read as an endless sequence of passes over its records. Each epoch takes the next `taken` of the
// sequence. A pass is in the order of the file if an epoch takes whole passes, or without shuffling; else it
// is a permutation. So half of a source in one epoch and the other half in the next make the whole.
#ifndef LOAM_DATA_MIXTURE_H
#define LOAM_DATA_MIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "data/source.h"

struct loam_mixture_part {
    size_t first; // index of its first record
    size_t count; // records
    size_t taken; // records of an epoch
};

// A zeroed struct is valid.
struct loam_mixture {
    struct loam_mixture_part *parts; // [count]
    size_t count;
    size_t taken;      // records of an epoch, of all parts
    uint32_t *shuffle; // [largest part that is not taken in whole passes] a permutation
};

// Records that an epoch takes of a source with `count` records. A weight is rounded to the nearest number of
// records, at least 1.
size_t loam_data_share_take(const struct loam_data_share *share, size_t count);

// Copies the parts, each of at least one record.
enum loam_status loam_mixture_init(struct loam_mixture *mixture, const struct loam_mixture_part *parts,
                                   size_t count, struct loam_error *error);
void loam_mixture_deinit(struct loam_mixture *mixture);

// Fills indices [taken] with the records of an epoch, source by source.
void loam_mixture_fill(struct loam_mixture *mixture, int64_t epoch, bool shuffle, uint64_t seed,
                       uint32_t *indices);

#endif
