// The kernels as code for a GPU: compiled by NVRTC at the first use, and kept in the user's cache directory.
#ifndef LOAM_DEVICE_GPU_CUDA_CODE_H
#define LOAM_DEVICE_GPU_CUDA_CODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

// The sources of the kernels, which the build embeds. Files include each other by name.
struct loam_gpu_source {
    const char *name;
    const char *text;
};
extern const struct loam_gpu_source loam_gpu_sources[];
extern const int loam_gpu_source_count;

// Appends code for compute capability `capability` (80 for 8.0) that a driver of `driver_version` takes.
// `from` gets where it comes from. LOAM_ERROR_UNSUPPORTED, with what to install, where there is no compiler.
enum loam_status loam_cuda_code_make(struct loam_bytes *code, int capability, int driver_version, char *from,
                                     size_t from_bytes, struct loam_error *error);

// Code in a file. A file that is damaged, or of another key, is as good as none.
struct loam_cuda_cache {
    char path[512]; // empty: there is no directory for it
    uint64_t key;   // of all that the code depends on
};
// Finds $XDG_CACHE_HOME/loam, or ~/.cache/loam.
void loam_cuda_cache_init(struct loam_cuda_cache *cache, int capability, uint64_t key);
// Whether `code` was read.
bool loam_cuda_cache_read(const struct loam_cuda_cache *cache, struct loam_bytes *code);
// A failure only makes the next start compile again.
void loam_cuda_cache_write(const struct loam_cuda_cache *cache, const struct loam_bytes *code);

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
