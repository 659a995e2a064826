// How far a merged model is from its base with the adapter: their logits on a prompt.
#ifndef LOAM_COMMANDS_MERGE_CHECK_H
#define LOAM_COMMANDS_MERGE_CHECK_H

#include "session/session.h"

struct loam_merge_check {
    float *expected; // [count, V] of base and adapter
    int32_t *ids;    // [count] the prompt
    int32_t count;
    int64_t vocabulary; // V
    double largest;     // |difference| of two logits
    double divergence;  // KL(base + adapter || merged) in nats, mean over the tokens
};

// Reads the prompt through the model's tokenizer; no weights yet, so that what is wrong is known before a
// model is written.
enum loam_status loam_merge_check_open(struct loam_merge_check *check,
                                       const struct loam_session_options *options, const char *prompt,
                                       struct loam_error *error);
// One model is in memory at a time, in the dtype of `options`, and logits of both.
enum loam_status loam_merge_check_run(struct loam_merge_check *check,
                                      const struct loam_session_options *options, const char *adapter,
                                      const char *merged, struct loam_error *error);
// Adds one of the `count` tokens, whose logits are p and q [V].
void loam_merge_check_add(struct loam_merge_check *check, const float *p, const float *q);
void loam_merge_check_deinit(struct loam_merge_check *check);

#endif
