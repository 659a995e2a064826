// The key/value cache of generation.
#include <string.h>

#include "device/cpu/simd/level.h"

static enum loam_status kv_append(struct loam_stream *stream, const struct loam_kv_append_args *args)
{
    const int64_t rows = args->x.shape[0], groups = args->x.shape[1];
    const size_t bytes = (size_t)args->x.shape[2] * loam_dtype_size(args->x.dtype);
#pragma omp parallel for schedule(static) if (rows > 1) num_threads(cpu_threads(stream))
    for (int64_t t = 0; t < rows; t++)
        for (int64_t group = 0; group < groups; group++)
            memcpy(cpu_head(&args->cache, args->first + t, group), cpu_head(&args->x, t, group), bytes);
    return LOAM_OK;
}

void CPU_OVERRIDES(kv_cache)(struct loam_op_table *ops)
{
    ops->kv_append.run = kv_append;
}
