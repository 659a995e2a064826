// The scaled addition to the residual stream.
#include "device/cpu/kernels/vector.h"

enum { CHUNK = 4096 }; // elements of a task

// Elements [first, last) of y.
INLINE void add_span(const struct loam_add_scaled_args *args, int64_t first, int64_t last, bool bf16)
{
    const void *residual = args->residual.data;
    for (int64_t i = first; i < last; i += LANES) {
        const vec scaled = args->factor * load(args->x.data, i, last, bf16);
        store(args->y.data, i, last, residual == NULL ? scaled : load(residual, i, last, bf16) + scaled,
              bf16);
    }
}

static enum loam_status add_scaled(struct loam_stream *stream, const struct loam_add_scaled_args *args)
{
    const int64_t n = loam_tensor_count(&args->x);
    const bool bf16 = args->x.dtype == LOAM_BF16;
#pragma omp parallel for schedule(static) num_threads(cpu_threads(stream)) if (n > CHUNK)
    for (int64_t first = 0; first < n; first += CHUNK) {
        const int64_t last = first + CHUNK < n ? first + CHUNK : n;
        if (bf16)
            add_span(args, first, last, true);
        else
            add_span(args, first, last, false);
    }
    return LOAM_OK;
}

void CPU_NAME(stream)(struct loam_op_table *ops)
{
    ops->add_scaled.run = add_scaled;
}
