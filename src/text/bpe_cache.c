#include "text/bpe_cache.h"

#include "base/heap.h"

enum { ENTRIES = 1 << 13 }; // one for each hash: a new stretch replaces the one that has its place

struct loam_bpe_cache {
    struct loam_bpe_cached entries[ENTRIES];
};

struct loam_bpe_cache *loam_bpe_cache_create(struct loam_error *error)
{
    return loam_calloc(1, sizeof(struct loam_bpe_cache), error);
}

static uint32_t hash_characters(const struct loam_bpe_token *tokens, size_t count)
{
    const uint64_t odd = UINT64_C(0x9E3779B97F4A7C15);
    uint64_t hash = count;
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ (uint32_t)tokens[i].id) * odd;
    return (uint32_t)(hash >> 32);
}

static bool is_same(const struct loam_bpe_cached *entry, const struct loam_bpe_token *tokens, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (entry->characters[i] != tokens[i].id) return false;
    return true;
}

bool loam_bpe_cache_merge(const struct loam_bpe_cache *cache, struct loam_bpe_token *tokens, size_t count)
{
    if (count > LOAM_CACHED_CHARACTERS) return false;
    const uint32_t hash = hash_characters(tokens, count);
    const struct loam_bpe_cached *entry = &cache->entries[hash % ENTRIES];
    if (entry->hash != hash || entry->count != count || !is_same(entry, tokens, count)) return false;
    for (size_t i = 0, at = 0; i < entry->token_count; i++) {
        struct loam_bpe_token *token = &tokens[at];
        token->id = entry->tokens[i];
        for (const size_t end = at++ + entry->parts[i]; at < end; at++) {
            token->size += tokens[at].size;
            tokens[at].size = 0;
        }
    }
    return true;
}

struct loam_bpe_cached *loam_bpe_cache_begin(struct loam_bpe_cache *cache,
                                             const struct loam_bpe_token *tokens, size_t count)
{
    if (count > LOAM_CACHED_CHARACTERS) return NULL;
    const uint32_t hash = hash_characters(tokens, count);
    struct loam_bpe_cached *entry = &cache->entries[hash % ENTRIES];
    entry->hash = hash;
    entry->count = 0;
    for (size_t i = 0; i < count; i++)
        entry->characters[i] = tokens[i].id;
    return entry;
}

void loam_bpe_cache_complete(struct loam_bpe_cached *entry, const struct loam_bpe_token *tokens, size_t count)
{
    entry->token_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (tokens[i].size == 0) {
            entry->parts[entry->token_count - 1]++;
            continue;
        }
        if (entry->token_count == LOAM_CACHED_TOKENS) return; // stays empty
        entry->tokens[entry->token_count] = tokens[i].id;
        entry->parts[entry->token_count++] = 1;
    }
    entry->count = (uint8_t)count;
}
