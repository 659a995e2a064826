// The product is cut into tasks, blocks of c that share nothing. A task goes through k in slices: a slice of
// b is packed into panels of PANEL columns, then blocks of rows of a into panels of ROWS rows, and a tile of
// c, ROWS x PANEL, is summed in registers (Goto and van de Geijn 2008). Between slices the sums wait in f32;
// the last slice adds bias and residual and rounds.
#include "device/cpu/simd/gemm.h"

#include <omp.h>

#include "device/cpu/simd/vector.h"

enum {
    ROWS = LANES == 16  ? 14
           : LANES == 8 ? 6
                        : 4, // of a tile: as many as registers allow, at most LANES
    PANEL = 2 * LANES,       // columns of a tile
    DEPTH = 512,             // of a slice: a panel of b stays in the first cache
    BLOCK_ROWS = 12 * ROWS,  // of a that are packed at a time, for the second cache
    TASK_ROWS = 1024,
    TASK_COLUMNS = 512, // a multiple of PANEL at every level
};

static int64_t min64(int64_t x, int64_t y)
{
    return x < y ? x : y;
}

static int64_t round_up(int64_t count, int64_t unit)
{
    return (count + unit - 1) / unit * unit;
}

// ---- packing ----

static const void *element(const struct gemm_operand *operand, int64_t row, int64_t column)
{
    const int64_t index = row * operand->row + column * operand->column;
    return (const char *)operand->data + index * (operand->bf16 ? 2 : 4);
}

// Packs `depth` groups of up to LANES floats, `width` apart: group p holds element p of each of `count` lines
// that are contiguous and `line` elements apart. Past `count` the last line again (nobody reads those sums),
// and whole vectors are written, so up to LANES floats past the last group.
INLINE void pack_lines(float *target, int64_t width, const void *source, int64_t line, int64_t count,
                       int64_t depth, bool bf16)
{
    const char *lines[LANES];
    for (int64_t i = 0; i < LANES; i++)
        lines[i] = (const char *)source + min64(i, count - 1) * line * (bf16 ? 2 : 4);
    vec block[LANES];
    int64_t p = 0;
    for (; p + LANES <= depth; p += LANES) {
#pragma GCC unroll 16
        for (int64_t i = 0; i < LANES; i++)
            block[i] = load(lines[i], p, INT64_MAX, bf16);
        transpose_vec(block);
#pragma GCC unroll 16
        for (int64_t i = 0; i < LANES; i++)
            store_f32(target + (p + i) * width, block[i]);
    }
    if (p == depth) return;
    for (int64_t i = 0; i < LANES; i++)
        block[i] = load(lines[i], p, depth, bf16);
    transpose_vec(block);
    for (int64_t i = 0; p + i < depth; i++)
        store_f32(target + (p + i) * width, block[i]);
}

// The same where the elements of a group are contiguous and the groups `group` elements apart; zero past
// `count`.
INLINE void pack_groups(float *target, int64_t width, const void *source, int64_t group, int64_t count,
                        int64_t depth, bool bf16)
{
    const char *groups = source;
    for (int64_t p = 0; p < depth; p++, groups += group * (bf16 ? 2 : 4), target += width)
        store_f32(target, load(groups, 0, count, bf16));
}

// One LANES-wide part of a panel.
static void pack(float *target, int64_t width, const void *source, int64_t line, int64_t group, int64_t count,
                 int64_t depth, bool bf16)
{
    if (group == 1 && bf16) pack_lines(target, width, source, line, count, depth, true);
    if (group == 1 && !bf16) pack_lines(target, width, source, line, count, depth, false);
    if (group != 1 && bf16) pack_groups(target, width, source, group, count, depth, true);
    if (group != 1 && !bf16) pack_groups(target, width, source, group, count, depth, false);
}

// Rows [row, row + rows) and columns [p, p + depth) of a, in panels [depth, ROWS].
static void pack_a(float *target, const struct gemm_operand *a, int64_t row, int64_t rows, int64_t p,
                   int64_t depth)
{
    for (int64_t i = 0; i < rows; i += ROWS, target += depth * ROWS)
        pack(target, ROWS, element(a, row + i, p), a->row, a->column, min64(ROWS, rows - i), depth, a->bf16);
}

