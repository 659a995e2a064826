// The logits of generation.
#include "device/cpu/kernels/logits.h"
#include "device/cpu/kernels/spans.h"

static enum loam_status cap_logits(struct loam_stream *stream, const struct loam_cap_logits_args *args)
{
    const struct spans spans = cut_spans(1, loam_tensor_count(&args->x), true);
    float *x = args->x.data;
#pragma omp parallel for schedule(static) if (spans.count > 1) num_threads(cpu_threads(stream))
    for (int64_t i = 0; i < spans.count; i++) {
        const struct span span = span_at(&spans, i);
        for (int64_t j = span.first; j < span.last; j += LANES)
            store(x, j, span.last,
                  cap_logits_vec(args->factor * load(x, j, span.last, false), args->softcap).value, false);
    }
    return LOAM_OK;
}

void CPU_NAME(logits)(struct loam_op_table *ops)
{
    ops->cap_logits.run = cap_logits;
}
