// All threads pack a into panels of ROWS rows, TASK_ROWS rows at a time; then these rows of c are cut into
// tasks, blocks that share nothing else. A task goes through k in slices: a slice of b is packed into panels
// of PANEL columns, and against blocks of a's rows a tile of c, ROWS x PANEL, is summed in registers (Goto
// and van de Geijn 2008). Between slices the sums wait in f32; the last slice adds bias and residual and
// rounds.
#include "device/cpu/simd/gemm.h"

#include <omp.h>

#include "device/cpu/simd/gemm_kernel.h"

enum {
    BLOCK_ROWS = 8 * ROWS, // of a against a panel of b, for the second cache
    TASK_ROWS = 2048,
    TASK_COLUMNS = LANES == 16 ? 64 : 512, // PANEL times a power of two
    TASKS_EACH = LANES == 16 ? 16 : 2,     // for each thread, where columns are enough
};

// ---- packing ----

static const void *element(const struct gemm_operand *operand, int64_t row, int64_t column)
{
    const int64_t index = row * operand->row + column * operand->column;
    return (const char *)operand->data + index * (int64_t)loam_dtype_size(operand->dtype);
}

// A slice of b, packed.
struct packed_b {
    int32_t *pairs; // in panels [DEPTH / 2, PANEL] of pairs along k
    float *units;   // [SLICE_GROUPS, units_row]
    int64_t units_row;
};

// Its columns from column j on, and its elements from p on, whole groups.
static struct part part_of_b(const struct packed_b *b, int64_t j, int64_t p)
{
    const int64_t panel = j / PANEL * PANEL;
    return (struct part){.pairs = b->pairs + panel * (DEPTH / 2) + p / 2 * PANEL + (j - panel),
                         .units = b->units + p / GROUP * b->units_row + j,
                         .width = PANEL,
                         .units_row = b->units_row};
}