// Rows [p, p + depth) and columns [column, column + columns) of b, in panels [depth, PANEL]. Half a panel
// that has no columns stays as it is.
static void pack_b(float *target, const struct gemm_operand *b, int64_t column, int64_t columns, int64_t p,
                   int64_t depth)
{
    for (int64_t j = 0; j < columns; j += PANEL, target += depth * PANEL)
        for (int64_t half = 0; half < min64(PANEL, columns - j); half += LANES)
            pack(target + half, PANEL, element(b, p, column + j + half), b->column, b->row,
                 min64(LANES, columns - j - half), depth, b->bf16);
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

// sums (+)= a [depth, ROWS]T b [depth, PANEL]
static void tile_product(const float *a, const float *b, int64_t depth, float *sums, int64_t sums_row,
                         bool accumulate)
{
    vec sum[ROWS][2];
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++)
        sum[i][0] = sum[i][1] = splat(0);
    for (int64_t p = 0; p < depth; p++, a += ROWS, b += PANEL) {
        const vec b0 = load_f32(b), b1 = load_f32(b + LANES);
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; i++) {
            const vec left = splat(a[i]);
            sum[i][0] += left * b0;
            sum[i][1] += left * b1;
        }
    }
    if (accumulate) {
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; i++) {
            sum[i][0] += load_f32(sums + i * sums_row);
            sum[i][1] += load_f32(sums + i * sums_row + LANES);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) {
        store_f32(sums + i * sums_row, sum[i][0]);
        store_f32(sums + i * sums_row + LANES, sum[i][1]);
    }
}

// ---- a task ----

struct task {
    int64_t row, rows, column, columns;
    float *a;    // [BLOCK_ROWS, DEPTH] packed, and a vector
    float *b;    // [DEPTH, columns] packed, and a vector
    float *sums; // [rows, columns], rounded up to tiles
};

// A slice of k.
struct slice {
    int64_t depth;
    bool first, last;
};

// `rows` rows of the task from `row` on, which are packed in task->a.
static void block_product(const struct gemm *gemm, const struct task *task, int64_t row, int64_t rows,
                          const struct slice *slice)
{
    const int64_t width = round_up(task->columns, PANEL);
    for (int64_t j = 0; j < task->columns; j += PANEL) {
        const int64_t columns = min64(PANEL, task->columns - j);
        for (int64_t i = 0; i < rows; i += ROWS) {
            float *sums = task->sums + (row + i) * width + j;
            tile_product(task->a + i * slice->depth, task->b + j * slice->depth, slice->depth, sums, width,
                         !slice->first);
            for (int64_t t = i; slice->last && t < min64(i + ROWS, rows); t++, sums += width)
                finish_row(gemm, sums, task->row + row + t, task->column + j, columns);
        }
    }
}

static void run_task(const struct gemm *gemm, const struct task *task)
{
    for (int64_t p = 0; p < gemm->k; p += DEPTH) {
        const int64_t depth = min64(DEPTH, gemm->k - p);
        const struct slice slice = {depth, p == 0, p + depth == gemm->k};
        pack_b(task->b, &gemm->b, task->column, task->columns, p, depth);
        for (int64_t row = 0; row < task->rows; row += BLOCK_ROWS) {
            const int64_t rows = min64(BLOCK_ROWS, task->rows - row);
            pack_a(task->a, &gemm->a, task->row + row, rows, p, depth);
            block_product(gemm, task, row, rows, &slice);
        }
    }
}

// ---- the product ----

// How c is cut: all of a task's rows share its packed b, all of its columns its packed a.
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
    struct cut cut = {.row_tasks = (m + TASK_ROWS - 1) / TASK_ROWS,
                      .column_tasks = (n + TASK_COLUMNS - 1) / TASK_COLUMNS};
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

// A thread's memory, in floats.
struct layout {
    int64_t a, b, sums;
};

static struct layout layout_task(const struct cut *cut)
{
    return (struct layout){round_up((int64_t)BLOCK_ROWS * DEPTH + LANES, ALIGN),
                           round_up(cut->columns * DEPTH + LANES, ALIGN),
                           round_up(cut->rows * cut->columns, ALIGN)};
}

static int64_t thread_floats(const struct layout *layout)
{
    return layout->a + layout->b + layout->sums;
}

// However it will be cut: so that a smaller product never takes more.
size_t cpu_gemm_scratch(int64_t m, int64_t n, int threads)
{
    const struct cut largest = {.rows = round_up(min64(m, TASK_ROWS), ROWS),
                                .columns = round_up(min64(n, TASK_COLUMNS), PANEL)};
    const struct layout layout = layout_task(&largest);
    return (size_t)thread_floats(&layout) * (size_t)threads * sizeof(float);
}

void cpu_gemm(const struct gemm *gemm, void *scratch, int threads)
{
    if (gemm->m * gemm->n * gemm->k <= SERIAL) threads = 1;
    const struct cut cut = cut_product(gemm->m, gemm->n, threads);
    const struct layout layout = layout_task(&cut);
#pragma omp parallel for collapse(2) schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t i = 0; i < cut.row_tasks; i++)
        for (int64_t j = 0; j < cut.column_tasks; j++) {
            const int64_t row = i * cut.rows, column = j * cut.columns;
            float *mine = (float *)scratch + omp_get_thread_num() * thread_floats(&layout);
            const struct task task = {.row = row,
                                      .rows = min64(cut.rows, gemm->m - row),
                                      .column = column,
                                      .columns = min64(cut.columns, gemm->n - column),
                                      .a = mine,
                                      .b = mine + layout.a,
                                      .sums = mine + layout.a + layout.b};
            run_task(gemm, &task);
        }
}
