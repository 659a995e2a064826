// Linears. oneDNN multiplies f32, and bf16 where the processor does; elsewhere bf16 weights are widened to
// f32 block by block. Few tokens are bound by reading the weights, and have a kernel that reads them once, as
// they are.
#include "device/cpu/simd/level.h"
#include "device/cpu/simd/vector.h"

enum {
    FEW_TOKENS = 8,
    FEW_ROWS = 4,             // weight rows at a time for few tokens
    FEW_AT_ONCE = 2,          // tokens at a time, or one
    BLOCK_ELEMENTS = 1 << 20, // widened weights at a time
    COLUMNS = 8 * LANES,      // columns of a task of the bias gradient
};

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool widens(const struct loam_device *device, enum loam_dtype dtype)
{
    return dtype == LOAM_BF16 && !device->native_bf16;
}

// Rows or columns of a weight, `length` elements each, that are widened at a time.
static int64_t block_count(int64_t length, int64_t count)
{
    const int64_t fit = BLOCK_ELEMENTS / length / 16 * 16;
    return min64(fit > 16 ? fit : 16, count);
}

// Columns [first, first + columns) of `rows` rows from `row`, to f32 [rows, columns].
static void widen_rows(float *target, const struct loam_tensor *source, int64_t row, int64_t rows,
                       int64_t first, int64_t columns)
{
    const bool bf16 = source->dtype == LOAM_BF16;
    const int64_t offset = first * (int64_t)loam_dtype_size(source->dtype);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < rows; i++)
        widen(target + i * columns, (const char *)cpu_row(source, row + i) + offset, columns, bf16);
}

static const void *offset_or_null(const struct loam_tensor *tensor, int64_t elements)
{
    if (tensor->data == NULL) return NULL;
    return (const char *)tensor->data + elements * (int64_t)loam_dtype_size(tensor->dtype);
}

// ---- forward ----

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

INLINE vec load_weight(const void *row, int64_t i, bool bf16)
{
    return bf16 ? load_bf16((const uint16_t *)row + i) : load_f32((const float *)row + i);
}

// sums[t][j] = x[t] . w[j] for `tokens` rows of x, k apart, and FEW_ROWS rows of w
INLINE void dot_rows(const float *x, int64_t k, const void *const w[FEW_ROWS], int tokens, bool bf16,
                     float sums[FEW_AT_ONCE][FEW_ROWS])
{
    vec sum[FEW_AT_ONCE][FEW_ROWS] = {0};
    int64_t i = 0;
    for (; i + LANES <= k; i += LANES) {
        for (int j = 0; j < FEW_ROWS; j++) {
            const vec weight = load_weight(w[j], i, bf16);
            for (int t = 0; t < tokens; t++)
                sum[t][j] += load_f32(x + t * k + i) * weight;
        }
    }
    for (int j = 0; j < FEW_ROWS && i < k; j++)
        for (int t = 0; t < tokens; t++)
            sum[t][j] += load(x + t * k, i, k, false) * load(w[j], i, k, bf16);
    for (int j = 0; j < FEW_ROWS; j++)
        for (int t = 0; t < tokens; t++)
            sums[t][j] = sum_lanes(sum[t][j]);
}

// Rows [first, first + FEW_ROWS) of w against every token.
INLINE void forward_few_rows(const struct loam_linear_forward_args *args, const float *x, int64_t first,
                             bool bf16)
{
    const struct loam_tensor *w = &args->w.tensor;
    const int64_t tokens = args->x.shape[0], k = args->x.shape[1], n = w->shape[0];
    const void *rows[FEW_ROWS]; // past the end the last row again
    for (int64_t j = 0; j < FEW_ROWS; j++)
        rows[j] = cpu_row(w, min64(first + j, n - 1));
    float sums[FEW_AT_ONCE][FEW_ROWS];
    for (int64_t t = 0; t < tokens; t += FEW_AT_ONCE) {
        const int64_t count = min64(FEW_AT_ONCE, tokens - t);
        if (count == FEW_AT_ONCE)
            dot_rows(x + t * k, k, rows, FEW_AT_ONCE, bf16, sums);
        else
            dot_rows(x + t * k, k, rows, 1, bf16, sums);
        for (int64_t i = 0; i < count; i++)
            finish_row(args, t + i, first, min64(FEW_ROWS, n - first), sums[i]);
    }
}

