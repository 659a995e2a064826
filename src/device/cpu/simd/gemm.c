// All threads pack a into panels of ROWS rows, TASK_ROWS rows at a time; then these rows of c are cut into
// tasks, blocks that share nothing else. A task goes through k in slices: a slice of b is packed into panels
// of PANEL columns, and against blocks of a's rows a tile of c, ROWS x PANEL, is summed in registers (Goto
// and van de Geijn 2008). Between slices the sums wait in f32; the last slice adds bias and residual and
// rounds.
//
// Packing rounds to block floating point: of each row of a and each column of b, GROUP elements along k share
// one power of two, and each is a whole number of it between -4095 and 4095. So a group of products sums to
// less than 2^31, exactly, by instructions that multiply two pairs of 16-bit numbers and add them; on AVX2
// these take 1.6 times as many numbers a second as multiply-adds of f32. A bf16 number is exact where the
// largest of its group is less than 16 times as large, and off by 2^-12 of the largest at most elsewhere.
#include "device/cpu/simd/gemm.h"

#include <math.h>
#include <omp.h>

#include "device/cpu/simd/vector.h"

enum {
    ROWS = LANES == 16  ? 14
           : LANES == 8 ? 6
                        : 4, // of a tile: as many as registers allow, at most LANES
    PANEL = 2 * LANES,       // columns of a tile
    GROUP = 128,             // elements that share an exponent: GROUP * 4095^2 < 2^31
    DEPTH = 5 * GROUP,       // of a slice: a panel of b stays in the first cache
    BLOCK_ROWS = 12 * ROWS,  // of a against a panel of b, for the second cache
    TASK_ROWS = 1024,
    TASK_COLUMNS = 512, // a multiple of PANEL at every level
    SLICE_GROUPS = DEPTH / GROUP,
    STEP = 2 * LANES, // elements along k that are packed at a time; zeros follow the last one
};

static int64_t min64(int64_t x, int64_t y)
{
    return x < y ? x : y;
}

static int64_t round_up(int64_t count, int64_t unit)
{
    return (count + unit - 1) / unit * unit;
}

// ---- numbers ----

// The shared exponents of LANES groups.
struct exponents {
    vec unit;    // the power of two; NaN where the group has a number that is not finite
    vec inverse; // 1 / unit
};

INLINE vec_int magnitude(vec value)
{
    return (vec_int)value & 0x7FFFFFFF;
}

// largest: the bits of the largest magnitude of each group.
INLINE struct exponents choose_exponents(vec_int largest)
{
    // 12 bits are kept: what would be rounded to 2^12 takes the next power. The floor keeps 1 / unit finite.
    const vec_int field = larger_int((largest + 0x800) >> 23, splat_int(12));
    const vec_int finite = field < 255;
    const vec unit = (vec)((field - 11) << 23), inverse = (vec)((265 - field) << 23);
    return (struct exponents){select_vec(finite, unit, splat(NAN)), select_vec(finite, inverse, splat(0))};
}

// The whole number nearest to value x inverse, in the low bits of each lane.
INLINE vec_int whole_bits(vec value, vec inverse)
{
    return (vec_int)(value * inverse + 12582912.0f); // 1.5 * 2^23
}

INLINE vec_int whole(vec value, vec inverse)
{
    return whole_bits(value, inverse) - (vec_int)splat(12582912.0f);
}

// ---- packing ----

// One LANES-wide part of a panel: for each pair of elements along k, LANES of them, `width` apart.
struct part {
    int32_t *pairs; // whole vectors are written, so up to LANES past the last one
    float *units;   // [groups], `units_row` apart; whole vectors as well
    int64_t width, units_row;
};

static const void *element(const struct gemm_operand *operand, int64_t row, int64_t column)
{
    const int64_t index = row * operand->row + column * operand->column;
    return (const char *)operand->data + index * (int64_t)loam_dtype_size(operand->dtype);
}

