// Ops that copy rows.
#include <string.h>

#include "device/cpu/cpu.h"

static enum loam_status gather_rows(struct loam_stream *stream, const struct loam_gather_rows_args *args)
{
    const int32_t *rows = args->rows.data;
    const int64_t count = loam_tensor_count(&args->rows);
    const size_t bytes = (size_t)args->y.shape[1] * loam_dtype_size(args->y.dtype);
#pragma omp parallel for schedule(static) if (count > 1) num_threads(cpu_threads(stream))
    for (int64_t i = 0; i < count; i++)
        memcpy(cpu_row(&args->y, i), cpu_row(&args->x, rows[i]), bytes);
    return LOAM_OK;
}

// The key/value cache of generation.
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

void loam_cpu_row_ops(struct loam_op_table *ops)
{
    ops->gather_rows.run = gather_rows;
    ops->kv_append.run = kv_append;
}
