// The order of the examples. Each epoch is a permutation of its examples, cut into batches. These are all
// examples, or those that a mixture of sources takes (data/mixture.h). An optimiser step
// takes `accumulation` batches; the last step of an epoch takes the rest. The examples of a step depend only
// on its number and the seed, so that a run can be resumed.
#ifndef LOAM_RUN_ORDER_H
#define LOAM_RUN_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/mixture.h"

struct loam_order {
    uint32_t *indices; // [count] of the current epoch
    size_t count;      // examples of an epoch
    struct loam_mixture mixture;
    int64_t epoch; // the epoch in `indices`; -1: none
    uint64_t seed;
    bool shuffle;
    size_t batch_size;
    size_t accumulation;
    int64_t batches_per_epoch;
    int64_t steps_per_epoch;
};

enum loam_status loam_order_init(struct loam_order *order, size_t count, size_t batch_size,
                                 size_t accumulation, bool shuffle, uint64_t seed, struct loam_error *error);
// The order of a mixture of sources.
enum loam_status loam_order_init_mixed(struct loam_order *order, const struct loam_mixture_part *parts,
                                       size_t part_count, size_t batch_size, size_t accumulation,
                                       bool shuffle, uint64_t seed, struct loam_error *error);
void loam_order_deinit(struct loam_order *order);

// Computes the steps of a run: `max_steps` if above 0, else those of `epochs`, rounded up.
enum loam_status loam_order_total_steps(const struct loam_order *order, double epochs, int64_t max_steps,
                                        int64_t *total, struct loam_error *error);
// Returns the examples [*count] of the 0-based step, valid until the next call.
const uint32_t *loam_order_step(struct loam_order *order, int64_t step, size_t *count);
// Returns the epochs that are done after the 0-based step, counted in batches like transformers' Trainer.
double loam_order_epoch_after(const struct loam_order *order, int64_t step);

#endif
