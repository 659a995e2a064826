#include "generate/generate.h"

#include "base/decimal.h"

double loam_generate_cache_bytes(const struct loam_config *config, enum loam_dtype dtype, int64_t context)
{
    // Keys and values [layers, 2, context, kv_heads, head_dim].
    return 2.0 * (double)config->layers * (double)context * (double)config->kv_heads *
           (double)config->head_dim * (double)loam_dtype_size(dtype);
}

bool loam_generation_stops_at(const struct loam_generation *generation, int32_t id)
{
    for (size_t i = 0; i < generation->stop_count; i++)
        if (generation->stop_ids[i] == id) return true;
    return loam_special_tokens_is_stop(generation->special, id);
}

enum loam_status loam_generate_check_memory(const struct loam_device *device,
                                            const struct loam_config *config, enum loam_dtype dtype,
                                            int64_t context, const char *option, int64_t value,
                                            struct loam_error *error)
{
    const double bytes = loam_generate_cache_bytes(config, dtype, context);
    const struct loam_free_memory memory = loam_device_free_memory(device);
    if (bytes <= (double)memory.bytes) return LOAM_OK;
    char needed[LOAM_MEMORY_SIZE], left[LOAM_MEMORY_SIZE];
    loam_memory_format_both(bytes < (double)SIZE_MAX ? (size_t)bytes : SIZE_MAX, memory.bytes, needed, left);
    return loam_fail(error, LOAM_ERROR_MEMORY,
                     "--%s %lld: the keys and values of %lld tokens take %s, and %s has %s left; "
                     "ask for fewer",
                     option, (long long)value, (long long)context, needed, memory.by, left);
}