// The largest magnitude of `depth` elements of a line in the two halves, or the whole, of each lane.
INLINE vec_int line_largest(const char *line, int64_t depth, enum loam_dtype dtype)
{
    vec_int largest = {0};
    if (dtype == LOAM_BF16 && depth % STEP == 0) {
        for (int64_t p = 0; p < depth; p += STEP)
            largest = larger_halves(largest, load_pairs(line + p * 2) & 0x7FFF7FFF);
        return larger_int(largest & 0x7FFF0000, largest << 16);
    }
    for (int64_t p = 0; p < depth; p += LANES)
        largest = larger_int(largest, magnitude(load_any(line, p, depth, dtype)));
    return largest;
}

// Of each of LANES lines.
INLINE vec_int lines_largest(const char *const lines[LANES], int64_t depth, enum loam_dtype dtype)
{
    vec largest[LANES];
    for (int64_t i = 0; i < LANES; i++)
        largest[i] = (vec)line_largest(lines[i], depth, dtype);
    transpose_vec(largest);
    vec_int result = (vec_int)largest[0];
    for (int64_t i = 1; i < LANES; i++)
        result = larger_int(result, (vec_int)largest[i]);
    return result;
}

// Elements [p, p + STEP) of a line as pairs of whole numbers.
INLINE vec_int line_pairs(const char *line, int64_t p, int64_t depth, enum loam_dtype dtype, vec inverse)
{
    if (dtype == LOAM_BF16 && p + STEP <= depth) {
        const vec_int pairs = load_pairs(line + p * 2);
        return join_halves(whole_bits((vec)(pairs << 16), inverse),
                           whole_bits((vec)(pairs & (int32_t)0xFFFF0000), inverse));
    }
    const vec low = load_any(line, p, depth, dtype);
    const vec high = p + LANES < depth ? load_any(line, p + LANES, depth, dtype) : splat(0);
    return pack_halves(whole(low, inverse), whole(high, inverse));
}

// A group of `depth` elements of `count` lines that are contiguous and `line` elements apart. Past `count`
// the last line again: nobody reads those sums.
INLINE void pack_lines(const struct part *part, const void *source, int64_t line, int64_t count,
                       int64_t depth, enum loam_dtype dtype)
{
    const char *lines[LANES];
    for (int64_t i = 0; i < LANES; i++)
        lines[i] = (const char *)source + min64(i, count - 1) * line * (dtype == LOAM_F32 ? 4 : 2);
    const struct exponents exponents = choose_exponents(lines_largest(lines, depth, dtype));
    store_f32(part->units, exponents.unit);
    for (int64_t p = 0; p < depth; p += STEP) {
        vec block[LANES];
#pragma GCC unroll 16
        for (int64_t i = 0; i < LANES; i++)
            block[i] = (vec)line_pairs(lines[i], p, depth, dtype, splat(exponents.inverse[i]));
        transpose_vec(block);
#pragma GCC unroll 16
        for (int64_t i = 0; i < LANES; i++)
            memcpy(part->pairs + (p / 2 + i) * part->width, &block[i], sizeof block[i]);
    }
}

// The largest magnitudes of `depth` elements, `bytes` apart, of `count` adjacent lines.
INLINE vec_int columns_largest(const char *rows, int64_t bytes, int64_t count, int64_t depth,
                               enum loam_dtype dtype)
{
    if (dtype == LOAM_BF16 && count == LANES) {
        vec_half halves = {0};
        for (int64_t p = 0; p < depth; p++)
            halves = larger_half(halves, load_half(rows + p * bytes) & 0x7FFF);
        return (vec_int)load_bf16((const uint16_t *)&halves);
    }
    vec_int largest = {0};
    for (int64_t p = 0; p < depth; p++)
        largest = larger_int(largest, magnitude(load_any(rows + p * bytes, 0, count, dtype)));
    return largest;
}

