// LoRA in the instructions of AVX-512 BF16, which multiply two pairs of bf16 and add both products to a sum
// of f32. Activations are read where they lie. The adapter is f32: in sums over many (t, dt, da, db) each of
// its numbers is two of bf16, the nearest one and what that leaves, which together are off by 2^-16 of it at
// most; what is added to y and dx is a sum over the rank, in f32 throughout. Sums over tokens are by columns,
// in token order, whatever the number of threads.
#include <omp.h>

#include "device/cpu/kernels/vector.h"

enum {
    ROWS = 16,         // tokens of a block, and rows of a tile
    FEW_ROWS = 4,      // of a tile at the end
    DEEP = 4,          // pairs along a sum that are multiplied at a time; zeros follow the last one
    PANEL = 2 * LANES, // columns that are added at a time
    ADD_ROWS = 8,      // of a tile that is added to bf16, two vectors wide
    STRIP = 8,         // vectors of columns whose sums over tokens are made side by side
    TOKENS = 64,       // ... and tokens that are gone through meanwhile: both stay in the first cache
    CACHE_LINE = 64,
    HALF = LANES / 2, // ranks up to here have their nearest and the rest in one vector
};

// The numbers of bf16 that stand for one of f32.
enum parts {
    PLAIN, // none: it stays f32, in panels of PANEL columns
    BOTH,  // in a vector each: the nearest, then what it leaves
    FOLDED // both in one vector of HALF columns
};

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t round_up(int64_t n, int64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static int64_t padded(int64_t n)
{
    return round_up(n, LANES);
}

// ---- fetching ahead ----

// Rows that will be read next, asked for while others are multiplied.
struct ahead {
    const char *row;
    int64_t stride, bytes, rows; // bytes from row to row, and of each; rows that are left
    int64_t at;                  // the next byte of the row
};

static struct ahead ahead_of(const struct loam_tensor *tensor, int64_t row, int64_t rows)
{
    const int64_t there = min64(rows, tensor->shape[0] - row);
    return (struct ahead){.row = cpu_row(tensor, row),
                          .stride = 2 * tensor->stride[0],
                          .bytes = 2 * tensor->shape[1],
                          .rows = there};
}

static int64_t ahead_lines(const struct ahead *ahead)
{
    return ahead->rows * ((ahead->bytes + CACHE_LINE - 1) / CACHE_LINE);
}

INLINE void fetch_lines(struct ahead *ahead, int64_t count)
{
    for (int64_t i = 0; i < count && ahead->rows > 0; i++) {
        __builtin_prefetch(ahead->row + ahead->at, 0, 2);
        ahead->at += CACHE_LINE;
        if (ahead->at < ahead->bytes) continue;
        ahead->at = 0;
        ahead->row += ahead->stride;
        ahead->rows--;
    }
}

// ---- packing ----

// An f32 matrix as pairs of bf16, which follow each other along a sum.
struct pairs {
    int32_t *data;
    int64_t width; // columns, of one part
    int64_t step;  // from pair to pair, from panel to panel
    enum parts parts;
};

static struct pairs pairs_shape(int64_t length, int64_t width, enum parts parts)
{
    if (parts == PLAIN) return (struct pairs){NULL, PANEL, round_up(length, 2 * DEEP) * PANEL, PLAIN};
    return (struct pairs){NULL, padded(width), padded(width) * (parts == BOTH ? 2 : 1), parts};
}

static size_t pairs_bytes(int64_t length, int64_t width, enum parts parts)
{
    const int64_t step = pairs_shape(length, width, parts).step,
                  steps = parts == PLAIN ? round_up(width, PANEL) / PANEL : round_up(length, 2 * DEEP) / 2;
    return (size_t)(steps * step) * sizeof(int32_t);
}

static struct pairs pairs_take(struct loam_stream *stream, int64_t length, int64_t width, enum parts parts)
{
    struct pairs pairs = pairs_shape(length, width, parts);
    pairs.data = loam_stream_scratch(stream, pairs_bytes(length, width, parts));
    return pairs;
}

static size_t pairs_scratch(int64_t length, int64_t width, enum parts parts)
{
    return loam_scratch_bytes((int64_t)pairs_bytes(length, width, parts), 1);
}

// For sums along the rows of an activation.
static enum parts parts_of(int64_t r)
{
    return r <= HALF ? FOLDED : BOTH;
}

INLINE vec_int nearest(vec v)
{
    return (vec_int)_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)v));
}

