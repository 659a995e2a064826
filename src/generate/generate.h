// Generation: sampling from the decoder's logits until an end token, streamed as text.
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
    double repetition_penalty; // 1: none (Keskar et al. 2019, as Hugging Face applies it: over prompt and
                               // output)
    uint64_t seed;
    const bool *allowed; // [vocabulary] ids that may be chosen, at least one; NULL: all
};

struct loam_generation {
    int32_t max_new_tokens;
    int32_t
        vocabulary; // ids from it on are never chosen: the head may have more rows than the tokenizer tokens
    struct loam_sampling sampling;
    const struct loam_special_tokens *special; // generation stops at any of its eos_ids
    struct loam_healing *healing;              // what the first tokens must spell; NULL: nothing
    // Receives each token as it comes; returns false to stop. NULL: none.
    bool (*token)(void *user, int32_t id);
    // Called between the pieces of a long prompt; returns false to stop. NULL: none.
    bool (*piece)(void *user);
    void *user;
};

// Why generation ended.
enum loam_finish {
    LOAM_FINISH_STOP,    // at an end token, or because the caller stopped it
    LOAM_FINISH_LENGTH,  // max_new_tokens are there
    LOAM_FINISH_CONTEXT, // the decoder's context is full
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

// Feeds `prompt` into an empty cache and appends the generated ids (the end token not included) to `output`,
// which has room for max_new_tokens, or for as many as the context leaves. `*finish` (NULL: not wanted) says
// why it ended.
enum loam_status loam_generate_ids(struct loam_decoder *decoder, const int32_t *prompt, int32_t prompt_count,
                                   const struct loam_generation *generation, int32_t *output,
                                   int32_t *output_count, enum loam_finish *finish, struct loam_error *error);

#endif