static size_t forward_few_scratch(const struct loam_linear_forward_args *args)
{
    return loam_scratch_bytes(FEW_TOKENS * args->x.shape[1], sizeof(float));
}

static enum loam_status forward_few(struct loam_stream *stream, const struct loam_linear_forward_args *args)
{
    const struct loam_tensor *w = &args->w.tensor;
    const int64_t tokens = args->x.shape[0], k = args->x.shape[1], n = w->shape[0];
    const bool bf16 = w->dtype == LOAM_BF16;
    float *x = loam_stream_scratch(stream, forward_few_scratch(args)); // [T, K]
    if (x == NULL) return LOAM_ERROR_INTERNAL;
    for (int64_t t = 0; t < tokens; t++)
        widen(x + t * k, cpu_row(&args->x, t), k, bf16);
#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < n; first += FEW_ROWS) {
        if (bf16) forward_few_rows(args, x, first, true);
        if (!bf16) forward_few_rows(args, x, first, false);
    }
    return LOAM_OK;
}

// Bytes of x [T, K], a block of w [B, K] and of y [T, B], widened.
static size_t forward_widened_scratch(const struct loam_linear_forward_args *args)
{
    const int64_t tokens = args->x.shape[0], k = args->x.shape[1],
                  block = block_count(k, args->w.tensor.shape[0]);
    return loam_scratch_bytes(tokens * k, sizeof(float)) + loam_scratch_bytes(block * k, sizeof(float)) +
           loam_scratch_bytes(tokens * block, sizeof(float));
}

static enum loam_status forward_widened(struct loam_stream *stream,
                                        const struct loam_linear_forward_args *args)
{
    const struct loam_tensor *w = &args->w.tensor;
    const int64_t tokens = args->x.shape[0], k = args->x.shape[1], n = w->shape[0], block = block_count(k, n);
    float *x = loam_stream_scratch(stream, (size_t)(tokens * k) * sizeof(float));
    float *rows = loam_stream_scratch(stream, (size_t)(block * k) * sizeof(float));
    float *y = loam_stream_scratch(stream, (size_t)(tokens * block) * sizeof(float));
    if (x == NULL || rows == NULL || y == NULL) return LOAM_ERROR_INTERNAL;
    widen_rows(x, &args->x, 0, tokens, 0, k);
    for (int64_t first = 0; first < n; first += block) {
        const int64_t count = min64(block, n - first);
        const struct matmul_shape shape = {.m = tokens,
                                           .n = count,
                                           .k = k,
                                           .a_stride = {k, 1},
                                           .b_stride = {1, k},
                                           .c_stride = block,
                                           .ab_dtype = LOAM_F32,
                                           .c_dtype = LOAM_F32};
        widen_rows(rows, w, first, count, 0, k);
        const char *failure = loam_matmul_run(cpu_matmuls(stream), &shape, x, rows, NULL, y);
        if (failure != NULL) return loam_cpu_matmul_status(stream, failure);
#pragma omp parallel for schedule(static)
        for (int64_t t = 0; t < tokens; t++)
            finish_row(args, t, first, count, y + t * block);
    }
    return LOAM_OK;
}

static void copy_rows(const struct loam_tensor *target, const struct loam_tensor *source)
{
    const size_t bytes = (size_t)source->shape[1] * loam_dtype_size(source->dtype);
#pragma omp parallel for schedule(static)
    for (int64_t t = 0; t < source->shape[0]; t++)
        memcpy(cpu_row(target, t), cpu_row(source, t), bytes);
}

static size_t linear_forward_scratch(const struct loam_device *device,
                                     const struct loam_linear_forward_args *args)
{
    const size_t few = forward_few_scratch(args);
    const size_t widened = widens(device, args->x.dtype) ? forward_widened_scratch(args) : 0;
    return few > widened ? few : widened;
}