INLINE vec_int nearest_pair(vec even, vec odd)
{
    return nearest(even) | nearest(odd) << 16;
}

// Of elements p and p + 1 along the sum, for LANES columns from `column`.
INLINE void put_pair(const struct pairs *pairs, int64_t p, int64_t column, vec even, vec odd)
{
    if (pairs->parts == PLAIN) {
        int32_t *panel = pairs->data + column / PANEL * pairs->step + column % PANEL;
        memcpy(panel + p * PANEL, &even, sizeof even);
        memcpy(panel + (p + 1) * PANEL, &odd, sizeof odd);
        return;
    }
    int32_t *target = pairs->data + p / 2 * pairs->step + column;
    vec_int near = nearest_pair(even, odd);
    const vec_int rest = nearest_pair(even - (vec)(near << 16), odd - (vec)(near & (int32_t)0xFFFF0000));
    if (pairs->parts == BOTH) memcpy(target + pairs->width, &rest, sizeof rest);
    if (pairs->parts == FOLDED)
        near = (vec_int)_mm512_inserti64x4((__m512i)near, _mm512_castsi512_si256((__m512i)rest), 1);
    memcpy(target, &near, sizeof near);
}

// The matrix source [rows, columns] times factor.
struct source {
    const float *data;
    int64_t rows, columns;
    float factor;
};

static vec source_vec(const struct source *source, int64_t row, int64_t column)
{
    if (row >= source->rows || column >= source->columns) return splat(0);
    return load(source->data + row * source->columns, column, source->columns, false) * source->factor;
}

// Sums run along the rows of the source, which are LANES columns of the pairs.
static void pack_along_rows(const struct pairs *pairs, const struct source *source, int64_t row,
                            int64_t column)
{
    vec block[LANES];
    for (int64_t i = 0; i < LANES; i++)
        block[i] = source_vec(source, row + i, column);
    transpose_vec(block);
    for (int64_t i = 0; i < LANES && column + i < round_up(source->columns, 2 * DEEP); i += 2)
        put_pair(pairs, column + i, row, block[i], block[i + 1]);
}

// Sums run along its columns.
static void pack_along_columns(const struct pairs *pairs, const struct source *source, int64_t row)
{
    for (int64_t column = 0; column < source->columns; column += LANES)
        put_pair(pairs, row, column, source_vec(source, row, column), source_vec(source, row + 1, column));
}

// Both are called by all threads together, which wait for each other before they read what was packed.
static void share_along_rows(const struct pairs *pairs, const struct source *source)
{
#pragma omp for schedule(static) collapse(2) nowait
    for (int64_t row = 0; row < source->rows; row += LANES)
        for (int64_t column = 0; column < source->columns; column += LANES)
            pack_along_rows(pairs, source, row, column);
}
static void share_along_columns(const struct pairs *pairs, const struct source *source)
{
    const int64_t rows = round_up(source->rows, 2 * DEEP);
#pragma omp for schedule(static) nowait
    for (int64_t row = 0; row < rows; row += 2)
        pack_along_columns(pairs, source, row);
}

// ---- sums along the rows of an activation ----

