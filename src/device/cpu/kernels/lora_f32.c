// LoRA beside a linear in f32, for any activations: thin products by small tiles. Blocks of x, y and their
// gradients are read where they lie, or taken to f32 first where they are bf16 or have a dropout; sums over
// tokens are by blocks of columns, in token order, whatever the number of threads.
#include <omp.h>

#include "device/cpu/kernels/dropout.h"
#include "device/cpu/kernels/tile.h"

enum {
    ROWS = 24,    // tokens of a block, whole tiles of any width
    COLUMNS = 96, // columns of a block, whole tiles at every level
};

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t padded(int64_t n)
{
    return (n + LANES - 1) / LANES * LANES;
}

// source [rows, columns] times factor, to [rows, padded columns].
static void pack_rows(const struct loam_stream *stream, float *target, const float *source, int64_t rows,
                      int64_t columns, float factor)
{
    const int64_t width = padded(columns);
#pragma omp parallel for schedule(static) num_threads(cpu_threads(stream))
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < width; j += LANES)
            store_f32(target + i * width + j, load(source + i * columns, j, columns, false) * factor);
}

// source [rows, columns] times factor, to its transpose [columns, padded rows].
static void pack_transposed(const struct loam_stream *stream, float *target, const float *source,
                            int64_t rows, int64_t columns, float factor)
{
    const int64_t width = padded(rows);
#pragma omp parallel for schedule(static) num_threads(cpu_threads(stream))
    for (int64_t j = 0; j < columns; j++)
        for (int64_t i = 0; i < width; i++)
            target[j * width + i] = i < rows ? source[i * columns + j] * factor : 0;
}

// A block of a matrix: `rows` rows from `row`, `columns` columns from `column`.
struct block {
    int64_t row, rows, column, columns;
};

static void *block_row(const struct loam_tensor *tensor, const struct block *block, int64_t i)
{
    return (char *)cpu_row(tensor, block->row + i) + block->column * (int64_t)loam_dtype_size(tensor->dtype);
}

static void drop_row(const struct loam_dropout *dropout, const struct loam_tensor *x,
                     const struct block *block, int64_t i, float *row)
{
    if (dropout == NULL || dropout->p <= 0) return;
    const uint64_t element = (uint64_t)((block->row + i) * x->shape[1] + block->column);
    dropout_apply(dropout, dropout->counter + element, row, block->columns);
}

// The block in f32 [rows, COLUMNS], dropped where there is a dropout; columns up to the next whole vector are
// zero.
static void read_block(float *target, const struct loam_tensor *source, const struct block *block,
                       const struct loam_dropout *dropout)
{
    const bool bf16 = source->dtype == LOAM_BF16;
    for (int64_t i = 0; i < block->rows; i++) {
        const void *row = block_row(source, block, i);
        for (int64_t j = 0; j < block->columns; j += LANES)
            store_f32(target + i * COLUMNS + j, load(row, j, block->columns, bf16));
        drop_row(dropout, source, block, i, target + i * COLUMNS);
    }
}

// A block in f32; columns up to the next whole vector can be read.
struct block_values {
    const float *data;
    int64_t row; // elements from row to row
};

static struct block_values block_values(const struct loam_tensor *source, const struct block *block,
                                        const struct loam_dropout *dropout, float *buffer)
{
    const bool dropped = dropout != NULL && dropout->p > 0;
    if (source->dtype == LOAM_F32 && !dropped && block->columns % LANES == 0)
        return (struct block_values){block_row(source, block, 0), source->stride[0]};
    read_block(buffer, source, block, dropout);
    return (struct block_values){buffer, COLUMNS};
}

// Adds to one vector of a row of n. An element to which 0 is added keeps its bits: -0 + 0 would be +0, so -0
// is added instead.
INLINE void add_vec(void *row, int64_t i, int64_t n, vec more, bool bf16)
{
    const vec_int nothing = more == 0.0f;
    const vec delta = (vec)((vec_int)more | (nothing & INT32_MIN));
    store(row, i, n, load(row, i, n, bf16) + delta, bf16);
}

// Adds f32 [rows, COLUMNS], dropped, to the block.
static void add_block(const struct loam_tensor *target, float *delta, const struct block *block,
                      const struct loam_dropout *dropout)
{
    const bool bf16 = target->dtype == LOAM_BF16;
    for (int64_t i = 0; i < block->rows; i++) {
        void *row = block_row(target, block, i);
        drop_row(dropout, target, block, i, delta + i * COLUMNS);
        for (int64_t j = 0; j < block->columns; j += LANES)
            add_vec(row, j, block->columns, load_f32(delta + i * COLUMNS + j), bf16);
    }
}

