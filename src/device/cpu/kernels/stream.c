// The scaled addition to the residual stream, and casts.
#include "device/cpu/kernels/spans.h"

// y = residual + factor x, of a span. dtype and `adds`, whether there is a residual, are constants where this
// is called.
INLINE void add_span(const struct loam_add_scaled_args *args, const struct span *span, bool bf16, bool adds)
{
    const void *x = cpu_row(&args->x, span->row);
    const void *residual = adds ? cpu_row(&args->residual, span->row) : NULL;
    void *y = cpu_row(&args->y, span->row);
    for (int64_t i = span->first; i < span->last; i += LANES) {
        vec value = args->factor * load(x, i, span->last, bf16);
        if (adds) value += load(residual, i, span->last, bf16);
        store(y, i, span->last, value, bf16);
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
    const bool bf16 = args->x.dtype == LOAM_BF16, adds = args->residual.data != NULL;
#pragma omp parallel for schedule(static) num_threads(cpu_threads(stream)) if (spans.count > 1)
    for (int64_t i = 0; i < spans.count; i++) {
        const struct span span = span_at(&spans, i);
        if (bf16 && adds)
            add_span(args, &span, true, true);
        else if (bf16)
            add_span(args, &span, true, false);
        else if (adds)
            add_span(args, &span, false, true);
        else
            add_span(args, &span, false, false);
    }
    return LOAM_OK;
}

static enum loam_status cast(struct loam_stream *stream, const struct loam_cast_args *args)
{
    const bool contiguous = loam_tensor_contiguous(&args->x) && loam_tensor_contiguous(&args->y);
    const struct spans spans = cut_spans(args->x.shape[0], args->x.shape[1], contiguous);
    const bool from_bf16 = args->x.dtype == LOAM_BF16, to_bf16 = args->y.dtype == LOAM_BF16;
#pragma omp parallel for schedule(static) num_threads(cpu_threads(stream)) if (spans.count > 1)
    for (int64_t i = 0; i < spans.count; i++) {
        const struct span span = span_at(&spans, i);
        const void *x = cpu_row(&args->x, span.row);
        void *y = cpu_row(&args->y, span.row);
        for (int64_t j = span.first; j < span.last; j += LANES)
            store(y, j, span.last, load(x, j, span.last, from_bf16), to_bf16);
    }
    return LOAM_OK;
}

void CPU_NAME(stream)(struct loam_op_table *ops)
{
    ops->add_scaled.run = add_scaled;
    ops->cast.run = cast;
}