// Adds the products of DEEP pairs, each with both parts of the other factor.
INLINE void reduce_step(__m512 *sum, const char *x, int64_t x_row, const int32_t *right, int64_t width,
                        int rows, bool folded)
{
#pragma GCC unroll 4
    for (int pair = 0; pair < DEEP; pair++, x += 4, right += folded ? width : 2 * width) {
        const __m512bh near = (__m512bh)load_int(right),
                       rest = (__m512bh)load_int(right + (folded ? 0 : width));
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            int32_t pair_of_x;
            memcpy(&pair_of_x, x + i * x_row, sizeof pair_of_x);
            const __m512bh left = (__m512bh)_mm512_set1_epi32(pair_of_x);
            sum[i] = _mm512_dpbf16_ps(sum[i], left, near);
            if (!folded) sum[i] = _mm512_dpbf16_ps(sum[i], left, rest);
        }
    }
}

// The rows that follow a tile: in each step a quarter of them, whose cache lines four steps go through.
INLINE void fetch_below(const char *x, int64_t x_row, int64_t p)
{
    const int64_t quarter = p / (2 * DEEP) % 4, first = ROWS + quarter * (ROWS / 4);
#pragma GCC unroll 4
    for (int i = 0; i < ROWS / 4; i++)
        __builtin_prefetch(x + (first + i) * x_row + 2 * p, 0, 2);
}

INLINE __m512 unfold(__m512 sum)
{
    const __m256 rest = (__m256)_mm512_extractf64x4_pd((__m512d)sum, 1);
    return _mm512_zextps256_ps512(_mm256_add_ps(_mm512_castps512_ps256(sum), rest));
}

// Rows of x, and LANES columns of what they are multiplied with.
struct reduce {
    const char *x;
    int64_t x_row, depth; // bytes from row to row, elements of each
    const int32_t *right;
    int64_t width, step;
    float *sums;   // [rows, width]
    int64_t lines; // that are fetched ahead in each step
};

