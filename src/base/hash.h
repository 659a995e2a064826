#ifndef LOAM_BASE_HASH_H
#define LOAM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t loam_hash_word(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 29;
}

// A hash of bytes: multiply and fold, eight bytes at a time.
static inline uint32_t loam_hash_bytes(const char *bytes, size_t size)
{
    const uint64_t odd = UINT64_C(0x9E3779B97F4A7C15);
    uint64_t hash = size * odd, word = 0;
    size_t at = 0;
    for (; size - at >= sizeof word; at += sizeof word) {
        memcpy(&word, bytes + at, sizeof word);
        hash = loam_hash_word(hash, word);
    }
    if (at < size) {
        word = 0;
        memcpy(&word, bytes + at, size - at);
        hash = loam_hash_word(hash, word);
    }
    return (uint32_t)((hash * odd) >> 32);
}

#endif