// The same where `count` lines are adjacent and the elements of each `stride` elements apart; zero past
// `count`.
INLINE void pack_columns(const struct part *part, const void *source, int64_t stride, int64_t count,
                         int64_t depth, enum loam_dtype dtype)
{
    const char *rows = source;
    const int64_t bytes = stride * (dtype == LOAM_F32 ? 4 : 2);
    const struct exponents exponents = choose_exponents(columns_largest(rows, bytes, count, depth, dtype));
    store_f32(part->units, exponents.unit);
    for (int64_t p = 0; p < round_up(depth, STEP); p += 2) {
        vec_int first = {0}, second = {0};
        if (p < depth) first = whole_bits(load_any(rows + p * bytes, 0, count, dtype), exponents.inverse);
        if (p + 1 < depth)
            second = whole_bits(load_any(rows + (p + 1) * bytes, 0, count, dtype), exponents.inverse);
        const vec_int pairs = join_halves(first, second);
        memcpy(part->pairs + p / 2 * part->width, &pairs, sizeof pairs);
    }
}

INLINE void pack_group(const struct part *part, const void *source, int64_t line, int64_t stride,
                       int64_t count, int64_t depth, enum loam_dtype dtype)
{
    if (stride == 1)
        pack_lines(part, source, line, count, depth, dtype);
    else
        pack_columns(part, source, stride, count, depth, dtype);
}

// `count` lines of the operand from its element at `source` on, `depth` elements of each, group by group. In
// whole groups of whole vectors no element is asked whether it is there.
INLINE void pack(struct part part, const void *source, int64_t line, int64_t stride, int64_t count,
                 int64_t depth, enum loam_dtype dtype)
{
    const int64_t size = dtype == LOAM_F32 ? 4 : 2;
    for (int64_t p = 0; p < depth; p += GROUP) {
        const int64_t group = min64(GROUP, depth - p);
        const void *from = (const char *)source + p * stride * size;
        if (group == GROUP && count == LANES)
            pack_group(&part, from, line, stride, LANES, GROUP, dtype);
        else if (group == GROUP)
            pack_group(&part, from, line, stride, count, GROUP, dtype);
        else
            pack_group(&part, from, line, stride, count, group, dtype);
        part.pairs += GROUP / 2 * part.width;
        part.units += part.units_row;
    }
}

static void pack_operand(struct part part, const void *source, int64_t line, int64_t stride, int64_t count,
                         int64_t depth, enum loam_dtype dtype)
{
    if (stride == 1 && dtype == LOAM_F32) pack(part, source, line, 1, count, depth, LOAM_F32);
    if (stride == 1 && dtype == LOAM_BF16) pack(part, source, line, 1, count, depth, LOAM_BF16);
    if (stride == 1 && dtype == LOAM_F16) pack(part, source, line, 1, count, depth, LOAM_F16);
    if (stride != 1 && dtype == LOAM_F32) pack(part, source, line, stride, count, depth, LOAM_F32);
    if (stride != 1 && dtype == LOAM_BF16) pack(part, source, line, stride, count, depth, LOAM_BF16);
    if (stride != 1 && dtype == LOAM_F16) pack(part, source, line, stride, count, depth, LOAM_F16);
}

// A slice of b, packed.
struct packed_b {
    int32_t *pairs; // in panels [DEPTH / 2, PANEL] of pairs along k
    float *units;   // [SLICE_GROUPS, units_row]
    int64_t units_row;
};

// Rows [p, p + depth) and columns [column, column + columns) of b. Half a panel that has no columns stays as
// it is.
static void pack_b(const struct packed_b *packed, const struct gemm_operand *b, int64_t column,
                   int64_t columns, int64_t p, int64_t depth)
{
    for (int64_t j = 0; j < columns; j += LANES) {
        const int64_t panel = j / PANEL * PANEL;
        const struct part part = {packed->pairs + panel * (DEPTH / 2) + (j - panel), packed->units + j, PANEL,
                                  packed->units_row};
        pack_operand(part, element(b, p, column + j), b->column, b->row, min64(LANES, columns - j), depth,
                     b->dtype);
    }
}

