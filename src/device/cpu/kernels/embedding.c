// Token embedding: rows are gathered forward, and added backward by blocks of columns, so that sums run in
// token order.
#include "device/cpu/kernels/vector.h"

enum { COLUMNS = 16 * LANES }; // columns of a task of the backward

static enum loam_status embedding_forward(struct loam_stream *stream,
                                          const struct loam_embedding_forward_args *args)
{
    const int32_t *ids = args->ids.data;
    const int64_t tokens = loam_tensor_count(&args->ids), n = args->table.shape[1];
    const bool bf16 = args->y.dtype == LOAM_BF16;
#pragma omp parallel for schedule(static) if (tokens > 1) num_threads(cpu_threads(stream))
    for (int64_t t = 0; t < tokens; t++)
        for (int64_t i = 0; i < n; i += LANES)
            store(cpu_row(&args->y, t), i, n,
                  load_any(cpu_row(&args->table, ids[t]), i, n, args->table.dtype), bf16);
    return LOAM_OK;
}

static enum loam_status embedding_backward(struct loam_stream *stream,
                                           const struct loam_embedding_backward_args *args)
{
    const int32_t *ids = args->ids.data;
    const int64_t tokens = loam_tensor_count(&args->ids), n = args->dy.shape[1];
    const bool bf16 = args->dy.dtype == LOAM_BF16;
#pragma omp parallel for schedule(static) num_threads(cpu_threads(stream))
    for (int64_t first = 0; first < n; first += COLUMNS) {
        const int64_t last = first + COLUMNS < n ? first + COLUMNS : n;
        for (int64_t t = 0; t < tokens; t++) {
            const void *dy = cpu_row(&args->dy, t);
            float *row = cpu_row(&args->dtable, ids[t]);
            for (int64_t i = first; i < last; i += LANES)
                store(row, i, last, load(row, i, last, false) + load(dy, i, last, bf16), false);
        }
    }
    return LOAM_OK;
}

void CPU_NAME(embedding)(struct loam_op_table *ops)
{
    ops->embedding_forward.run = embedding_forward;
    ops->embedding_backward.run = embedding_backward;
}
