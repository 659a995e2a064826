// Adapters of the embedding, and trained tokens. Sums over tokens are by blocks of columns, in token order,
// whatever the number of threads.
#include "device/cpu/kernels/vector.h"

enum { COLUMNS = 16 * LANES }; // of a task of a backward

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

// ---- LoRA of the embedding ----

// y += scale b a. An element to which 0 is added keeps its bits: -0 + 0 would be +0, so -0 is added instead.
INLINE void adapt_row(const struct loam_lora_embedding_forward_args *args, const float *b, void *y, bool bf16)
{
    const int64_t n = args->y.shape[1], rank = args->a.shape[0];
    const float *a = args->a.data;
    for (int64_t i = 0; i < n; i += LANES) {
        vec sum = splat(0);
        for (int64_t j = 0; j < rank; j++)
            sum += b[j] * load(a + j * n, i, n, false);
        sum *= args->scale;
        const vec_int nothing = sum == 0.0f;
        store(y, i, n, load(y, i, n, bf16) + (vec)((vec_int)sum | (nothing & INT32_MIN)), bf16);
    }
}

static enum loam_status lora_embedding_forward(struct loam_stream *stream,
                                               const struct loam_lora_embedding_forward_args *args)
{
    const int32_t *ids = args->ids.data;
    const int64_t tokens = args->y.shape[0];
#pragma omp parallel for schedule(static) if (tokens > 1) num_threads(cpu_threads(stream))
    for (int64_t t = 0; t < tokens; t++) {
        const float *b = cpu_row(&args->b, ids[t]);
        if (args->y.dtype == LOAM_BF16)
            adapt_row(args, b, cpu_row(&args->y, t), true);
        else
            adapt_row(args, b, cpu_row(&args->y, t), false);
    }
    return LOAM_OK;
}

// db [T, r] of each token: scale dy aT
static size_t lora_embedding_backward_scratch(const struct loam_device *device,
                                              const struct loam_lora_embedding_backward_args *args)
{
    (void)device;
    return loam_scratch_bytes(args->dy.shape[0] * args->a.shape[0], sizeof(float));
}

INLINE float row_product(const void *dy, const float *a, int64_t n, bool bf16)
{
    vec sum = splat(0);
    for (int64_t i = 0; i < n; i += LANES)
        sum += load(dy, i, n, bf16) * load(a, i, n, false);
    return sum_lanes(sum);
}

// Columns [first, last) of da += scale sum_t b[ids[t]]T dy[t]
INLINE void add_outer(const struct loam_lora_embedding_backward_args *args, int64_t first, int64_t last,
                      bool bf16)
{
    const int32_t *ids = args->ids.data;
    const int64_t tokens = args->dy.shape[0], rank = args->a.shape[0];
    for (int64_t t = 0; t < tokens; t++) {
        const float *b = cpu_row(&args->b, ids[t]);
        const void *dy = cpu_row(&args->dy, t);
        for (int64_t i = first; i < last; i += LANES) {
            const vec gradient = args->scale * load(dy, i, last, bf16);
            for (int64_t j = 0; j < rank; j++) {
                float *da = cpu_row(&args->da, j);
                store(da, i, last, load(da, i, last, false) + b[j] * gradient, false);
            }
        }
    }
}

static enum loam_status lora_embedding_backward(struct loam_stream *stream,
                                                const struct loam_lora_embedding_backward_args *args)
{
    const int32_t *ids = args->ids.data;
    const int64_t tokens = args->dy.shape[0], n = args->dy.shape[1], rank = args->a.shape[0];
    const bool bf16 = args->dy.dtype == LOAM_BF16;
    float *db = loam_stream_scratch(stream, (size_t)(tokens * rank) * sizeof *db);
    if (db == NULL) return LOAM_ERROR_INTERNAL;
#pragma omp parallel num_threads(cpu_threads(stream))
    {
#pragma omp for schedule(static) nowait
        for (int64_t first = 0; first < n; first += COLUMNS) {
            if (bf16)
                add_outer(args, first, min64(first + COLUMNS, n), true);
            else
                add_outer(args, first, min64(first + COLUMNS, n), false);
        }
#pragma omp for schedule(static)
        for (int64_t i = 0; i < tokens * rank; i++) {
            const void *dy = cpu_row(&args->dy, i / rank);
            const float *a = cpu_row(&args->a, i % rank);
            db[i] = args->scale * (bf16 ? row_product(dy, a, n, true) : row_product(dy, a, n, false));
        }
    }
    for (int64_t t = 0; t < tokens; t++) {
        float *row = cpu_row(&args->db, ids[t]);
        for (int64_t j = 0; j < rank; j++)
            row[j] += db[t * rank + j];
    }
    return LOAM_OK;
}

