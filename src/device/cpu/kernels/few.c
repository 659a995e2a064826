// linear_forward of few tokens: it is bound by reading the weight, so the weight is read once, without
// packing. A task is some columns of y: rows of a weight [N, K], or columns of a transposed one.
#include "device/cpu/kernels/vector.h"

enum {
    FEW_TOKENS = 8,
    FEW_AT_ONCE = 2,       // tokens at a time, or one
    FEW_TASK = 128,        // weight rows of a task, at most
    FEW_WIDE = 1024,       // columns of a transposed weight in a task, at most
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

// sums[t][j] += sum over `rows` rows of x[t][row] w[row][j], for `tokens` rows of x, k apart, and `columns`
// columns of w, whose rows are `apart` bytes apart. The same columns of the next rows are prefetched: they
// are on other pages.
INLINE void add_weight_rows(const float *x, int64_t k, const char *w, int64_t apart, int rows,
                            int64_t columns, int tokens, enum loam_dtype dtype, float *sums)
{
    const int64_t size = dtype == LOAM_F32 ? 4 : 2;
    for (int64_t j = 0; j < columns; j += LANES) {
        vec sum[FEW_AT_ONCE];
        for (int t = 0; t < tokens; t++)
            sum[t] = load(sums + t * FEW_WIDE, j, columns, false);
#pragma GCC unroll 4
        for (int row = 0; row < rows; row++) {
            __builtin_prefetch(w + (row + rows) * apart + j * size, 0, 2);
            const vec weight = load_any(w + row * apart, j, columns, dtype);
            for (int t = 0; t < tokens; t++)
                sum[t] += splat(x[t * k + row]) * weight;
        }
        for (int t = 0; t < tokens; t++)
            store(sums + t * FEW_WIDE, j, columns, sum[t], false);
    }
}

INLINE void add_rows_of_tokens(const float *x, int64_t tokens, int64_t k, const char *w, int64_t apart,
                               int rows, int64_t columns, enum loam_dtype dtype, float *sums)
{
    for (int64_t t = 0; t < tokens; t += FEW_AT_ONCE) {
        if (tokens - t >= FEW_AT_ONCE)
            add_weight_rows(x + t * k, k, w, apart, rows, columns, FEW_AT_ONCE, dtype, sums + t * FEW_WIDE);
        else
            add_weight_rows(x + t * k, k, w, apart, rows, columns, 1, dtype, sums + t * FEW_WIDE);
    }
}

// Columns [first, first + count) of a transposed weight [K, N] against every token.
INLINE void forward_few_columns(const struct loam_linear_forward_args *args, const float *x, int64_t first,
                                int64_t count, enum loam_dtype dtype)
{
    const int64_t tokens = args->x.shape[0], k = args->x.shape[1], size = dtype == LOAM_F32 ? 4 : 2;
    const int64_t apart = args->w.tensor.stride[0] * size;
    const char *w = (const char *)args->w.tensor.data + first * size;
    float sums[FEW_TOKENS * FEW_WIDE];
    for (int64_t t = 0; t < tokens; t++)
        memset(sums + t * FEW_WIDE, 0, (size_t)count * sizeof sums[0]);
    int64_t row = 0;
    for (; row + STREAMS <= k; row += STREAMS)
        add_rows_of_tokens(x + row, tokens, k, w + row * apart, apart, STREAMS, count, dtype, sums);
    for (; row < k; row++)
        add_rows_of_tokens(x + row, tokens, k, w + row * apart, apart, 1, count, dtype, sums);
    for (int64_t t = 0; t < tokens; t++)
        finish_row(args, t, first, count, sums + t * FEW_WIDE);
}

static size_t forward_few_scratch(const struct loam_linear_forward_args *args)
{
    return loam_scratch_bytes(FEW_TOKENS * args->x.shape[1], sizeof(float));
}

// A multiple of the number of threads, so that each has as many tasks as the others, all of nearly the same size.
static int64_t few_tasks(int64_t n, int64_t most, int threads)
{
    const int64_t each_thread = (n + (int64_t)threads * most - 1) / ((int64_t)threads * most);
    return each_thread * threads;
}

static void forward_task(const struct loam_linear_forward_args *args, const float *x, int64_t first,
                         int64_t count)
{
    const enum loam_dtype dtype = args->w.tensor.dtype;
    const bool transposed = args->w.transposed;
    if (dtype == LOAM_F32 && !transposed) forward_few_rows(args, x, first, count, LOAM_F32);
    if (dtype == LOAM_BF16 && !transposed) forward_few_rows(args, x, first, count, LOAM_BF16);
    if (dtype == LOAM_F16 && !transposed) forward_few_rows(args, x, first, count, LOAM_F16);
    if (dtype == LOAM_F32 && transposed) forward_few_columns(args, x, first, count, LOAM_F32);
    if (dtype == LOAM_BF16 && transposed) forward_few_columns(args, x, first, count, LOAM_BF16);
    if (dtype == LOAM_F16 && transposed) forward_few_columns(args, x, first, count, LOAM_F16);
}

static enum loam_status forward_few(struct loam_stream *stream, const struct loam_linear_forward_args *args)
{
    const int64_t tokens = args->x.shape[0], k = args->x.shape[1], n = args->y.shape[1];
    float *x = loam_stream_scratch(stream, forward_few_scratch(args)); // [T, K]
    if (x == NULL) return LOAM_ERROR_INTERNAL;
    for (int64_t t = 0; t < tokens; t++)
        widen(x + t * k, cpu_row(&args->x, t), k, args->x.dtype == LOAM_BF16);
    const int64_t tasks = few_tasks(n, args->w.transposed ? FEW_WIDE : FEW_TASK, stream->device->threads);
#pragma omp parallel for schedule(dynamic) num_threads(cpu_threads(stream))
    for (int64_t task = 0; task < tasks; task++) {
        const int64_t first = n * task / tasks, count = n * (task + 1) / tasks - first;
        forward_task(args, x, first, count);
    }
    return LOAM_OK;
}

const struct few_kernel CPU_NAME(few) = {FEW_TOKENS, forward_few_scratch, forward_few};
