// How text is generated: how tokens are chosen, where generation ends, and what its cache takes.
#ifndef LOAM_GENERATE_GENERATE_H
#define LOAM_GENERATE_GENERATE_H

#include "model/decoder.h"
#include "text/prompt.h"
#include "text/special.h"

enum { LOAM_PROMPT_CHUNK = 512 }; // tokens of a prompt that are fed at once

struct loam_sampling {
    double temperature;        // 0: greedy
    int32_t top_k;             // 0: all
    double top_p;              // 1: all
    double repetition_penalty; // 1: none (Keskar et al. 2019); over prompt and output, as Hugging Face does
    uint64_t seed;
    const bool *allowed; // [vocabulary] ids that may be chosen, at least one; NULL: all
};

struct loam_generation {
    int32_t max_new_tokens;
    int32_t vocabulary; // tokens of the tokenizer: ids from it on, which the head may have, are never chosen
    struct loam_sampling sampling;
    const struct loam_special_tokens *special; // generation stops at any of its eos_ids
    struct loam_healing *healing;              // what the first tokens must spell; NULL: nothing
};

// Picks the next id from logits [V], which the repetition penalty changes. `history` are the tokens so far;
// `draw` counts the draws. As Hugging Face orders it: penalty, temperature, top-k, top-p. Logits that are not
// finite are LOAM_ERROR_NUMERIC.
enum loam_status loam_sample(const struct loam_sampling *sampling, float *logits, int32_t vocabulary,
                             const int32_t *history, size_t history_count, uint64_t draw, int32_t *id,
                             struct loam_error *error);

// Refuses a cache of `context` rows that is larger than what the device has free, before any of it is
// allocated. `max_new_tokens` is for the message.
enum loam_status loam_generate_check_memory(const struct loam_device *device,
                                            const struct loam_config *config, enum loam_dtype dtype,
                                            int64_t context, int64_t max_new_tokens,
                                            struct loam_error *error);

#endif
