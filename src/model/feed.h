// Sequences in the KV cache of a decoder, and passes over tokens that follow those there.
#ifndef LOAM_MODEL_FEED_H
#define LOAM_MODEL_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct loam_decoder;
struct loam_top;

int32_t loam_decoder_context(const struct loam_decoder *decoder); // rows of the cache for each sequence
// Forgets the tokens of a sequence from `length` on; it has as many or more.
void loam_decoder_cache_truncate(struct loam_decoder *decoder, int32_t sequence, int32_t length);
// Makes the first `length` tokens of `from` those of sequence `to`, in place of what it has. `from` has as
// many or more, computed with the adapters and, where RoPE depends on it, the length that `to` will have.
enum loam_status loam_decoder_cache_copy(struct loam_decoder *decoder, int32_t from, int32_t to,
                                         int32_t length, struct loam_error *error);

// Tokens that follow those of a sequence in the cache.
struct loam_feed {
    int32_t sequence;
    const int32_t *ids; // [count]
    int32_t count;
    // Of one of the tokens.
    float *logits;        // [V]; NULL: they are not copied
    struct loam_top *top; // the largest; NULL: they are not searched
    bool holds_logits;    // they stay on the device until the next pass (loam_decoder_held_logits)
    int32_t logits_token; // among the count
    // [count] The label of each token, or LOAM_NO_TARGET. Needs limits.evaluate. NULL: none.
    const int32_t *targets;
    float *losses; // [count] cross entropy of each token with a label; others are left as they are
};
// One pass over tokens of several sequences, in ascending order of their numbers: at most limits.tokens in
// all. The tokens of a single sequence may be more; they go in passes of limits.tokens. The rows of the
// segments are those of the feeds, one after the other. After a failure the cache has what it had before.
// LOAM_ERROR_ARGUMENT when the context of a sequence is full.
enum loam_status loam_decoder_feed_packed(struct loam_decoder *decoder, const struct loam_feed *feeds,
                                          int32_t count, struct loam_error *error);
// Gives the logits [V] that the last pass holds of a token of `sequence`.
enum loam_status loam_decoder_held_logits(struct loam_decoder *decoder, int32_t sequence, float *logits,
                                          struct loam_error *error);

#endif