// ---- trained tokens ----

// The row of a token among those that have one, which rise; -1: it has none.
static int64_t find_row(const struct loam_tensor *tokens, int32_t id)
{
    const int32_t *all = tokens->data;
    int64_t low = 0;
    for (int64_t high = loam_tensor_count(tokens); low < high;) {
        const int64_t middle = low + (high - low) / 2;
        if (all[middle] == id) return middle;
        if (all[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

static enum loam_status replace_rows_forward(struct loam_stream *stream,
                                             const struct loam_replace_rows_forward_args *args)
{
    const int32_t *ids = args->ids.data;
    const int64_t tokens = args->y.shape[0], n = args->y.shape[1];
    const bool bf16 = args->y.dtype == LOAM_BF16;
    const float rest = 1.0f - args->factor;
#pragma omp parallel for schedule(static) if (tokens > 1) num_threads(cpu_threads(stream))
    for (int64_t t = 0; t < tokens; t++) {
        const int64_t row = find_row(&args->tokens, ids[t]);
        void *y = cpu_row(&args->y, t);
        for (int64_t i = 0; i < n && row >= 0; i += LANES)
            store(y, i, n,
                  rest * load(y, i, n, bf16) + args->factor * load(cpu_row(&args->rows, row), i, n, false),
                  bf16);
    }
    return LOAM_OK;
}

// Columns [first, last) of every token.
static void replace_rows_columns(const struct loam_replace_rows_backward_args *args, int64_t first,
                                 int64_t last)
{
    const int32_t *ids = args->ids.data;
    const bool bf16 = args->dy.dtype == LOAM_BF16;
    const float rest = 1.0f - args->factor;
    for (int64_t t = 0; t < args->dy.shape[0]; t++) {
        const int64_t row = find_row(&args->tokens, ids[t]);
        if (row < 0) continue;
        void *dy = cpu_row(&args->dy, t);
        float *drow = args->drows.data == NULL ? NULL : cpu_row(&args->drows, row);
        for (int64_t i = first; i < last; i += LANES) {
            const vec gradient = load(dy, i, last, bf16);
            if (drow != NULL)
                store(drow, i, last, load(drow, i, last, false) + args->factor * gradient, false);
            store(dy, i, last, rest * gradient, bf16);
        }
    }
}

static enum loam_status replace_rows_backward(struct loam_stream *stream,
                                              const struct loam_replace_rows_backward_args *args)
{
    const int64_t n = args->dy.shape[1];
#pragma omp parallel for schedule(static) num_threads(cpu_threads(stream))
    for (int64_t first = 0; first < n; first += COLUMNS)
        replace_rows_columns(args, first, min64(first + COLUMNS, n));
    return LOAM_OK;
}

static enum loam_status replace_columns_forward(struct loam_stream *stream,
                                                const struct loam_replace_columns_forward_args *args)
{
    const int32_t *tokens = args->tokens.data;
    const int64_t n = args->x.shape[1];
    const float rest = 1.0f - args->factor;
#pragma omp parallel for schedule(static) num_threads(cpu_threads(stream))
    for (int64_t t = 0; t < args->y.shape[0]; t++) {
        const float *x = cpu_row(&args->x, t);
        float *y = cpu_row(&args->y, t);
        for (int64_t j = 0; j < n; j++)
            y[tokens[j]] = rest * y[tokens[j]] + args->factor * x[j];
    }
    return LOAM_OK;
}

static enum loam_status replace_columns_backward(struct loam_stream *stream,
                                                 const struct loam_replace_columns_backward_args *args)
{
    const int32_t *tokens = args->tokens.data;
    const int64_t n = args->dx.shape[1];
    const float rest = 1.0f - args->factor;
#pragma omp parallel for schedule(static) num_threads(cpu_threads(stream))
    for (int64_t t = 0; t < args->dy.shape[0]; t++) {
        float *dx = cpu_row(&args->dx, t), *dy = cpu_row(&args->dy, t);
        for (int64_t j = 0; j < n; j++) {
            dx[j] = args->factor * dy[tokens[j]];
            dy[tokens[j]] *= rest;
        }
    }
    return LOAM_OK;
}

void CPU_NAME(tokens)(struct loam_op_table *ops)
{
    ops->lora_embedding_forward.run = lora_embedding_forward;
    ops->lora_embedding_backward.run = lora_embedding_backward;
    ops->lora_embedding_backward.scratch = lora_embedding_backward_scratch;
    ops->replace_rows_forward.run = replace_rows_forward;
    ops->replace_rows_backward.run = replace_rows_backward;
    ops->replace_columns_forward.run = replace_columns_forward;
    ops->replace_columns_backward.run = replace_columns_backward;
}