INLINE void reduce_tile(const struct reduce *reduce, struct ahead *ahead, int rows, bool folded)
{
    __m512 sum[ROWS];
    const int64_t x_row = reduce->x_row, width = reduce->width;
    const int64_t whole = reduce->depth / (2 * DEEP) * (2 * DEEP), rest = reduce->depth - whole;
    const int32_t *right = reduce->right;
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
        sum[i] = _mm512_setzero_ps();
    for (int64_t p = 0; p < whole; p += 2 * DEEP, right += DEEP * reduce->step) {
        fetch_lines(ahead, reduce->lines);
        if (rows == ROWS) fetch_below(reduce->x, x_row, p);
        reduce_step(sum, reduce->x + 2 * p, x_row, right, width, rows, folded);
    }
    if (rest > 0) {
        uint16_t last[ROWS][2 * DEEP] = {{0}};
        for (int i = 0; i < rows; i++)
            memcpy(last[i], reduce->x + i * x_row + 2 * whole, (size_t)(2 * rest));
        reduce_step(sum, (const char *)last, sizeof last[0], right, width, rows, folded);
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
        _mm512_storeu_ps(reduce->sums + i * width, folded ? unfold(sum[i]) : sum[i]);
}

INLINE void reduce_tiles(struct reduce reduce, struct ahead *ahead, int64_t rows, bool folded)
{
    for (int64_t i = 0, tile; i < rows; i += tile) {
        tile = rows - i >= ROWS ? ROWS : rows - i >= FEW_ROWS ? FEW_ROWS : 1;
        if (tile == ROWS) reduce_tile(&reduce, ahead, ROWS, folded);
        if (tile == FEW_ROWS) reduce_tile(&reduce, ahead, FEW_ROWS, folded);
        if (tile == 1) reduce_tile(&reduce, ahead, 1, folded);
        reduce.x += tile * reduce.x_row;
        reduce.sums += tile * reduce.width;
    }
}

// sums [rows, width of right] = rows of x times right
static void reduce_rows(const struct loam_tensor *x, int64_t row, int64_t rows, const struct pairs *right,
                        float *sums, struct ahead ahead)
{
    struct reduce reduce = {.x = cpu_row(x, row),
                            .x_row = 2 * x->stride[0],
                            .depth = x->shape[1],
                            .width = right->width,
                            .step = right->step,
                            .lines = 1 + ahead_lines(&ahead) / (x->shape[1] / (2 * DEEP) + 1)};
    for (int64_t column = 0; column < right->width; column += LANES) {
        reduce.right = right->data + column;
        reduce.sums = sums + column;
        if (right->parts == FOLDED)
            reduce_tiles(reduce, &ahead, rows, true);
        else
            reduce_tiles(reduce, &ahead, rows, false);
    }
}

// ---- products that are added to an activation ----

// Adds to the elements of some lanes. An element to which 0 is added keeps its bits (-0 + 0 would be +0).
INLINE void add_lanes(uint16_t *y, __m512 more, __mmask16 lanes)
{
    const __m256i before = _mm256_maskz_loadu_epi16(lanes, y);
    const __m512 wide = (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(before), 16);
    const __mmask16 something = _mm512_cmp_ps_mask(more, _mm512_setzero_ps(), _CMP_NEQ_UQ);
    const __m256bh after = _mm512_mask_cvtneps_pbh((__m256bh)before, something, _mm512_add_ps(wide, more));
    if (lanes == 0xFFFF)
        _mm256_storeu_si256((__m256i_u *)y, (__m256i)after);
    else
        _mm256_mask_storeu_epi16(y, lanes, (__m256i)after);
}

static __mmask16 lanes_of(int64_t count)
{
    const unsigned lanes = count <= 0 ? 0 : count >= LANES ? 0xFFFF : (1u << count) - 1;
    return (__mmask16)lanes;
}

// y [rows, up to PANEL columns] += left [rows, r] right [r, PANEL]
struct add {
    uint16_t *y;
    const float *left, *right;
    int64_t y_row, left_row, r;
};

INLINE void add_tile(const struct add *add, int rows, __mmask16 lanes0, __mmask16 lanes1)
{
    __m512 sum[ADD_ROWS][2];
    const float *left = add->left, *right = add->right;
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
        sum[i][0] = sum[i][1] = _mm512_setzero_ps();
    for (int64_t j = 0; j < add->r; j++, left++, right += PANEL) {
        const __m512 right0 = _mm512_loadu_ps(right), right1 = _mm512_loadu_ps(right + LANES);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            const __m512 both = _mm512_set1_ps(left[i * add->left_row]);
            sum[i][0] = _mm512_fmadd_ps(both, right0, sum[i][0]);
            sum[i][1] = _mm512_fmadd_ps(both, right1, sum[i][1]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        add_lanes(add->y + i * add->y_row, sum[i][0], lanes0);
        if (lanes1 != 0) add_lanes(add->y + i * add->y_row + LANES, sum[i][1], lanes1);
    }
}

INLINE void add_tiles(struct add add, int64_t rows, __mmask16 lanes0, __mmask16 lanes1)
{
    int64_t i = 0;
    for (; i + ADD_ROWS <= rows; i += ADD_ROWS) {
        add_tile(&add, ADD_ROWS, lanes0, lanes1);
        add.y += ADD_ROWS * add.y_row;
        add.left += ADD_ROWS * add.left_row;
    }
    for (; i < rows; i++) {
        add_tile(&add, 1, lanes0, lanes1);
        add.y += add.y_row;
        add.left += add.left_row;
    }
}

// Rows of y += left [rows, padded r] times right.
static void add_rows(const struct loam_tensor *y, int64_t row, int64_t rows, const float *left, int64_t r,
                     const struct pairs *right)
{
    const int64_t n = y->shape[1];
    struct add add = {.left = left, .y_row = y->stride[0], .left_row = padded(r), .r = r};
    for (int64_t column = 0; column < n; column += PANEL) {
        add.y = (uint16_t *)cpu_row(y, row) + column;
        add.right = (const float *)(const void *)(right->data + column / PANEL * right->step);
        if (column + PANEL <= n)
            add_tiles(add, rows, 0xFFFF, 0xFFFF);
        else
            add_tiles(add, rows, lanes_of(n - column), lanes_of(n - column - LANES));
    }
}

// ---- sums over tokens ----

// Of leftT right: as many rows as there are ranks, up to LANES, and a vector of columns.
struct outer {
    const int32_t *left; // pairs of tokens, both parts
    int64_t width;
    const uint16_t *right;
    int64_t right_row;
    float *sums;   // [rows, LANES]
    int64_t ahead; // from a token's elements to those that are fetched meanwhile
};

// One pair of tokens; where `odd` is false there is only the first.
INLINE __m512bh token_pair(const uint16_t *right, int64_t right_row, __mmask16 lanes, bool odd)
{
    const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, right));
    if (!odd) return (__m512bh)low;
    const __m512i high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, right + right_row));
    return (__m512bh)_mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

