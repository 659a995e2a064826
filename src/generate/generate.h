// Settings of generation: sampling, stop conditions, and the memory of the KV cache.
#ifndef LOAM_GENERATE_GENERATE_H
#define LOAM_GENERATE_GENERATE_H

#include "model/decoder.h"
#include "text/prompt.h"
#include "text/special.h"

enum { LOAM_PROMPT_CHUNK = 512 }; // tokens of a prompt in one pass

struct loam_sampling {
    double temperature; // 0: greedy
    int32_t top_k;      // 0: all
    double top_p;       // 1: all
    double min_p;       // 0: all; else those at least min_p times as likely as the likeliest
    // 1: none. Keskar et al. 2019, over prompt and output as in Hugging Face.
    double repetition_penalty;
    uint64_t seed;
    const bool *allowed; // [vocabulary] ids that may be chosen, at least one; NULL: all
};

struct loam_generation {
    int32_t max_new_tokens;
    // Ids from this one on are never chosen: a head may have more rows than the tokenizer has tokens.
    int32_t vocabulary;
    struct loam_sampling sampling;
    const struct loam_special_tokens *special; // generation stops at any of its eos_ids
    const int32_t *stop_ids;                   // [stop_count] and at any of these
    size_t stop_count;
    struct loam_healing *healing; // text that the first tokens must spell; NULL: none
};

// Whether generation stops at the id.
bool loam_generation_stops_at(const struct loam_generation *generation, int32_t id);

// Chooses the next id from logits [vocabulary], which the repetition penalty changes in place. `history`
// holds the tokens so far. `draw` is the number of earlier draws. The order is Hugging Face's: penalty,
// temperature, top-k, top-p, min-p. Logits that are not finite are LOAM_ERROR_NUMERIC.
enum loam_status loam_sample(const struct loam_sampling *sampling, float *logits, int32_t vocabulary,
                             const int32_t *history, size_t history_count, uint64_t draw, int32_t *id,
                             struct loam_error *error);

// Bytes of the keys and values of `context` tokens.
double loam_generate_cache_bytes(const struct loam_config *config, enum loam_dtype dtype, int64_t context);
// Fails if a cache of `context` rows is larger than the free memory of the device. Allocates nothing. The message names
// the option, without its dashes, that asks for so much, and its value.
enum loam_status loam_generate_check_memory(const struct loam_device *device,
                                            const struct loam_config *config, enum loam_dtype dtype,
                                            int64_t context, const char *option, int64_t value,
                                            struct loam_error *error);

#endif
