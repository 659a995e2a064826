// The gradient of a linear's bias, by blocks of columns, so that sums run in token order.
#include "device/cpu/kernels/vector.h"

enum { COLUMNS = 8 * LANES }; // columns of a task

static enum loam_status bias_backward(struct loam_stream *stream, const struct loam_bias_backward_args *args)
{
    const int64_t rows = args->dy.shape[0], n = args->dy.shape[1];
    const bool bf16 = args->dy.dtype == LOAM_BF16;
    float *dbias = args->dbias.data;
#pragma omp parallel for schedule(static) num_threads(cpu_threads(stream))
    for (int64_t first = 0; first < n; first += COLUMNS) {
        const int64_t last = first + COLUMNS < n ? first + COLUMNS : n;
        for (int64_t t = 0; t < rows; t++) {
            const void *dy = cpu_row(&args->dy, t);
            for (int64_t i = first; i < last; i += LANES)
                store(dbias, i, last, load(dbias, i, last, false) + load(dy, i, last, bf16), false);
        }
    }
    return LOAM_OK;
}

void CPU_NAME(bias)(struct loam_op_table *ops)
{
    ops->bias_backward.run = bias_backward;
}