// A tile of the block += left right
INLINE void add_tile(const struct loam_tensor *target, const struct block *block,
                     const struct small_matmul *mm, int64_t row, int64_t column, int64_t k, int rows,
                     int vecs, bool bf16)
{
    const int64_t step = target->stride[0] * (bf16 ? 2 : 4);
    char *y = block_row(target, block, row);
    vec sum[TILE_SUMS];
    for (int i = 0; i < rows * vecs; i++)
        sum[i] = splat(0);
    tile_sums(mm, row, column, k, rows, vecs, sum);
    const bool whole = column + vecs * LANES <= block->columns;
    for (int i = 0; i < rows; i++, y += step)
        for (int j = 0; j < vecs; j++)
            add_vec(y, column + j * LANES, whole ? INT64_MAX : block->columns, sum[i * vecs + j], bf16);
}

INLINE void add_column(const struct loam_tensor *target, const struct block *block,
                       const struct small_matmul *mm, int64_t column, int64_t k, int vecs, bool bf16)
{
    int64_t row = 0;
    for (; row + TILE_ROWS <= block->rows; row += TILE_ROWS)
        add_tile(target, block, mm, row, column, k, TILE_ROWS, vecs, bf16);
    for (; row < block->rows; row++)
        add_tile(target, block, mm, row, column, k, 1, vecs, bf16);
}

INLINE void add_product(const struct loam_tensor *target, const struct block *block,
                        const struct small_matmul *mm, int64_t k, bool bf16)
{
    int64_t column = 0;
    for (; column + TILE_VECS * LANES <= padded(block->columns); column += TILE_VECS * LANES)
        add_column(target, block, mm, column, k, TILE_VECS, bf16);
    for (; column < block->columns; column += LANES)
        add_column(target, block, mm, column, k, 1, bf16);
}

// sums [rows, width] = rows of x, dropped, times right [columns of x, width]
static void reduce_rows(float *sums, const struct loam_tensor *x, int64_t row, int64_t rows,
                        const float *right, int64_t width, const struct loam_dropout *dropout, float *buffer)
{
    for (int64_t column = 0; column < x->shape[1]; column += COLUMNS) {
        const struct block block = {row, rows, column, min64(COLUMNS, x->shape[1] - column)};
        const struct block_values left = block_values(x, &block, dropout, buffer);
        small_matmul(&(struct small_matmul){left.data, left.row, 1, right + column * width, width, sums,
                                            width, column > 0},
                     rows, width, block.columns);
    }
}

// What comes to every row of a product; none: values NULL.
struct row_bias {
    const float *values;
    float scale;
};

// delta [rows, COLUMNS] += scale bias
static void add_bias(float *delta, const struct row_bias *bias, const struct block *block)
{
    for (int64_t j = 0; j < block->columns; j += LANES) {
        const vec more = bias->scale * load(bias->values + block->column, j, block->columns, false);
        for (int64_t i = 0; i < block->rows; i++)
            store_f32(delta + i * COLUMNS + j, load_f32(delta + i * COLUMNS + j) + more);
    }
}

// rows of y += left [rows, width] times right [r, padded columns of y], dropped, plus the bias
static void expand_rows(const struct loam_tensor *y, int64_t row, int64_t rows, const float *left,
                        int64_t width, int64_t r, const float *right, const struct loam_dropout *dropout,
                        const struct row_bias *bias, float *buffer)
{
    const bool dropped = dropout != NULL && dropout->p > 0;
    for (int64_t column = 0; column < y->shape[1]; column += COLUMNS) {
        const struct block block = {row, rows, column, min64(COLUMNS, y->shape[1] - column)};
        const struct small_matmul mm = {left,   width,   1,    right + column, padded(y->shape[1]),
                                        buffer, COLUMNS, false};
        if (dropped || bias->values != NULL) {
            small_matmul(&mm, rows, padded(block.columns), r);
            if (bias->values != NULL) add_bias(buffer, bias, &block);
            add_block(y, buffer, &block, dropout);
        } else if (y->dtype == LOAM_BF16) {
            add_product(y, &block, &mm, r, true);
        } else {
            add_product(y, &block, &mm, r, false);
        }
    }
}

// ---- forward ----

struct forward_sizes {
    size_t a, b,
        thread; // aT [K, padded r], scale bT [r, padded N], per thread: t [ROWS, padded r] and a block
};

