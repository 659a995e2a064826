// Initial values of A and B, by the names of PEFT's init_lora_weights:
//
//     gaussian       A ~ N(0, 1 / r^2), B = 0
//     true, kaiming  A ~ U(-1 / sqrt(in), 1 / sqrt(in)), B = 0
//     false          A as with true, B ~ U(-1 / sqrt(r), 1 / sqrt(r))
//     orthogonal     A and B random, with B A = 0 up to rounding; r is even
//     pissa          W = U S VT: A = sqrt(S / scale) VT, B = U sqrt(S / scale), of the r largest singular values
//     pissa_niter_N  the same, by N subspace iterations from random vectors
//     (of an embedding: B = 0 and A ~ N(0, 1) with any name, and both N(0, 1) with false)
//     olora          W = Q R: A = the first r rows of R, B = the first r columns of Q
//
// PiSSA and OLoRA take their B A from the base, which becomes W - scale B0 A0.
#ifndef LOAM_LORA_INIT_H
#define LOAM_LORA_INIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum loam_lora_init {
    LOAM_LORA_GAUSSIAN,
    LOAM_LORA_KAIMING,
    LOAM_LORA_RANDOM,
    LOAM_LORA_ORTHOGONAL,
    LOAM_LORA_PISSA,
    LOAM_LORA_OLORA,
};

struct loam_lora_init_choice {
    enum loam_lora_init kind;
    int iterations; // of LOAM_LORA_PISSA; -1: an exact decomposition
};

// Parses a name in any case; NULL is gaussian.
enum loam_status loam_lora_init_parse(struct loam_lora_init_choice *init, const char *name,
                                      struct loam_error *error);
// Returns what a saved adapter has as init_lora_weights: "true" where the base was changed, because a saved
// adapter is for the original base.
const char *loam_lora_init_written(const struct loam_lora_init_choice *init);
// Returns whether a part of the base is taken.
bool loam_lora_init_takes(const struct loam_lora_init_choice *init);

// The sizes of a module.
struct loam_lora_module {
    const char *path;
    int64_t rank, in, out;
    float scale;
    uint32_t index; // keeps the random numbers of modules apart
};
// Computes a [rank, in], b [out, rank] and the bias of B [out], zeroed before; NULL: there is no bias. `weight` [out, in] is overwritten; only an
// initialisation that takes a part of the base reads it. A taken part does not depend on `seed`, so that it can
// be computed again.
enum loam_status loam_lora_init_compute(const struct loam_lora_init_choice *init,
                                        const struct loam_lora_module *module, uint64_t seed, float *weight,
                                        float *a, float *b, float *bias, struct loam_error *error);
// Computes the initial values of an embedding of `in` columns and `out` tokens, whose b starts from zero and whose a is
// N(0, 1), or both so with false.
void loam_lora_init_embedding(const struct loam_lora_init_choice *init, const struct loam_lora_module *module,
                              uint64_t seed, float *a, float *b);

#endif
