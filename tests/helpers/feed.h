// Tokens through the KV cache of a decoder with one sequence.
#ifndef TEST_FEED_H
#define TEST_FEED_H

#include "model/decoder.h"

// Feeds `count` tokens to sequence 0 and gives the logits [V] of the last one.
enum loam_status test_feed(struct loam_decoder *decoder, const int32_t *ids, int32_t count, float *logits,
                           struct loam_error *error);

#endif