INLINE void outer_step(__m512 *sum, const int32_t *left, int64_t width, __m512bh pair, int rows)
{
#pragma GCC unroll 16
    for (int j = 0; j < rows; j++)
        sum[j] = _mm512_dpbf16_ps(sum[j], (__m512bh)_mm512_set1_epi32(left[j]), pair);
#pragma GCC unroll 16
    for (int j = 0; j < rows; j++)
        sum[j] = _mm512_dpbf16_ps(sum[j], (__m512bh)_mm512_set1_epi32(left[width + j]), pair);
}

INLINE void outer_tile(const struct outer *outer, int64_t tokens, __mmask16 lanes, bool first, int rows)
{
    __m512 sum[LANES];
    const int32_t *left = outer->left;
    const uint16_t *right = outer->right;
    const int64_t width = outer->width, right_row = outer->right_row;
#pragma GCC unroll 16
    for (int j = 0; j < rows; j++)
        sum[j] = first ? _mm512_setzero_ps() : _mm512_loadu_ps(outer->sums + j * LANES);
    for (int64_t t = 0; t + 1 < tokens; t += 2, left += 2 * width, right += 2 * right_row) {
        __builtin_prefetch(right + outer->ahead, 0, 2);
        outer_step(sum, left, width, token_pair(right, right_row, lanes, true), rows);
    }
    if (tokens % 2 == 1) outer_step(sum, left, width, token_pair(right, 0, lanes, false), rows);
#pragma GCC unroll 16
    for (int j = 0; j < rows; j++)
        _mm512_storeu_ps(outer->sums + j * LANES, sum[j]);
}

// A cache line holds two vectors: the first of them fetches it for even tokens of the next block, the second
// for odd ones.
static int64_t strip_ahead(const struct loam_tensor *right, int64_t column)
{
    const int64_t next = TOKENS * right->stride[0];
    return column / LANES % 2 == 0 ? next : next + right->stride[0] - LANES;
}

// Columns [column, column + columns) of leftT right, up to STRIP vectors: sums [vectors][width, LANES], of
// which the first r are made.
static void outer_strip(const struct pairs *left, int64_t r, const struct loam_tensor *right, int64_t column,
                        int64_t columns, float *sums)
{
    const int64_t tokens = right->shape[0], width = left->width;
    for (int64_t t = 0; t < tokens; t += TOKENS)
        for (int64_t j = 0; j < r; j += LANES)
            for (int64_t i = 0; i < columns; i += LANES) {
                const struct outer outer = {
                    left->data + t / 2 * left->step + j,        width,
                    (uint16_t *)cpu_row(right, t) + column + i, right->stride[0],
                    sums + (i / LANES * width + j) * LANES,     strip_ahead(right, i)};
                const int64_t count = min64(TOKENS, tokens - t);
                const __mmask16 lanes = lanes_of(columns - i);
                if (r - j > HALF)
                    outer_tile(&outer, count, lanes, t == 0, LANES);
                else
                    outer_tile(&outer, count, lanes, t == 0, HALF);
            }
}

// What part of `columns` is this thread's: whole vectors.
static void thread_columns(int64_t columns, int64_t *first, int64_t *last)
{
    const int64_t vectors = padded(columns) / LANES, threads = omp_get_num_threads(),
                  thread = omp_get_thread_num();
    *first = vectors * thread / threads * LANES;
    *last = min64(columns, vectors * (thread + 1) / threads * LANES);
}

