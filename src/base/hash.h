#ifndef LOAM_BASE_HASH_H
#define LOAM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

// A hash of bytes: multiply and fold, eight bytes at a time.
static inline uint32_t loam_hash_bytes(const char *bytes, size_t size)
{
    const uint64_t odd = UINT64_C(0x9E3779B97F4A7C15);
    uint64_t hash = size * odd;
    for (size_t at = 0; at < size; at += 8) {
        uint64_t word = 0;
        memcpy(&word, bytes + at, size - at < 8 ? size - at : 8);
        hash = (hash ^ word) * odd;
        hash ^= hash >> 29;
    }
    return (uint32_t)((hash * odd) >> 32);
}

#endif
