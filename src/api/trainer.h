// The trainer's handle; shared by the files that train and that keep its state.
#ifndef LOAM_API_TRAINER_H
#define LOAM_API_TRAINER_H

#include "api/packing.h"
#include "train/trainer.h"

struct loam_trainer_handle {
    struct loam_packing packing;
    struct loam_trainables set; // A and B of the adapters, in the order of the list
    struct loam_trainer trainer;
    size_t *first; // [adapters + 1] place in `set` of the first trainable of each adapter, and the end
    uint64_t seed;
    int64_t passes; // that added gradients, over all updates; their numbers keep their dropout apart
};

#endif
