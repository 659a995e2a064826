// What stretches of a word merge to, remembered from word to word. Text repeats its words, and a stretch of the same
// characters always merges to the same tokens.
#ifndef LOAM_TEXT_BPE_CACHE_H
#define LOAM_TEXT_BPE_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "text/bpe_token.h"

enum {
    LOAM_CACHED_CHARACTERS = 12, // longer stretches are not remembered
    LOAM_CACHED_TOKENS = 8,      // neither are those of more tokens
};

// A stretch and its tokens. `parts` is the number of characters that each token covers.
struct loam_bpe_cached {
    uint32_t hash;
    uint8_t count; // 0: an empty entry
    uint8_t token_count;
    uint8_t parts[LOAM_CACHED_TOKENS];
    int32_t characters[LOAM_CACHED_CHARACTERS]; // [count] ids
    int32_t tokens[LOAM_CACHED_TOKENS];         // [token_count] ids
};

// NULL: out of memory, with a filled error.
struct loam_bpe_cache *loam_bpe_cache_create(struct loam_error *error);

// Replaces `count` characters by the tokens that they merge to: tokens that are merged into the one before have size 0. False:
// the stretch is not known.
bool loam_bpe_cache_merge(const struct loam_bpe_cache *cache, struct loam_bpe_token *tokens, size_t count);

// Begins to remember a stretch before it is merged; NULL: it is too long.
struct loam_bpe_cached *loam_bpe_cache_begin(struct loam_bpe_cache *cache,
                                             const struct loam_bpe_token *tokens, size_t count);
// Completes it with the merged tokens.
void loam_bpe_cache_complete(struct loam_bpe_cached *entry, const struct loam_bpe_token *tokens,
                             size_t count);

#endif
