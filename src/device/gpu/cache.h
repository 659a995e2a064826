// Compiled kernels in the user's cache directory.
#ifndef LOAM_DEVICE_GPU_CACHE_H
#define LOAM_DEVICE_GPU_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

// Code in a file. A file that is damaged, or of another key, counts as absent.
struct loam_gpu_cache {
    char path[512]; // empty: there is no directory for it
    uint64_t key;   // of all that the code depends on
};
// Finds $XDG_CACHE_HOME/loam, or ~/.cache/loam. `target`, as "sm_80", is a part of the file's name.
void loam_gpu_cache_init(struct loam_gpu_cache *cache, const char *target, uint64_t key);
// Whether `code` was read.
bool loam_gpu_cache_read(const struct loam_gpu_cache *cache, struct loam_bytes *code);
// A failure only makes the next start compile again.
void loam_gpu_cache_write(const struct loam_gpu_cache *cache, const struct loam_bytes *code);

// FNV-1a of 64 bits, continued from `hash`.
#define LOAM_HASH_START 0xcbf29ce484222325u
static inline uint64_t loam_hash(uint64_t hash, const void *data, size_t bytes)
{
    const unsigned char *byte = data;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ byte[i]) * 0x100000001b3u;
    return hash;
}

#endif