// TASK_ROWS rows of a or fewer, packed: slices of k, of these panels, each with room for the vector that is
// written past its end, so that the threads can share them out.
struct packed_a {
    int32_t *pairs; // [slices, panels, PANEL_PAIRS]
    float *units;   // [slices, SLICE_GROUPS, panels, LANES]
    int64_t panels;
};

enum { PANEL_PAIRS = DEPTH / 2 * ROWS + LANES };

// Panel `panel` of slice `slice`.
static struct part part_of_a(const struct packed_a *a, int64_t slice, int64_t panel)
{
    return (struct part){.pairs = a->pairs + (slice * a->panels + panel) * PANEL_PAIRS,
                         .units = a->units + (slice * SLICE_GROUPS * a->panels + panel) * LANES,
                         .width = ROWS,
                         .units_row = a->panels * LANES};
}

// The panel that starts at row `row` of the product's a, of its `rows` rows.
static void pack_a(const struct part *part, const struct gemm *gemm, int64_t row, int64_t rows, int64_t p)
{
    const struct gemm_operand *a = &gemm->a;
    pack_operand(*part, element(a, row, p), a->row, a->column, rows, min64(DEPTH, gemm->k - p), a->dtype);
}

// ---- a tile ----

// c = sums + bias + add, for `columns` columns of one row.
INLINE void finish_row(const struct gemm *gemm, const float *sums, int64_t row, int64_t column,
                       int64_t columns)
{
    const int64_t size = gemm->c_bf16 ? 2 : 4;
    const char *bias = gemm->bias, *add = gemm->add;
    if (bias != NULL) bias += column * (gemm->bias_bf16 ? 2 : 4);
    if (add != NULL) add += (row * gemm->add_row + column) * size;
    char *c = (char *)gemm->c + (row * gemm->c_row + column) * size;
    for (int64_t j = 0; j < columns; j += LANES) {
        vec value = load_f32(sums + j);
        if (bias != NULL) value += load(bias, j, columns, gemm->bias_bf16);
        if (add != NULL) value += load(add, j, columns, gemm->c_bf16);
        store(c, j, columns, value, gemm->c_bf16);
    }
}

// sums [ROWS, PANEL] (+)= units_a unitsT_b * a [pairs, ROWS]T b [pairs, PANEL], the products of one group.
INLINE void group_product(const int32_t *a, const float *units_a, const int32_t *b, const float *units_b,
                          int64_t pairs, float *sums, int64_t sums_row, bool accumulate)
{
    vec_int sum[ROWS][2];
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++)
        sum[i][0] = sum[i][1] = splat_int(0);
#pragma GCC unroll 4
    for (int64_t p = 0; p < pairs; p++, a += ROWS, b += PANEL) {
        const vec_int b0 = load_int(b), b1 = load_int(b + LANES);
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; i++) {
            const vec_int left = splat_int(a[i]);
            sum[i][0] = add_products(sum[i][0], left, b0);
            sum[i][1] = add_products(sum[i][1], left, b1);
        }
    }
    const vec unit0 = load_f32(units_b), unit1 = load_f32(units_b + LANES);
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++, sums += sums_row) {
        vec sum0 = to_float(sum[i][0]) * (unit0 * units_a[i]),
            sum1 = to_float(sum[i][1]) * (unit1 * units_a[i]);
        if (accumulate) {
            sum0 += load_f32(sums);
            sum1 += load_f32(sums + LANES);
        }
        store_f32(sums, sum0);
        store_f32(sums + LANES, sum1);
    }
}

// ---- a task ----

