// The scaled addition to the residual stream.
#include "device/cpu/kernels/spans.h"

// y = residual + factor x, of a span.
INLINE void add_span(const struct loam_add_scaled_args *args, const struct span *span, bool bf16)
{
    const void *x = cpu_row(&args->x, span->row);
    const void *residual = args->residual.data != NULL ? cpu_row(&args->residual, span->row) : NULL;
    void *y = cpu_row(&args->y, span->row);
    for (int64_t i = span->first; i < span->last; i += LANES) {
        const vec scaled = args->factor * load(x, i, span->last, bf16);
        store(y, i, span->last, residual == NULL ? scaled : load(residual, i, span->last, bf16) + scaled,
              bf16);
    }
}

static bool has_gaps(const struct loam_add_scaled_args *args)
{
    return !loam_tensor_contiguous(&args->x) || !loam_tensor_contiguous(&args->y) ||
           (args->residual.data != NULL && !loam_tensor_contiguous(&args->residual));
}

static enum loam_status add_scaled(struct loam_stream *stream, const struct loam_add_scaled_args *args)
{
    const struct spans spans = cut_spans(args->x.shape[0], args->x.shape[1], !has_gaps(args));
    const bool bf16 = args->x.dtype == LOAM_BF16;
#pragma omp parallel for schedule(static) num_threads(cpu_threads(stream)) if (spans.count > 1)
    for (int64_t i = 0; i < spans.count; i++) {
        const struct span span = span_at(&spans, i);
        if (bf16)
            add_span(args, &span, true);
        else
            add_span(args, &span, false);
    }
    return LOAM_OK;
}

void CPU_NAME(stream)(struct loam_op_table *ops)
{
    ops->add_scaled.run = add_scaled;
}