// Rows [p, p + depth) and columns [column, column + columns) of b. Rows that are contiguous go a group after
// the other, and a whole panel of each, so that a cache line is still near when the next of its columns are
// packed. Half a panel that has no columns stays as it is.
static void pack_b(const struct gemm_kernel *kernel, const struct packed_b *packed,
                   const struct gemm_operand *b, int64_t column, int64_t columns, int64_t p, int64_t depth)
{
    const bool along_k = b->row == 1;
    const int64_t step = along_k ? depth : GROUP, wide = along_k ? LANES : PANEL;
    for (int64_t group = 0; group < depth; group += step)
        for (int64_t j = 0; j < columns; j += wide) {
            const struct part part = part_of_b(packed, j, group);
            const struct gemm_lines lines = {.first = element(b, (p + group) / kernel->halves, column + j),
                                             .count = gemm_min(wide, columns - j),
                                             .depth = gemm_min(step, depth - group),
                                             .line = b->column,
                                             .element = b->row,
                                             .dtype = b->dtype};
            kernel->pack(&part, &lines);
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
static void pack_a(const struct gemm_kernel *kernel, const struct part *part, const struct gemm *gemm,
                   int64_t row, int64_t rows, int64_t p)
{
    const struct gemm_operand *a = &gemm->a;
    const struct gemm_lines lines = {.first = element(a, row, p / kernel->halves),
                                     .count = rows,
                                     .depth = gemm_min(DEPTH, gemm->k * kernel->halves - p),
                                     .line = a->row,
                                     .element = a->column,
                                     .dtype = a->dtype};
    kernel->pack(part, &lines);
}

// ---- a tile ----

// c = sums + bias + add, for one row of the tile.
INLINE void finish_row(const struct gemm *gemm, const struct gemm_tile *tile, int64_t i)
{
    const int64_t size = gemm->c_bf16 ? 2 : 4, row = tile->row + i, columns = tile->columns;
    const float *sums = tile->sums + i * tile->sums_row;
    const char *bias = gemm->bias, *add = gemm->add;
    if (bias != NULL) bias += tile->column * (gemm->bias_bf16 ? 2 : 4);
    if (add != NULL) add += (row * gemm->add_row + tile->column) * size;
    char *c = (char *)gemm->c + (row * gemm->c_row + tile->column) * size;
    for (int64_t j = 0; j < columns; j += LANES) {
        vec value = load_f32(sums + j);
        if (bias != NULL) value += load(bias, j, columns, gemm->bias_bf16);
        if (add != NULL) value += load(add, j, columns, gemm->c_bf16);
        store(c, j, columns, value, gemm->c_bf16);
    }
}

static void finish_tile(const struct gemm *gemm, const struct gemm_tile *tile)
{
    for (int64_t i = 0; gemm->finish == NULL && i < tile->rows; i++)
        finish_row(gemm, tile, i);
    if (gemm->finish != NULL) gemm->finish(gemm->context, tile);
}

// Asks for the memory that the tile will be written to, to come while it is summed.
INLINE void fetch_c(const struct gemm *gemm, const struct gemm_tile *tile)
{
    if (gemm->c == NULL) return;
    const int64_t size = gemm->c_bf16 ? 2 : 4;
    for (int64_t i = 0; i < tile->rows; i++) {
        const char *c = (const char *)gemm->c + ((tile->row + i) * gemm->c_row + tile->column) * size;
        for (int64_t byte = 0; byte < tile->columns * size; byte += CACHE_LINE)
            __builtin_prefetch(c + byte, 1, 2);
    }
}

// ---- a task ----

struct task {
    const struct gemm_kernel *kernel;
    int64_t first;     // row of c that a begins with
    int64_t row, rows; // of a, whole panels but for the last
    int64_t column, columns;
    int64_t next; // column that the thread's next task begins with, or -1
    struct packed_a a;
    struct packed_b b; // the task's columns
    float *sums;       // [rows, columns], rounded up to tiles
};

// A slice of k.
struct slice {
    int64_t index, depth;
    bool first, last;
};

// `rows` rows of the task from `row` on. The sums of the last slice go no further than the first cache.
static void block_product(const struct gemm *gemm, const struct task *task, int64_t row, int64_t rows,
                          const struct slice *slice, struct ahead *ahead)
{
    const int64_t width = gemm_round_up(task->columns, PANEL), first = task->first + task->row;
    float finished[ROWS * PANEL];
    for (int64_t j = 0; j < task->columns; j += PANEL) {
        const struct part b = part_of_b(&task->b, j, 0);
        for (int64_t i = row; i < row + rows; i += ROWS) {
            const struct part a = part_of_a(&task->a, slice->index, (task->row + i) / ROWS);
            struct gemm_tile tile = {.sums_row = PANEL,
                                     .row = first + i,
                                     .rows = gemm_min(ROWS, row + rows - i),
                                     .column = task->column + j,
                                     .columns = gemm_min(PANEL, task->columns - j)};
            float *sums = task->sums + i * width + j;
            const struct tile_sums to = {slice->first ? NULL : sums, slice->last ? finished : sums, width,
                                         slice->last ? PANEL : width};
            if (slice->last) fetch_c(gemm, &tile);
            task->kernel->tile(&a, &b, slice->depth, &to, ahead);
            tile.sums = finished;
            if (slice->last) finish_tile(gemm, &tile);
        }
    }
}

// Rows [p, p + depth) and columns [column, column + columns) of b.
static struct ahead lines_of_b(const struct gemm_operand *b, int64_t column, int64_t columns, int64_t p,
                               int64_t depth)
{
    const int64_t size = (int64_t)loam_dtype_size(b->dtype);
    const bool along_k = b->row == 1;
    const char *run = element(b, p, column);
    const int64_t before = (int64_t)((uintptr_t)run % CACHE_LINE); // files do not align their tensors
    const int64_t bytes = before + (along_k ? depth : columns) * size;
    return (struct ahead){.run = run - before,
                          .runs = along_k ? columns : depth,
                          .lines = (bytes + CACHE_LINE - 1) / CACHE_LINE,
                          .stride = (along_k ? b->column : b->row) * size};
}

// What is packed after the slice, which has `depth` elements along k: the next slice, or the first one of the
// next task.
static struct ahead look_ahead(const struct gemm *gemm, const struct task *task, int64_t p, int64_t depth)
{
    const int64_t halves = task->kernel->halves, whole = DEPTH / halves, end = p / halves + depth;
    struct ahead ahead = {0};
    if (end < gemm->k)
        ahead = lines_of_b(&gemm->b, task->column, task->columns, end, gemm_min(whole, gemm->k - end));
    else if (task->next >= 0)
        ahead = lines_of_b(&gemm->b, task->next, gemm_min(task->columns, gemm->n - task->next), 0,
                           gemm_min(whole, gemm->k));
    const int64_t tiles = (task->rows + ROWS - 1) / ROWS * ((task->columns + PANEL - 1) / PANEL);
    const int64_t pairs = gemm_round_up(depth * halves, STEP) / 2;
    ahead.wait = (tiles - 1) * (pairs / PAIRS_A_LINE) - ahead.runs * ahead.lines;
    return ahead;
}

// The panels of a that follow: from row `row` of the task's on, or the first of the next slice.
static struct ahead block_ahead(const struct task *task, int64_t row, const struct slice *slice)
{
    int64_t index = slice->index;
    if (row >= task->rows) {
        row = 0;
        index = slice->last ? 0 : index + 1;
    }
    const struct part part = part_of_a(&task->a, index, (task->row + row) / ROWS);
    const int64_t panels = (gemm_min(BLOCK_ROWS, task->rows - row) + ROWS - 1) / ROWS;
    return (struct ahead){.run = (const char *)part.pairs,
                          .runs = 1,
                          .lines = panels * PANEL_PAIRS * (int64_t)sizeof(int32_t) / CACHE_LINE};
}

static void run_task(const struct gemm *gemm, const struct task *task)
{
    const int64_t halves = task->kernel->halves, k = gemm->k * halves;
    for (int64_t p = 0; p < k; p += DEPTH) {
        const int64_t depth = gemm_min(DEPTH, k - p);
        const struct slice slice = {p / DEPTH, depth, p == 0, p + depth == k};
        struct ahead ahead[AHEAD] = {{0}, look_ahead(gemm, task, p, depth / halves)};
        pack_b(task->kernel, &task->b, &gemm->b, task->column, task->columns, p, depth);
        for (int64_t row = 0; row < task->rows; row += BLOCK_ROWS) {
            ahead[0] = block_ahead(task, row + BLOCK_ROWS, &slice);
            block_product(gemm, task, row, gemm_min(BLOCK_ROWS, task->rows - row), &slice, ahead);
        }
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
    return gemm_round_up((count + parts - 1) / parts, unit);
}

// Columns as narrow as it takes to have some tasks for each thread, then rows.
static struct cut cut_product(int64_t m, int64_t n, int64_t threads)
{
    struct cut cut = {.columns = TASK_COLUMNS, .row_tasks = 1};
    while (cut.columns > PANEL && (n + cut.columns - 1) / cut.columns < threads * TASKS_EACH)
        cut.columns /= 2;
    cut.column_tasks = (n + cut.columns - 1) / cut.columns;
    while (cut.row_tasks * cut.column_tasks < threads)
        cut.row_tasks++;
    cut.rows = part(m, cut.row_tasks, ROWS);
    cut.row_tasks = (m + cut.rows - 1) / cut.rows;
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
    const int64_t slices = (k + DEPTH - 1) / DEPTH, panels = (gemm_min(m, TASK_ROWS) + ROWS - 1) / ROWS;
    struct layout layout = {.panels = panels, .units_b_row = gemm_round_up(cut->columns + LANES, ALIGN)};
    layout.a = gemm_round_up(slices * panels * PANEL_PAIRS, ALIGN);
    layout.units_a = gemm_round_up(slices * SLICE_GROUPS * panels * LANES, ALIGN);
    layout.b = gemm_round_up(cut->columns * DEPTH / 2 + LANES, ALIGN);
    layout.units_b = SLICE_GROUPS * layout.units_b_row;
    layout.sums = gemm_round_up(cut->rows * cut->columns, ALIGN);
    return layout;
}

static int64_t thread_floats(const struct layout *layout)
{
    return layout->b + layout->units_b + layout->sums;
}

// However it will be cut: so that a smaller product never takes more.
size_t cpu_gemm_scratch(const struct gemm_kernel *kernel, int64_t m, int64_t n, int64_t k, int threads)
{
    const struct cut largest = {.rows = gemm_round_up(gemm_min(m, TASK_ROWS), ROWS),
                                .columns = gemm_round_up(gemm_min(n, TASK_COLUMNS), PANEL)};
    const struct layout layout = layout_product(m, k * kernel->halves, &largest);
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

static int64_t take_task(int64_t *next)
{
    int64_t taken;
#pragma omp atomic capture
    taken = (*next)++;
    return taken;
}

// The tasks go to threads as these become free, since one may get less of its processor than another. A
// thread takes its next task before it runs one, to fetch what that reads, but for the last few.
static void run_tasks(const struct gemm *gemm, struct task *task, int64_t rows, const struct cut *cut,
                      int64_t *next)
{
    const int64_t tasks = cut->row_tasks * cut->column_tasks, early = tasks - 2 * omp_get_num_threads();
    for (int64_t taken = take_task(next), after = -1; taken < tasks; taken = after) {
        after = taken < early ? take_task(next) : -1;
        task->next = after >= 0 && after < tasks ? after % cut->column_tasks * cut->columns : -1;
        task->row = taken / cut->column_tasks * cut->rows;
        task->rows = gemm_min(cut->rows, rows - task->row);
        task->column = taken % cut->column_tasks * cut->columns;
        task->columns = gemm_min(cut->columns, gemm->n - task->column);
        run_task(gemm, task);
        if (after < 0) after = take_task(next);
    }
}

// Rows [first, first + rows) of c, by the threads of the parallel region that this is called in, which share
// `next`.
static void product_of_rows(const struct gemm *gemm, const struct gemm_kernel *kernel, int64_t first,
                            int64_t rows, const struct cut *cut, const struct layout *layout, float *scratch,
                            int64_t *next)
{
    struct task task = {.kernel = kernel, .first = first};
    place_task(&task, layout, scratch);
#pragma omp single nowait
    *next = 0;
#pragma omp for collapse(2) schedule(dynamic)
    for (int64_t p = 0; p < gemm->k * kernel->halves; p += DEPTH)
        for (int64_t row = 0; row < rows; row += ROWS) {
            const struct part part = part_of_a(&task.a, p / DEPTH, row / ROWS);
            pack_a(task.kernel, &part, gemm, first + row, gemm_min(ROWS, rows - row), p);
        }
    run_tasks(gemm, &task, rows, cut, next);
#pragma omp barrier
}

void cpu_gemm(const struct gemm *gemm, const struct gemm_kernel *kernel, void *scratch, int threads)
{
    if (gemm->m * gemm->n * gemm->k <= SERIAL) threads = 1;
    const int64_t batches = (gemm->m - 1) / TASK_ROWS + 1, at_once = part(gemm->m, batches, ROWS);
    int64_t next;
#pragma omp parallel num_threads(threads) if (threads > 1)
    for (int64_t first = 0; first < gemm->m; first += at_once) {
        const int64_t rows = gemm_min(at_once, gemm->m - first);
        const struct cut cut = cut_product(rows, gemm->n, threads);
        const struct layout layout = layout_product(rows, gemm->k * kernel->halves, &cut);
        product_of_rows(gemm, kernel, first, rows, &cut, &layout, scratch, &next);
    }
}