static enum loam_status linear_forward(struct loam_stream *stream,
                                       const struct loam_linear_forward_args *args)
{
    const struct loam_tensor *x = &args->x, *w = &args->w.tensor, *y = &args->y;
    if (x->shape[0] == 0) return LOAM_OK;
    if (x->shape[0] <= FEW_TOKENS) return forward_few(stream, args);
    if (widens(stream->device, x->dtype)) return forward_widened(stream, args);
    const bool residual = args->residual.data != NULL;
    if (residual && args->residual.data != y->data) copy_rows(y, &args->residual);
    const struct matmul_shape shape = {
        .m = x->shape[0],
        .n = w->shape[0],
        .k = x->shape[1],
        .a_stride = {x->stride[0], 1},
        .b_stride = {1, w->stride[0]},
        .c_stride = y->stride[0],
        .ab_dtype = x->dtype,
        .c_dtype = y->dtype,
        .bias_dtype = args->bias.data != NULL ? args->bias.dtype : LOAM_DTYPE_NONE,
        .accumulate = residual,
    };
    return loam_cpu_matmul_status(
        stream, loam_matmul_run(cpu_matmuls(stream), &shape, x->data, w->data, args->bias.data, y->data));
}

// ---- gradient of the input ----

// Bytes of dy [T, N], columns of w [N, B] and of dx [T, B], widened.
static size_t linear_backward_input_scratch(const struct loam_device *device,
                                            const struct loam_linear_backward_input_args *args)
{
    if (!widens(device, args->dy.dtype)) return 0;
    const int64_t tokens = args->dy.shape[0], n = args->dy.shape[1],
                  block = block_count(n, args->dx.shape[1]);
    return loam_scratch_bytes(tokens * n, sizeof(float)) + loam_scratch_bytes(n * block, sizeof(float)) +
           loam_scratch_bytes(tokens * block, sizeof(float));
}

static void store_columns(const struct loam_linear_backward_input_args *args, int64_t first, int64_t count,
                          const float *sums, int64_t stride)
{
    const int64_t offset = first * (int64_t)sizeof(uint16_t);
#pragma omp parallel for schedule(static)
    for (int64_t t = 0; t < args->dx.shape[0]; t++) {
        void *dx = (char *)cpu_row(&args->dx, t) + offset;
        for (int64_t i = 0; i < count; i += LANES) {
            vec value = load(sums + t * stride, i, count, false);
            if (args->accumulate) value += load(dx, i, count, true);
            store(dx, i, count, value, true);
        }
    }
}

static enum loam_status backward_input_widened(struct loam_stream *stream,
                                               const struct loam_linear_backward_input_args *args)
{
    const int64_t tokens = args->dy.shape[0], n = args->dy.shape[1], k = args->dx.shape[1],
                  block = block_count(n, k);
    float *dy = loam_stream_scratch(stream, (size_t)(tokens * n) * sizeof(float));
    float *columns = loam_stream_scratch(stream, (size_t)(n * block) * sizeof(float));
    float *dx = loam_stream_scratch(stream, (size_t)(tokens * block) * sizeof(float));
    if (dy == NULL || columns == NULL || dx == NULL) return LOAM_ERROR_INTERNAL;
    widen_rows(dy, &args->dy, 0, tokens, 0, n);
    for (int64_t first = 0; first < k; first += block) {
        const int64_t count = min64(block, k - first);
        const struct matmul_shape shape = {.m = tokens,
                                           .n = count,
                                           .k = n,
                                           .a_stride = {n, 1},
                                           .b_stride = {count, 1},
                                           .c_stride = count,
                                           .ab_dtype = LOAM_F32,
                                           .c_dtype = LOAM_F32};
        widen_rows(columns, &args->w.tensor, 0, n, first, count);
        const char *failure = loam_matmul_run(cpu_matmuls(stream), &shape, dy, columns, NULL, dx);
        if (failure != NULL) return loam_cpu_matmul_status(stream, failure);
        store_columns(args, first, count, dx, count);
    }
    return LOAM_OK;
}