static void add_f32(float *target, vec more, int64_t count)
{
    store(target, 0, count, load(target, 0, count, false) + more, false);
}

// da [r, K] += dtT x, all threads together.
static void backward_a(const struct loam_lora_backward_args *args, const struct pairs *dt, float *sums)
{
    const int64_t r = args->a.shape[0], width = dt->width;
    int64_t column, last;
    for (thread_columns(args->x.shape[1], &column, &last); column < last; column += STRIP * LANES) {
        const int64_t columns = min64(STRIP * LANES, last - column);
        outer_strip(dt, r, &args->x, column, columns, sums);
        for (int64_t j = 0; j < r; j++)
            for (int64_t i = 0; i < columns; i += LANES)
                add_f32((float *)cpu_row(&args->da, j) + column + i,
                        load_f32(sums + (i / LANES * width + j) * LANES), columns - i);
    }
}

// db [N, r] += dyT (scale t), all threads together.
static void backward_b(const struct loam_lora_backward_args *args, const struct pairs *t, float *sums)
{
    const int64_t r = args->a.shape[0], width = t->width;
    int64_t column, last;
    for (thread_columns(args->dy.shape[1], &column, &last); column < last; column += STRIP * LANES) {
        const int64_t columns = min64(STRIP * LANES, last - column);
        outer_strip(t, r, &args->dy, column, columns, sums);
        for (int64_t i = 0; i < columns; i += LANES)
            for (int64_t j = 0; j < width; j += LANES) {
                vec block[LANES];
                memcpy(block, sums + (i / LANES * width + j) * LANES, sizeof block);
                transpose_vec(block);
                for (int64_t row = 0; row < min64(LANES, columns - i); row++)
                    add_f32((float *)cpu_row(&args->db, column + i + row) + j, block[row], r - j);
            }
    }
}

// ---- forward ----

// Of a thread: sums [ROWS, padded r].
static size_t block_floats(int64_t r)
{
    return (size_t)(ROWS * padded(r));
}

static size_t lora_forward_scratch(const struct loam_device *device,
                                   const struct loam_lora_forward_args *args)
{
    const int64_t r = args->a.shape[0], k = args->a.shape[1], n = args->b.shape[0];
    return pairs_scratch(k, r, parts_of(r)) + pairs_scratch(r, n, PLAIN) +
           loam_scratch_bytes((int64_t)block_floats(r) * device->threads, sizeof(float));
}

static void forward_block(const struct loam_lora_forward_args *args, int64_t row, const struct pairs *a,
                          const struct pairs *b, float *t)
{
    const int64_t rows = min64(ROWS, args->x.shape[0] - row), r = args->a.shape[0], width = a->width;
    reduce_rows(&args->x, row, rows, a, t, ahead_of(&args->y, row, rows));
    for (int64_t i = 0; i < rows; i++)
        memcpy(cpu_row(&args->t, row + i), t + i * width, (size_t)r * sizeof(float));
    add_rows(&args->y, row, rows, t, r, b);
}

static enum loam_status lora_forward(struct loam_stream *stream, const struct loam_lora_forward_args *args)
{
    const int64_t tokens = args->x.shape[0], r = args->a.shape[0], k = args->a.shape[1], n = args->b.shape[0];
    const int threads = stream->device->threads;
    const struct pairs a = pairs_take(stream, k, r, parts_of(r)), b = pairs_take(stream, r, n, PLAIN);
    float *memory = loam_stream_scratch(stream, block_floats(r) * (size_t)threads * sizeof(float));
    if (a.data == NULL || b.data == NULL || memory == NULL) return LOAM_ERROR_INTERNAL;
    const struct source a_source = {args->a.data, r, k, 1}, b_source = {args->b.data, n, r, args->scale};
#pragma omp parallel num_threads(threads)
    {
        share_along_rows(&a, &a_source);
        share_along_rows(&b, &b_source);
#pragma omp barrier
#pragma omp for schedule(static) nowait
        for (int64_t row = 0; row < tokens; row += ROWS)
            forward_block(args, row, &a, &b, memory + (size_t)omp_get_thread_num() * block_floats(r));
    }
    return LOAM_OK;
}

