#include "data/text_set.h"

#include <stdlib.h>

#include "base/heap.h"
#include "text/unicode.h"

static const uint64_t hash_start = UINT64_C(0xcbf29ce484222325);
static const uint64_t hash_prime = UINT64_C(0x100000001b3);

static uint64_t add_bytes(uint64_t hash, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * hash_prime;
    return hash;
}

// Spreads the bits, since the set takes the lowest as an index.
static uint64_t mix(uint64_t hash)
{
    hash ^= hash >> 32;
    hash *= UINT64_C(0xd6e8feb86659fd93);
    return hash ^ hash >> 32;
}

uint64_t loam_text_hash(const char *text, size_t size)
{
    return mix(add_bytes(hash_start, text, size));
}

uint64_t loam_text_hash_normalized(const char *text, size_t size)
{
    uint64_t hash = hash_start;
    bool begun = false, space = false;
    for (size_t at = 0, length; at < size; at += length) {
        int32_t code_point = loam_utf8_decode(text + at, &length);
        if (loam_char_is_whitespace(code_point)) {
            space = begun;
            continue;
        }
        char lower[LOAM_UTF8_MAX] = "";
        if (space) hash = add_bytes(hash, " ", 1);
        hash = add_bytes(hash, lower, loam_utf8_encode(loam_char_lower(code_point), lower));
        begun = true;
        space = false;
    }
    return mix(hash);
}

void loam_text_set_deinit(struct loam_text_set *set)
{
    free(set->entries);
    *set = (struct loam_text_set){0};
}

// The entry of the hash, or the free one where it belongs. The set has a free entry.
static struct loam_text_entry *find_entry(const struct loam_text_set *set, uint64_t hash)
{
    size_t at = (size_t)hash & (set->capacity - 1);
    while (set->entries[at].value != 0 && set->entries[at].hash != hash)
        at = (at + 1) & (set->capacity - 1);
    return &set->entries[at];
}

static enum loam_status grow(struct loam_text_set *set, struct loam_error *error)
{
    enum { FIRST_CAPACITY = 64 };
    struct loam_text_set grown = {.capacity = set->capacity == 0 ? FIRST_CAPACITY : 2 * set->capacity};
    grown.entries = loam_calloc(grown.capacity, sizeof *grown.entries, error);
    if (grown.entries == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < set->capacity; i++)
        if (set->entries[i].value != 0) *find_entry(&grown, set->entries[i].hash) = set->entries[i];
    grown.count = set->count;
    free(set->entries);
    *set = grown;
    return LOAM_OK;
}

enum loam_status loam_text_set_add(struct loam_text_set *set, uint64_t hash, size_t index, size_t *earlier,
                                   struct loam_error *error)
{
    if (2 * set->count >= set->capacity) LOAM_TRY(grow(set, error));
    struct loam_text_entry *entry = find_entry(set, hash);
    *earlier = entry->value - 1; // SIZE_MAX where the entry is free
    if (entry->value != 0) return LOAM_OK;
    *entry = (struct loam_text_entry){.hash = hash, .value = index + 1};
    set->count++;
    return LOAM_OK;
}

size_t loam_text_set_find(const struct loam_text_set *set, uint64_t hash)
{
    return set->count == 0 ? SIZE_MAX : find_entry(set, hash)->value - 1;
}