static enum loam_status linear_backward_input(struct loam_stream *stream,
                                              const struct loam_linear_backward_input_args *args)
{
    const struct loam_tensor *dy = &args->dy, *w = &args->w.tensor, *dx = &args->dx;
    if (dy->shape[0] == 0) return LOAM_OK;
    if (widens(stream->device, dy->dtype)) return backward_input_widened(stream, args);
    const struct matmul_shape shape = {
        .m = dy->shape[0],
        .n = dx->shape[1],
        .k = dy->shape[1],
        .a_stride = {dy->stride[0], 1},
        .b_stride = {w->stride[0], 1},
        .c_stride = dx->stride[0],
        .ab_dtype = dy->dtype,
        .c_dtype = dx->dtype,
        .accumulate = args->accumulate,
    };
    return loam_cpu_matmul_status(
        stream, loam_matmul_run(cpu_matmuls(stream), &shape, dy->data, w->data, NULL, dx->data));
}

// ---- gradients of the weight and the bias ----

// Bytes of dy [T, N] and x [T, K], widened.
static size_t linear_backward_weight_scratch(const struct loam_device *device,
                                             const struct loam_linear_backward_weight_args *args)
{
    if (!widens(device, args->dy.dtype)) return 0;
    return loam_scratch_bytes(args->dy.shape[0] * args->dy.shape[1], sizeof(float)) +
           loam_scratch_bytes(args->x.shape[0] * args->x.shape[1], sizeof(float));
}

static enum loam_status linear_backward_weight(struct loam_stream *stream,
                                               const struct loam_linear_backward_weight_args *args)
{
    struct loam_tensor dy = args->dy, x = args->x;
    if (dy.shape[0] == 0) return LOAM_OK;
    if (widens(stream->device, dy.dtype)) {
        float *dy_wide = loam_stream_scratch(stream, (size_t)(dy.shape[0] * dy.shape[1]) * sizeof(float));
        float *x_wide = loam_stream_scratch(stream, (size_t)(x.shape[0] * x.shape[1]) * sizeof(float));
        if (dy_wide == NULL || x_wide == NULL) return LOAM_ERROR_INTERNAL;
        widen_rows(dy_wide, &args->dy, 0, dy.shape[0], 0, dy.shape[1]);
        widen_rows(x_wide, &args->x, 0, x.shape[0], 0, x.shape[1]);
        dy = loam_tensor_2d(dy_wide, LOAM_F32, dy.shape[0], dy.shape[1]);
        x = loam_tensor_2d(x_wide, LOAM_F32, x.shape[0], x.shape[1]);
    }
    const struct matmul_shape shape = {
        .m = dy.shape[1],
        .n = x.shape[1],
        .k = dy.shape[0],
        .a_stride = {1, dy.stride[0]},
        .b_stride = {x.stride[0], 1},
        .c_stride = args->dw.stride[0],
        .ab_dtype = dy.dtype,
        .c_dtype = LOAM_F32,
        .accumulate = true,
    };
    return loam_cpu_matmul_status(
        stream, loam_matmul_run(cpu_matmuls(stream), &shape, dy.data, x.data, NULL, args->dw.data));
}

static enum loam_status bias_backward(struct loam_stream *stream, const struct loam_bias_backward_args *args)
{
    (void)stream;
    const int64_t rows = args->dy.shape[0], n = args->dy.shape[1];
    const bool bf16 = args->dy.dtype == LOAM_BF16;
    float *dbias = args->dbias.data;
#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < n; first += COLUMNS) {
        const int64_t last = min64(first + COLUMNS, n);
        for (int64_t t = 0; t < rows; t++) {
            const void *dy = cpu_row(&args->dy, t);
            for (int64_t i = first; i < last; i += LANES)
                store(dbias, i, last, load(dbias, i, last, false) + load(dy, i, last, bf16), false);
        }
    }
    return LOAM_OK;
}

void CPU_OVERRIDES(matmul)(struct loam_op_table *ops)
{
    ops->linear_forward.run = linear_forward;
    ops->linear_forward.scratch = linear_forward_scratch;
    ops->linear_backward_input.run = linear_backward_input;
    ops->linear_backward_input.scratch = linear_backward_input_scratch;
    ops->linear_backward_weight.run = linear_backward_weight;
    ops->linear_backward_weight.scratch = linear_backward_weight_scratch;
    ops->bias_backward.run = bias_backward;
}
