// The largest logits of a row, which parts of it are searched for first.
#include "device/gpu/ops/ops.h"

enum { PART = 8192 }; // columns

// What the parts of all rows give.
struct parts {
    int64_t count; // of a row
    int64_t states;
    int64_t entries;
};

static struct parts parts_of(const struct loam_top_logits_args *args)
{
    struct parts parts = {.count = loam_blocks(args->x.shape[1], PART)};
    parts.states = args->x.shape[0] * parts.count * TOP_LOGITS_STATE;
    parts.entries = args->x.shape[0] * parts.count * args->values.shape[1];
    return parts;
}

size_t loam_gpu_top_logits_scratch(const struct loam_device *device, const struct loam_top_logits_args *args)
{
    const struct parts parts = parts_of(args);
    (void)device;
    return loam_scratch_bytes(parts.states, sizeof(u32)) + loam_scratch_bytes(parts.entries, sizeof(f32)) +
           loam_scratch_bytes(parts.entries, sizeof(i32));
}

enum loam_status loam_gpu_top_logits(struct loam_stream *stream, const struct loam_top_logits_args *args)
{
    const struct parts parts = parts_of(args);
    const int64_t rows = args->x.shape[0], k = args->values.shape[1];
    void *const states = loam_stream_scratch(stream, loam_scratch_bytes(parts.states, sizeof(u32)));
    void *const values = loam_stream_scratch(stream, loam_scratch_bytes(parts.entries, sizeof(f32)));
    void *const ids = loam_stream_scratch(stream, loam_scratch_bytes(parts.entries, sizeof(i32)));
    if (states == NULL || values == NULL || ids == NULL) return LOAM_ERROR_INTERNAL;
    const struct top_logits_params p = {.vocabulary = args->x.shape[1],
                                        .limit = args->limit,
                                        .parts = (i32)parts.count,
                                        .columns = PART,
                                        .k = (i32)k,
                                        .asked = args->asked.data != NULL ? (i32)args->asked.shape[1] : 0};
    LOAM_TRY(
        loam_gpu_launch(stream, &(struct loam_launch){.kernel = LOAM_KERNEL_top_logits_parts,
                                                      .grid = {rows * parts.count},
                                                      .shared = BLOCK_THREADS * sizeof(f32),
                                                      .buffers = {args->x.data, args->allowed.data,
                                                                  args->factors.data, values, ids, states},
                                                      LOAM_PARAMS(p)}));
    return loam_gpu_launch(
        stream, &(struct loam_launch){.kernel = LOAM_KERNEL_top_logits_rows,
                                      .grid = {rows},
                                      .shared = (size_t)(BLOCK_THREADS + 2 * k) * sizeof(f32),
                                      .buffers = {args->x.data, args->factors.data, args->asked.data, values,
                                                  ids, states, args->values.data, args->ids.data,
                                                  args->sums.data, args->faults.data, args->answers.data},
                                      LOAM_PARAMS(p)});
}