static struct forward_sizes forward_sizes(const struct loam_lora_forward_args *args)
{
    const int64_t r = args->a.shape[0], k = args->a.shape[1], n = args->b.shape[0];
    return (struct forward_sizes){(size_t)(k * padded(r)), (size_t)(r * padded(n)),
                                  (size_t)(ROWS * padded(r) + ROWS * COLUMNS)};
}

static size_t f32_forward_scratch(const struct loam_device *device, const struct loam_lora_forward_args *args)
{
    const struct forward_sizes sizes = forward_sizes(args);
    return loam_scratch_bytes((int64_t)sizes.a, sizeof(float)) +
           loam_scratch_bytes((int64_t)sizes.b, sizeof(float)) +
           loam_scratch_bytes((int64_t)sizes.thread * device->threads, sizeof(float));
}

static enum loam_status f32_forward(struct loam_stream *stream, const struct loam_lora_forward_args *args)
{
    const struct forward_sizes sizes = forward_sizes(args);
    const int64_t tokens = args->x.shape[0], r = args->a.shape[0], width = padded(r);
    const size_t threads = (size_t)stream->device->threads;
    float *a = loam_stream_scratch(stream, sizes.a * sizeof(float));
    float *b = loam_stream_scratch(stream, sizes.b * sizeof(float));
    float *memory = loam_stream_scratch(stream, sizes.thread * threads * sizeof(float));
    if (a == NULL || b == NULL || memory == NULL) return LOAM_ERROR_INTERNAL;
    pack_transposed(stream, a, args->a.data, r, args->a.shape[1], 1);
    pack_transposed(stream, b, args->b.data, args->b.shape[0], r, args->scale);
    const struct row_bias bias = {args->bias.data, args->scale};
#pragma omp parallel for schedule(static) num_threads(cpu_threads(stream))
    for (int64_t row = 0; row < tokens; row += ROWS) {
        const int64_t rows = min64(ROWS, tokens - row);
        float *t = memory + (size_t)omp_get_thread_num() * sizes.thread, *buffer = t + ROWS * width;
        reduce_rows(t, &args->x, row, rows, a, width, &args->dropout, buffer);
        for (int64_t i = 0; i < rows; i++)
            memcpy(cpu_row(&args->t, row + i), t + i * width, (size_t)r * sizeof(float));
        expand_rows(&args->y, row, rows, t, width, r, b, NULL, &bias, buffer);
    }
    return LOAM_OK;
}

// ---- backward ----

// In f32 elements; padded rows throughout.
struct backward_sizes {
    size_t a;      // a [r, K]
    size_t b;      // scale b [N, r]
    size_t t;      // scale t [T, r]
    size_t dt;     // dt [T, r]
    size_t thread; // a block, and the sums of a block of columns
};

static struct backward_sizes backward_sizes(const struct loam_lora_backward_args *args)
{
    const int64_t r = args->a.shape[0], k = args->a.shape[1], n = args->b.shape[0],
                  tokens = args->dy.shape[0];
    return (struct backward_sizes){(size_t)(r * padded(k)), (size_t)(n * padded(r)),
                                   (size_t)(tokens * padded(r)), (size_t)(tokens * padded(r)),
                                   (size_t)(ROWS * COLUMNS + padded(r) * COLUMNS)};
}

static size_t f32_backward_scratch(const struct loam_device *device,
                                   const struct loam_lora_backward_args *args)
{
    const struct backward_sizes sizes = backward_sizes(args);
    return loam_scratch_bytes((int64_t)sizes.a, sizeof(float)) +
           loam_scratch_bytes((int64_t)sizes.b, sizeof(float)) +
           loam_scratch_bytes((int64_t)sizes.t, sizeof(float)) +
           loam_scratch_bytes((int64_t)sizes.dt, sizeof(float)) +
           loam_scratch_bytes((int64_t)sizes.thread * device->threads, sizeof(float));
}

// Columns of db: db += dyT (scale t)
static void backward_b_columns(const struct loam_lora_backward_args *args, int64_t column, const float *t,
                               float *buffer)
{
    const int64_t tokens = args->dy.shape[0], r = args->a.shape[0], width = padded(r);
    const int64_t columns = min64(COLUMNS, args->dy.shape[1] - column);
    float *sums = buffer + ROWS * COLUMNS; // [columns, width]
    for (int64_t row = 0; row < tokens; row += ROWS) {
        const struct block block = {row, min64(ROWS, tokens - row), column, columns};
        const struct block_values dy = block_values(&args->dy, &block, NULL, buffer);
        small_matmul(&(struct small_matmul){dy.data, 1, dy.row, t + row * width, width, sums, width, row > 0},
                     columns, width, block.rows);
    }
    for (int64_t i = 0; i < columns; i++) {
        float *db = cpu_row(&args->db, column + i);
        for (int64_t j = 0; j < r; j++)
            db[j] += sums[i * width + j];
    }
}

