// The sources of the kernels, which the build embeds for the compilers of drivers. Files include each other by name.
#ifndef LOAM_DEVICE_GPU_SOURCES_H
#define LOAM_DEVICE_GPU_SOURCES_H

#include <string.h>

#include "device/gpu/cache.h"

struct loam_gpu_source {
    const char *name;
    const char *text;
};
extern const struct loam_gpu_source loam_gpu_sources[];
extern const int loam_gpu_source_count;

#define LOAM_GPU_MAIN_SOURCE "device/gpu/kernels/kernels.cu" // includes every kernel

// The hash of all sources, continued from `hash`.
static inline uint64_t loam_gpu_hash_sources(uint64_t hash)
{
    for (int i = 0; i < loam_gpu_source_count; i++) {
        hash = loam_hash(hash, loam_gpu_sources[i].name, strlen(loam_gpu_sources[i].name) + 1);
        hash = loam_hash(hash, loam_gpu_sources[i].text, strlen(loam_gpu_sources[i].text) + 1);
    }
    return hash;
}

#endif