struct task {
    int64_t first;     // row of c that a begins with
    int64_t row, rows; // of a, whole panels but for the last
    int64_t column, columns;
    struct packed_a a;
    struct packed_b b; // the task's columns
    float *sums;       // [rows, columns], rounded up to tiles
};

// A slice of k.
struct slice {
    int64_t index, depth;
    bool first, last;
};

// The tile of sums at row i of a and column j of the task, group by group.
static void tile_product(const struct task *task, int64_t i, int64_t j, const struct slice *slice,
                         float *sums, int64_t width)
{
    struct part a = part_of_a(&task->a, slice->index, i / ROWS);
    const int32_t *b = task->b.pairs + j * (DEPTH / 2);
    const float *units_b = task->b.units + j;
    for (int64_t p = 0; p < slice->depth; p += GROUP) {
        const int64_t pairs = round_up(min64(GROUP, slice->depth - p), STEP) / 2;
        group_product(a.pairs, a.units, b, units_b, pairs, sums, width, !slice->first || p > 0);
        a.pairs += GROUP / 2 * ROWS;
        a.units += a.units_row;
        b += GROUP / 2 * PANEL;
        units_b += task->b.units_row;
    }
}

// `rows` rows of the task from `row` on.
static void block_product(const struct gemm *gemm, const struct task *task, int64_t row, int64_t rows,
                          const struct slice *slice)
{
    const int64_t width = round_up(task->columns, PANEL), first = task->first + task->row;
    for (int64_t j = 0; j < task->columns; j += PANEL) {
        const int64_t columns = min64(PANEL, task->columns - j);
        for (int64_t i = row; i < row + rows; i += ROWS) {
            float *sums = task->sums + i * width + j;
            tile_product(task, task->row + i, j, slice, sums, width);
            for (int64_t t = i; slice->last && t < min64(i + ROWS, row + rows); t++, sums += width)
                finish_row(gemm, sums, first + t, task->column + j, columns);
        }
    }
}

static void run_task(const struct gemm *gemm, const struct task *task)
{
    for (int64_t p = 0; p < gemm->k; p += DEPTH) {
        const int64_t depth = min64(DEPTH, gemm->k - p);
        const struct slice slice = {p / DEPTH, depth, p == 0, p + depth == gemm->k};
        pack_b(&task->b, &gemm->b, task->column, task->columns, p, depth);
        for (int64_t row = 0; row < task->rows; row += BLOCK_ROWS)
            block_product(gemm, task, row, min64(BLOCK_ROWS, task->rows - row), &slice);
    }
}

// ---- the product ----

// How up to TASK_ROWS rows of c are cut: all rows of a task share its packed b.
struct cut {
    int64_t rows, columns; // of a task, whole tiles
    int64_t row_tasks, column_tasks;
};

static int64_t part(int64_t count, int64_t parts, int64_t unit)
{
    return round_up((count + parts - 1) / parts, unit);
}

// Blocks as large as scratch allows, and as square as the threads, each with the same number of them, allow.
static struct cut cut_product(int64_t m, int64_t n, int64_t threads)
{
    struct cut cut = {.row_tasks = 1, .column_tasks = (n + TASK_COLUMNS - 1) / TASK_COLUMNS};
    while (cut.row_tasks * cut.column_tasks < threads) {
        int64_t *longer = m / cut.row_tasks > n / cut.column_tasks ? &cut.row_tasks : &cut.column_tasks;
        *longer *= 2;
    }
    while (cut.row_tasks * cut.column_tasks % threads != 0)
        cut.column_tasks++;
    cut.rows = part(m, cut.row_tasks, ROWS);
    cut.columns = part(n, cut.column_tasks, PANEL);
    cut.row_tasks = (m + cut.rows - 1) / cut.rows;
    cut.column_tasks = (n + cut.columns - 1) / cut.columns;
    return cut;
}

enum { ALIGN = 16, SERIAL = 1 << 20 }; // floats; multiplications that are not worth waking a thread