// Columns of dbias: dbias += scale sum_t dy
static void backward_bias_columns(const struct loam_lora_backward_args *args, int64_t column)
{
    const bool bf16 = args->dy.dtype == LOAM_BF16;
    const int64_t last = min64(column + COLUMNS, args->dy.shape[1]);
    for (int64_t i = column; i < last; i += LANES) {
        vec sum = splat(0);
        for (int64_t t = 0; t < args->dy.shape[0]; t++)
            sum += load(cpu_row(&args->dy, t), i, last, bf16);
        store(args->dbias.data, i, last, load(args->dbias.data, i, last, false) + args->scale * sum, false);
    }
}

// Columns of da: da += dtT drop(x)
static void backward_a_columns(const struct loam_lora_backward_args *args, int64_t column, const float *dt,
                               float *buffer)
{
    const int64_t tokens = args->x.shape[0], r = args->a.shape[0], width = padded(r);
    const int64_t columns = min64(COLUMNS, args->x.shape[1] - column);
    float *sums = buffer + ROWS * COLUMNS; // [r, COLUMNS]
    for (int64_t row = 0; row < tokens; row += ROWS) {
        const struct block block = {row, min64(ROWS, tokens - row), column, columns};
        const struct block_values x = block_values(&args->x, &block, &args->dropout, buffer);
        small_matmul(
            &(struct small_matmul){dt + row * width, 1, width, x.data, x.row, sums, COLUMNS, row > 0}, r,
            padded(columns), block.rows);
    }
    for (int64_t j = 0; j < r; j++) {
        float *da = (float *)cpu_row(&args->da, j) + column;
        for (int64_t i = 0; i < columns; i++)
            da[i] += sums[j * COLUMNS + i];
    }
}

static enum loam_status f32_backward(struct loam_stream *stream, const struct loam_lora_backward_args *args)
{
    const struct backward_sizes sizes = backward_sizes(args);
    const int64_t tokens = args->dy.shape[0], k = args->a.shape[1], n = args->b.shape[0];
    const int64_t r = args->a.shape[0], width = padded(r);
    const int threads = stream->device->threads;
    float *a = loam_stream_scratch(stream, sizes.a * sizeof(float));
    float *b = loam_stream_scratch(stream, sizes.b * sizeof(float));
    float *t = loam_stream_scratch(stream, sizes.t * sizeof(float));
    float *dt = loam_stream_scratch(stream, sizes.dt * sizeof(float));
    float *memory = loam_stream_scratch(stream, sizes.thread * (size_t)threads * sizeof(float));
    if (a == NULL || b == NULL || t == NULL || dt == NULL || memory == NULL) return LOAM_ERROR_INTERNAL;
    if (tokens == 0) return LOAM_OK;
    pack_rows(stream, a, args->a.data, r, k, 1);
    pack_rows(stream, b, args->b.data, n, r, args->scale);
    pack_rows(stream, t, args->t.data, tokens, r, args->scale);
    // A frozen adapter has no gradients.
    const int64_t b_columns = args->db.data != NULL ? n : 0, a_columns = args->da.data != NULL ? k : 0,
                  bias_columns = args->dbias.data != NULL ? n : 0;
    const struct row_bias none = {NULL, 0};
#pragma omp parallel num_threads(threads)
    {
        float *buffer = memory + (size_t)omp_get_thread_num() * sizes.thread;
#pragma omp for schedule(static)
        for (int64_t row = 0; row < tokens; row += ROWS) {
            const int64_t rows = min64(ROWS, tokens - row);
            reduce_rows(dt + row * width, &args->dy, row, rows, b, width, NULL, buffer);
            if (args->dx.data != NULL)
                expand_rows(&args->dx, row, rows, dt + row * width, width, r, a, &args->dropout, &none,
                            buffer);
        }
#pragma omp for schedule(dynamic) nowait
        for (int64_t column = 0; column < b_columns; column += COLUMNS)
            backward_b_columns(args, column, t, buffer);
#pragma omp for schedule(dynamic) nowait
        for (int64_t column = 0; column < bias_columns; column += COLUMNS)
            backward_bias_columns(args, column);
#pragma omp for schedule(dynamic)
        for (int64_t column = 0; column < a_columns; column += COLUMNS)
            backward_a_columns(args, column, dt, buffer);
    }
    return LOAM_OK;
}

const struct lora_kernel CPU_NAME(lora_f32) = {f32_forward, f32_forward_scratch, f32_backward,
                                               f32_backward_scratch};
