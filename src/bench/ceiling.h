// The ceiling of a step: its sequence of products by the matrix library alone, with the weights that they
// read, as they lie in the checkpoint. Where the library has no product of the model's dtype, with f32 copies
// of the weights.
#ifndef LOAM_BENCH_CEILING_H
#define LOAM_BENCH_CEILING_H

#include "bench/bench.h"
#include "bench/sequence.h"

// Bytes of copies of weights: many times what a cache holds.
#define LOAM_BENCH_COPIES_LIMIT ((size_t)2 << 30)

struct loam_bench_ceiling_state {
    const struct loam_device *device;
    struct loam_probe *probe;
    bool own_weights;           // the model's; else copies
    struct loam_arena a;        // first operands
    struct loam_arena b;        // second operands that are activations
    struct loam_arena c;        // results; never read as operands, so that no value grows or vanishes
    struct loam_arena copies;   // of weights, used in turn
    size_t copies_used;         // where the next one begins
    int64_t weight_bytes;       // of the distinct weights, or copies, that are read
    struct loam_product *ready; // shapes that have been multiplied once
    size_t ready_count;
    size_t ready_capacity;
};

// `dtype` is the model's. LOAM_ERROR_UNSUPPORTED where the device has no matrix library of its own.
enum loam_status loam_bench_ceiling_init(struct loam_bench_ceiling_state *state,
                                         const struct loam_device *device, enum loam_dtype dtype,
                                         struct loam_error *error);
void loam_bench_ceiling_deinit(struct loam_bench_ceiling_state *state);
// Takes the memory that the sequence needs and multiplies each new shape once, so that a run does neither.
enum loam_status loam_bench_ceiling_prepare(struct loam_bench_ceiling_state *state,
                                            const struct loam_bench_sequence *sequence,
                                            struct loam_error *error);
// What a product is run as: the product itself, or a part of it where an operand would be too large.
struct loam_product loam_bench_ceiling_piece(const struct loam_bench_ceiling_state *state,
                                             const struct loam_bench_product *item);
// Where such a piece of the item's weight is to be read: the model's own, or the next of the copies.
const void *loam_bench_ceiling_weight(struct loam_bench_ceiling_state *state,
                                      const struct loam_bench_product *item,
                                      const struct loam_product *piece);

// All products of a prepared sequence, once; their operations.
enum loam_status loam_bench_ceiling_run(struct loam_bench_ceiling_state *state,
                                        const struct loam_bench_sequence *sequence, double *flops,
                                        struct loam_error *error);
// Reports a ceiling whose runs of the sequence made `flops` operations in `seconds`.
struct loam_bench_ceiling loam_bench_ceiling_summary(const struct loam_bench_ceiling_state *state,
                                                     const struct loam_bench_sequence *sequence, double flops,
                                                     double seconds);

#endif