// Memory, in floats or pairs, which are as large: a's, and each thread's.
struct layout {
    int64_t panels, a, units_a;
    int64_t b, units_b, units_b_row, sums;
};

static struct layout layout_product(int64_t m, int64_t k, const struct cut *cut)
{
    const int64_t slices = (k + DEPTH - 1) / DEPTH, panels = (min64(m, TASK_ROWS) + ROWS - 1) / ROWS;
    struct layout layout = {.panels = panels, .units_b_row = round_up(cut->columns + LANES, ALIGN)};
    layout.a = round_up(slices * panels * PANEL_PAIRS, ALIGN);
    layout.units_a = round_up(slices * SLICE_GROUPS * panels * LANES, ALIGN);
    layout.b = round_up(cut->columns * DEPTH / 2 + LANES, ALIGN);
    layout.units_b = SLICE_GROUPS * layout.units_b_row;
    layout.sums = round_up(cut->rows * cut->columns, ALIGN);
    return layout;
}

static int64_t thread_floats(const struct layout *layout)
{
    return layout->b + layout->units_b + layout->sums;
}

// However it will be cut: so that a smaller product never takes more.
size_t cpu_gemm_scratch(int64_t m, int64_t n, int64_t k, int threads)
{
    const struct cut largest = {.rows = round_up(min64(m, TASK_ROWS), ROWS),
                                .columns = round_up(min64(n, TASK_COLUMNS), PANEL)};
    const struct layout layout = layout_product(m, k, &largest);
    return (size_t)(layout.a + layout.units_a + thread_floats(&layout) * threads) * sizeof(float);
}

// A thread's part of the memory behind a's.
static void place_task(struct task *task, const struct layout *layout, float *scratch)
{
    float *memory = scratch + layout->a + layout->units_a + omp_get_thread_num() * thread_floats(layout);
    task->a = (struct packed_a){(int32_t *)scratch, scratch + layout->a, layout->panels};
    task->b = (struct packed_b){(int32_t *)memory, memory + layout->b, layout->units_b_row};
    task->sums = memory + layout->b + layout->units_b;
}

// Rows [first, first + rows) of c, by the threads of the parallel region that this is called in.
static void product_of_rows(const struct gemm *gemm, int64_t first, int64_t rows, const struct cut *cut,
                            const struct layout *layout, float *scratch)
{
    struct task task = {.first = first};
    place_task(&task, layout, scratch);
#pragma omp for collapse(2) schedule(static)
    for (int64_t p = 0; p < gemm->k; p += DEPTH)
        for (int64_t row = 0; row < rows; row += ROWS) {
            const struct part part = part_of_a(&task.a, p / DEPTH, row / ROWS);
            pack_a(&part, gemm, first + row, min64(ROWS, rows - row), p);
        }
#pragma omp for collapse(2) schedule(static)
    for (int64_t i = 0; i < cut->row_tasks; i++)
        for (int64_t j = 0; j < cut->column_tasks; j++) {
            task.row = i * cut->rows;
            task.rows = min64(cut->rows, rows - task.row);
            task.column = j * cut->columns;
            task.columns = min64(cut->columns, gemm->n - task.column);
            run_task(gemm, &task);
        }
}

void cpu_gemm(const struct gemm *gemm, void *scratch, int threads)
{
    if (gemm->m * gemm->n * gemm->k <= SERIAL) threads = 1;
#pragma omp parallel num_threads(threads) if (threads > 1)
    for (int64_t first = 0; first < gemm->m; first += TASK_ROWS) {
        const int64_t rows = min64(TASK_ROWS, gemm->m - first);
        const struct cut cut = cut_product(rows, gemm->n, threads);
        const struct layout layout = layout_product(rows, gemm->k, &cut);
        product_of_rows(gemm, first, rows, &cut, &layout, scratch);
    }
}
