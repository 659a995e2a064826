// The ceiling of a step: the rate of the matrix library alone on the step's sequence of products, with the
// weights in the checkpoint's layout. If the library has no product of the model's dtype, f32 copies of the
// weights are used.
#ifndef LOAM_BENCH_CEILING_H
#define LOAM_BENCH_CEILING_H

#include "bench/bench.h"
#include "bench/sequence.h"
#include "session/session.h"

// Largest memory for copies of weights, in bytes. It is many times the size of a cache.
#define LOAM_BENCH_COPIES_LIMIT ((size_t)2 << 30)

struct loam_bench_ceiling_state {
    const struct loam_device *device;
    struct loam_probe *probe;
    bool own_weights;           // products read the model's weights; false: copies
    struct loam_arena a;        // first operands
    struct loam_arena b;        // second operands that are activations
    struct loam_arena c;        // results; never read as operands, so that no value grows or vanishes
    struct loam_arena copies;   // of weights, used in turn
    size_t copies_used;         // offset of the next copy
    int64_t weight_bytes;       // of the distinct weights or copies that are read
    struct loam_product *ready; // shapes that were multiplied once
    size_t ready_count;
    size_t ready_capacity;
};

// Fails where the device's own memory is limited by the user, or layers are offloaded because it is short: its planned use
// leaves out what the ceiling takes.
enum loam_status loam_bench_ceiling_check(const struct loam_session *session, int64_t device_memory_limit,
                                          struct loam_error *error);
// `dtype` is the model's. LOAM_ERROR_UNSUPPORTED if the device has no matrix library.
enum loam_status loam_bench_ceiling_init(struct loam_bench_ceiling_state *state,
                                         const struct loam_device *device, enum loam_dtype dtype,
                                         struct loam_error *error);
void loam_bench_ceiling_deinit(struct loam_bench_ceiling_state *state);
// Allocates memory for the sequence and multiplies each new shape once. A measured run then does neither.
enum loam_status loam_bench_ceiling_prepare(struct loam_bench_ceiling_state *state,
                                            const struct loam_bench_sequence *sequence,
                                            struct loam_error *error);
// The product that is run for an item: the item's own, or a part of it if an operand would be too large.
struct loam_product loam_bench_ceiling_piece(const struct loam_bench_ceiling_state *state,
                                             const struct loam_bench_product *item);
// The address of the weight for such a piece: the model's weight, or the next copy.
const void *loam_bench_ceiling_weight(struct loam_bench_ceiling_state *state,
                                      const struct loam_bench_product *item,
                                      const struct loam_product *piece);

// Runs all products of a prepared sequence once. `*flops` receives their operations.
enum loam_status loam_bench_ceiling_run(struct loam_bench_ceiling_state *state,
                                        const struct loam_bench_sequence *sequence, double *flops,
                                        struct loam_error *error);
// Waits for products that a device has queued.
enum loam_status loam_bench_ceiling_finish(struct loam_bench_ceiling_state *state, struct loam_error *error);
// Describes a ceiling whose runs of the sequence took `seconds` for `flops` operations.
struct loam_bench_ceiling loam_bench_ceiling_summary(const struct loam_bench_ceiling_state *state,
                                                     const struct loam_bench_sequence *sequence, double flops,
                                                     double seconds);

#endif