// ---- backward ----

// Of a thread: a block, or the sums of a strip.
static size_t thread_floats(int64_t r)
{
    const size_t strip = (size_t)(STRIP * LANES * padded(r));
    return strip > block_floats(r) ? strip : block_floats(r);
}

static size_t lora_backward_scratch(const struct loam_device *device,
                                    const struct loam_lora_backward_args *args)
{
    const int64_t r = args->a.shape[0], k = args->a.shape[1], n = args->b.shape[0],
                  tokens = args->dy.shape[0];
    return pairs_scratch(r, k, PLAIN) + pairs_scratch(n, r, parts_of(r)) +
           2 * pairs_scratch(tokens, r, BOTH) +
           loam_scratch_bytes((int64_t)thread_floats(r) * device->threads, sizeof(float));
}

// dt = dy (scale b), whose pairs of tokens are kept; dx += dt a
static void backward_block(const struct loam_lora_backward_args *args, int64_t row, const struct pairs *b,
                           const struct pairs *a, const struct pairs *dt, float *sums)
{
    const int64_t rows = min64(ROWS, args->dy.shape[0] - row), r = args->a.shape[0], width = b->width;
    const struct ahead ahead = args->dx.data != NULL ? ahead_of(&args->dx, row, rows) : (struct ahead){0};
    reduce_rows(&args->dy, row, rows, b, sums, ahead);
    const struct source source = {sums, rows, width, 1};
    const struct pairs block = {dt->data + row / 2 * dt->step, width, dt->step, BOTH};
    for (int64_t i = 0; i < rows; i += 2)
        pack_along_columns(&block, &source, i);
    if (args->dx.data == NULL) return;
    add_rows(&args->dx, row, rows, sums, r, a);
}

static enum loam_status lora_backward(struct loam_stream *stream, const struct loam_lora_backward_args *args)
{
    const int64_t tokens = args->dy.shape[0], k = args->a.shape[1], n = args->b.shape[0];
    const int64_t r = args->a.shape[0];
    const int threads = stream->device->threads;
    const struct pairs a = pairs_take(stream, r, k, PLAIN), b = pairs_take(stream, n, r, parts_of(r)),
                       t = pairs_take(stream, tokens, r, BOTH), dt = pairs_take(stream, tokens, r, BOTH);
    float *memory = loam_stream_scratch(stream, thread_floats(r) * (size_t)threads * sizeof(float));
    if (a.data == NULL || b.data == NULL || t.data == NULL || dt.data == NULL || memory == NULL)
        return LOAM_ERROR_INTERNAL;
    if (tokens == 0) return LOAM_OK;
    const struct source a_source = {args->a.data, r, k, 1}, b_source = {args->b.data, n, r, args->scale},
                        t_source = {args->t.data, tokens, r, args->scale};
#pragma omp parallel num_threads(threads)
    {
        float *sums = memory + (size_t)omp_get_thread_num() * thread_floats(r);
        share_along_columns(&a, &a_source);
        share_along_columns(&t, &t_source);
        share_along_columns(&b, &b_source);
#pragma omp barrier
#pragma omp for schedule(static)
        for (int64_t row = 0; row < tokens; row += ROWS)
            backward_block(args, row, &b, &a, &dt, sums);
        if (args->db.data != NULL) backward_b(args, &t, sums);
        if (args->da.data != NULL) backward_a(args, &dt, sums);
    }
    return LOAM_OK;
}

const struct lora_kernel CPU_NAME(lora_bf16) = {lora_forward, lora_forward_scratch, lora_backward,
                                                lora_backward_scratch};
