// Compares the logits of a merged model with those of its base with the adapter, on a prompt.
#ifndef LOAM_COMMANDS_MERGE_CHECK_H
#define LOAM_COMMANDS_MERGE_CHECK_H

#include "session/session.h"

struct loam_merge_check {
    float *expected; // [count, V] logits of base and adapters
    int32_t *ids;    // [count] ids of the prompt
    int32_t count;
    int64_t vocabulary; // V
    double largest;     // largest |difference| of two logits
    double divergence;  // KL(base + adapter || merged) in nats, mean over the tokens
};

// Encodes the prompt. Needs no weights, so that errors come before a model is written.
enum loam_status loam_merge_check_open(struct loam_merge_check *check,
                                       const struct loam_session_options *options, const char *prompt,
                                       struct loam_error *error);
// Computes and compares the logits of both models, one after the other, in the dtype of `options`.
enum loam_status loam_merge_check_run(struct loam_merge_check *check,
                                      const struct loam_session_options *options,
                                      const struct loam_adapter_choices *adapters, const char *merged,
                                      struct loam_error *error);
// Adds one of the `count` tokens, whose logits are p and q [V].
void loam_merge_check_add(struct loam_merge_check *check, const float *p, const float *q);
void loam_merge_check_deinit(struct loam_merge_check *check);

#endif
