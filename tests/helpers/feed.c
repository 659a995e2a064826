#include "helpers/feed.h"

enum loam_status test_feed(struct loam_decoder *decoder, const int32_t *ids, int32_t count, float *logits,
                           struct loam_error *error)
{
    const struct loam_feed feed = {.ids = ids, .count = count, .logits = logits, .logits_token = count - 1};
    return loam_decoder_feed_packed(decoder, &feed, 1, error);
}
