// The matrix products of a step, recorded while it runs: every linear with its gradients, and the head with
// its gradients as plain products over the labelled rows. Attention and LoRA are not included.
#ifndef LOAM_BENCH_SEQUENCE_H
#define LOAM_BENCH_SEQUENCE_H

#include "device/device.h"

struct loam_bench_product {
    struct loam_product product;
    const void *weight; // address in the model; NULL: the second operand is an activation
};
struct loam_bench_sequence {
    struct loam_bench_product *items;
    size_t count;
    size_t capacity;
    struct loam_error failure; // of recording
};

// For struct loam_trace.watch; `user` is the sequence.
void loam_bench_sequence_watch(void *user, enum loam_op_id op, const void *args);
enum loam_status loam_bench_sequence_add(struct loam_bench_sequence *sequence,
                                         const struct loam_bench_product *item, struct loam_error *error);
void loam_bench_sequence_clear(struct loam_bench_sequence *sequence);
void loam_bench_sequence_deinit(struct loam_bench_sequence *sequence);

bool loam_bench_same_product(const struct loam_product *a, const struct loam_product *b);
double loam_bench_product_flops(const struct loam_product *product); // 2 m n k
int64_t loam_bench_weight_bytes(const struct loam_product *product); // of its second operand

#endif
