// linear_forward of few tokens: it is bound by reading the weight, so the weight is read once, without
// packing.
#include "device/cpu/kernels/vector.h"

enum {
    FEW_TOKENS = 8,
    FEW_AT_ONCE = 2,       // tokens at a time, or one
    FEW_TASK = 128,        // weight rows of a task, at most
    STREAMS = 4,           // streams of rows in a task, read side by side
    PREFETCH_BYTES = 2048, // that a stream is fetched ahead, into the second cache
};

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static const void *offset_or_null(const struct loam_tensor *tensor, int64_t elements)
{
    if (tensor->data == NULL) return NULL;
    return (const char *)tensor->data + elements * (int64_t)loam_dtype_size(tensor->dtype);
}

// Columns [first, first + n) of one row of y: y = sums + bias + residual
static void finish_row(const struct loam_linear_forward_args *args, int64_t t, int64_t first, int64_t n,
                       const float *sums)
{
    const bool bf16 = args->y.dtype == LOAM_BF16, bias_bf16 = args->bias.dtype == LOAM_BF16;
    const int64_t size = (int64_t)loam_dtype_size(args->y.dtype);
    const void *bias = offset_or_null(&args->bias, first), *residual = NULL;
    if (args->residual.data != NULL) residual = (const char *)cpu_row(&args->residual, t) + first * size;
    void *y = (char *)cpu_row(&args->y, t) + first * size;
    for (int64_t i = 0; i < n; i += LANES) {
        vec value = load(sums, i, n, false);
        if (bias != NULL) value += load(bias, i, n, bias_bf16);
        if (residual != NULL) value += load(residual, i, n, bf16);
        store(y, i, n, value, bf16);
    }
}

// sums[t][j apart] = x[t] . w[j], rows of sums FEW_TASK apart, for `tokens` rows of x, k apart, and a row of
// each stream of w. What follows in memory is prefetched: the processor prefetches only within a page, and a
// row may be half a page.
INLINE void dot_rows(const float *x, int64_t k, const void *const w[STREAMS], int tokens,
                     enum loam_dtype dtype, float *sums, int64_t apart)
{
    enum { LINE = 64, UNROLL = LINE / 2 / LANES };
    const int64_t size = dtype == LOAM_F32 ? 4 : 2;
    vec sum[FEW_AT_ONCE][STREAMS];
#pragma GCC unroll 8
    for (int j = 0; j < STREAMS; j++)
        for (int t = 0; t < tokens; t++)
            sum[t][j] = splat(0);
    int64_t i = 0;
    for (; i + UNROLL * LANES <= k; i += UNROLL * LANES) {
#pragma GCC unroll 8
        for (int j = 0; j < STREAMS; j++) {
            const char *next = (const char *)w[j] + i * size + PREFETCH_BYTES;
            __builtin_prefetch(next, 0, 2);
            if (size == 4) __builtin_prefetch(next + LINE, 0, 2);
        }
#pragma GCC unroll 8
        for (int u = 0; u < UNROLL; u++)
#pragma GCC unroll 8
            for (int j = 0; j < STREAMS; j++) {
                const vec weight = load_any(w[j], i + u * LANES, INT64_MAX, dtype);
                for (int t = 0; t < tokens; t++)
                    sum[t][j] += load_f32(x + t * k + i + u * LANES) * weight;
            }
    }
    for (; i < k; i += LANES)
        for (int j = 0; j < STREAMS; j++)
            for (int t = 0; t < tokens; t++)
                sum[t][j] += load(x + t * k, i, k, false) * load_any(w[j], i, k, dtype);
    for (int j = 0; j < STREAMS; j++)
        for (int t = 0; t < tokens; t++)
            sums[t * FEW_TASK + j * apart] = sum_lanes(sum[t][j]);
}

// Rows [first, first + count) of w against every token, in streams of rows that lie one after the other.
INLINE void forward_few_rows(const struct loam_linear_forward_args *args, const float *x, int64_t first,
                             int64_t count, enum loam_dtype dtype)
{
    const struct loam_tensor *w = &args->w.tensor;
    const int64_t tokens = args->x.shape[0], k = args->x.shape[1], each = (count + STREAMS - 1) / STREAMS;
    float sums[FEW_TOKENS][FEW_TASK];
    for (int64_t i = 0; i < each; i++) {
        const void *rows[STREAMS]; // past the end the last row again, whose sums are not read
        for (int64_t j = 0; j < STREAMS; j++)
            rows[j] = cpu_row(w, first + min64(j * each + i, count - 1));
        for (int64_t t = 0; t < tokens; t += FEW_AT_ONCE) {
            if (tokens - t >= FEW_AT_ONCE)
                dot_rows(x + t * k, k, rows, FEW_AT_ONCE, dtype, &sums[t][i], each);
            else
                dot_rows(x + t * k, k, rows, 1, dtype, &sums[t][i], each);
        }
    }
    for (int64_t t = 0; t < tokens; t++)
        finish_row(args, t, first, count, sums[t]);
}

static size_t forward_few_scratch(const struct loam_linear_forward_args *args)
{
    return loam_scratch_bytes(FEW_TOKENS * args->x.shape[1], sizeof(float));
}

// The same number of tasks for every thread, of nearly the same size.
static int64_t few_tasks(int64_t n, int threads)
{
    const int64_t each_thread = (n + (int64_t)threads * FEW_TASK - 1) / ((int64_t)threads * FEW_TASK);
    return each_thread * threads;
}

static enum loam_status forward_few(struct loam_stream *stream, const struct loam_linear_forward_args *args)
{
    const struct loam_tensor *w = &args->w.tensor;
    const int64_t tokens = args->x.shape[0], k = args->x.shape[1], n = w->shape[0];
    float *x = loam_stream_scratch(stream, forward_few_scratch(args)); // [T, K]
    if (x == NULL) return LOAM_ERROR_INTERNAL;
    for (int64_t t = 0; t < tokens; t++)
        widen(x + t * k, cpu_row(&args->x, t), k, args->x.dtype == LOAM_BF16);
    const int64_t tasks = few_tasks(n, stream->device->threads);
#pragma omp parallel for schedule(dynamic) num_threads(cpu_threads(stream))
    for (int64_t task = 0; task < tasks; task++) {
        const int64_t first = n * task / tasks, count = n * (task + 1) / tasks - first;
        if (w->dtype == LOAM_F32) forward_few_rows(args, x, first, count, LOAM_F32);
        if (w->dtype == LOAM_BF16) forward_few_rows(args, x, first, count, LOAM_BF16);
        if (w->dtype == LOAM_F16) forward_few_rows(args, x, first, count, LOAM_F16);
    }
    return LOAM_OK;
}

const struct few_kernel CPU_NAME(few) = {FEW_TOKENS, forward_few_scratch, forward_few};
