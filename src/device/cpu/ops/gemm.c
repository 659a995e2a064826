// All threads pack a into panels of a tile's rows, TASK_ROWS rows at a time. Then these rows of c are cut
// into tasks, which share nothing but the packed a. A task goes through k in slices: a slice of b is packed
// into panels of a tile's columns, and against blocks of a's rows a tile of c is summed in registers (Goto
// and van de Geijn 2008). Between slices the sums wait in f32; the last slice adds bias and residual and
// rounds.
//
// A thread begins with the rows that its `omp for schedule(static)` has in other ops, because a core reads what
// another core wrote many times slower than its own cache. Where rows are many, they are cut into parts for that,
// each with a queue of tasks. A thread that finds its queue empty goes on with the next one.
#include "device/cpu/ops/gemm.h"

#include <omp.h>
#include <string.h>

#include "device/cpu/kernels/sizes.h"
#include "device/cpu/ops/gemm_kernel.h"

enum {
    BLOCK_TILES = 8, // tiles of a's rows against a panel of b, for the second cache
    TASK_ROWS = 2048,
    PART_BLOCKS = 2, // blocks of rows in a part at least: each part packs all of b
    MOST_PARTS = 16, // of the rows
};

#define CPU_LEVEL_SIZES(level, ...)                                                                          \
    _Static_assert((int)level##_GEMM_ROWS * (int)level##_GEMM_COLUMNS <= GEMM_MOST_SUMS, "sums of a tile");
#include "device/cpu/kernels/sizes.def"
#undef CPU_LEVEL_SIZES

// A product with the kernel and sizes that make it.
struct work {
    const struct gemm *gemm;
    const struct gemm_kernel *kernel;
    const struct cpu_context *context;
    struct gemm_blocks blocks;
    int64_t slice_groups, block_rows, panel_pairs; // of a slice; rows of BLOCK_TILES; pairs of a's panel
};

static struct work work_of(const struct cpu_context *context, const struct gemm_kernel *kernel,
                           const struct gemm *gemm)
{
    const struct gemm_blocks *blocks = &context->gemm;
    return (struct work){.gemm = gemm,
                         .kernel = kernel,
                         .context = context,
                         .blocks = *blocks,
                         .slice_groups = blocks->depth / GEMM_GROUP,
                         .block_rows = BLOCK_TILES * blocks->rows,
                         // A vector is written past its end, so that the threads can share the panels out.
                         .panel_pairs = blocks->depth / 2 * blocks->rows + blocks->lanes};
}

// ---- packing ----

static const void *element(const struct gemm_operand *operand, int64_t row, int64_t column)
{
    const int64_t index = row * operand->row + column * operand->column;
    return (const char *)operand->data + index * (int64_t)loam_dtype_size(operand->dtype);
}

// A slice of b, packed.
struct packed_b {
    int32_t *pairs; // in panels [depth / 2, columns of a tile] of pairs along k
    float *units;   // [groups, units_row]
    int64_t units_row;
};

// Its columns from column j on, and its elements from p on, whole groups.
static struct part part_of_b(const struct work *work, const struct packed_b *b, int64_t j, int64_t p)
{
    const int64_t width = work->blocks.columns, panel = j / width * width;
    return (struct part){.pairs = b->pairs + panel * (work->blocks.depth / 2) + p / 2 * width + (j - panel),
                         .units = b->units + p / GEMM_GROUP * b->units_row + j,
                         .width = width,
                         .units_row = b->units_row};
}

// Rows [p, p + depth) and columns [column, column + columns) of b. Rows that are contiguous go a group after
// the other, and a whole panel of each, so that a cache line is still near when the next of its columns are
// packed. Half a panel that has no columns stays as it is.
static void pack_b(const struct work *work, const struct packed_b *packed, int64_t column, int64_t columns,
                   int64_t p, int64_t depth)
{
    const struct gemm_operand *b = &work->gemm->b;
    const bool along_k = b->row == 1;
    const int64_t step = along_k ? depth : GEMM_GROUP;
    const int64_t wide = along_k ? work->blocks.lanes : work->blocks.columns;
    for (int64_t group = 0; group < depth; group += step)
        for (int64_t j = 0; j < columns; j += wide) {
            const struct part part = part_of_b(work, packed, j, group);
            const struct gemm_lines lines = {.first =
                                                 element(b, (p + group) / work->kernel->halves, column + j),
                                             .count = gemm_min(wide, columns - j),
                                             .depth = gemm_min(step, depth - group),
                                             .line = b->column,
                                             .element = b->row,
                                             .dtype = b->dtype};
            work->kernel->pack(&part, &lines);
        }
}

// TASK_ROWS rows of a or fewer, packed: slices of k, of these panels.
struct packed_a {
    int32_t *pairs; // [slices, panels, panel_pairs]
    float *units;   // [slices, groups, panels, lanes]
    int64_t panels;
};

// Panel `panel` of slice `slice`.
static struct part part_of_a(const struct work *work, const struct packed_a *a, int64_t slice, int64_t panel)
{
    const int64_t lanes = work->blocks.lanes;
    return (struct part){.pairs = a->pairs + (slice * a->panels + panel) * work->panel_pairs,
                         .units = a->units + (slice * work->slice_groups * a->panels + panel) * lanes,
                         .width = work->blocks.rows,
                         .units_row = a->panels * lanes};
}

// The panel that starts at row `row` of the product's a, of its `rows` rows.
static void pack_a(const struct work *work, const struct part *part, int64_t row, int64_t rows, int64_t p)
{
    const struct gemm_operand *a = &work->gemm->a;
    const int64_t halves = work->kernel->halves;
    const struct gemm_lines lines = {.first = element(a, row, p / halves),
                                     .count = rows,
                                     .depth = gemm_min(work->blocks.depth, work->gemm->k * halves - p),
                                     .line = a->row,
                                     .element = a->column,
                                     .dtype = a->dtype};
    work->kernel->pack(part, &lines);
}

// ---- a tile ----

static void finish_tile(const struct work *work, const struct gemm_tile *tile)
{
    if (work->gemm->finish != NULL)
        work->gemm->finish(work->gemm->context, tile);
    else
        work->context->gemm_finish(work->gemm, tile);
}

// Prefetches the memory that the tile will be written to, while it is summed.
static void fetch_c(const struct gemm *gemm, const struct gemm_tile *tile)
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
static void block_product(const struct work *work, const struct task *task, int64_t row, int64_t rows,
                          const struct slice *slice, struct prefetch *prefetches)
{
    const int64_t tile_rows = work->blocks.rows, tile_columns = work->blocks.columns;
    const int64_t width = gemm_round_up(task->columns, tile_columns), first = task->first + task->row;
    float finished[GEMM_MOST_SUMS];
    for (int64_t j = 0; j < task->columns; j += tile_columns) {
        const struct part b = part_of_b(work, &task->b, j, 0);
        int64_t panel = (task->row + row) / tile_rows;
        for (int64_t i = row; i < row + rows; i += tile_rows, panel++) {
            const struct part a = part_of_a(work, &task->a, slice->index, panel);
            struct gemm_tile tile = {.sums_row = tile_columns,
                                     .row = first + i,
                                     .rows = gemm_min(tile_rows, row + rows - i),
                                     .column = task->column + j,
                                     .columns = gemm_min(tile_columns, task->columns - j)};
            float *sums = task->sums + i * width + j;
            const struct tile_sums to = {slice->first ? NULL : sums, slice->last ? finished : sums, width,
                                         slice->last ? tile_columns : width, tile.rows};
            if (slice->last) fetch_c(work->gemm, &tile);
            work->kernel->tile(&a, &b, slice->depth, &to, prefetches);
            tile.sums = finished;
            if (slice->last) finish_tile(work, &tile);
        }
    }
}

// Rows [p, p + depth) and columns [column, column + columns) of b.
static struct prefetch lines_of_b(const struct gemm_operand *b, int64_t column, int64_t columns, int64_t p,
                                  int64_t depth)
{
    const int64_t size = (int64_t)loam_dtype_size(b->dtype);
    const bool along_k = b->row == 1;
    const char *run = element(b, p, column);
    const int64_t before = (int64_t)((uintptr_t)run % CACHE_LINE); // files do not align their tensors
    const int64_t bytes = before + (along_k ? depth : columns) * size;
    return (struct prefetch){.run = run - before,
                             .runs = along_k ? columns : depth,
                             .lines = (bytes + CACHE_LINE - 1) / CACHE_LINE,
                             .stride = (along_k ? b->column : b->row) * size};
}

// What is packed after the slice, which has `depth` elements along k: the next slice, or the first one of the
// next task.
static struct prefetch next_of_b(const struct work *work, const struct task *task, int64_t p, int64_t depth)
{
    const struct gemm *gemm = work->gemm;
    const struct gemm_blocks *blocks = &work->blocks;
    const int64_t halves = work->kernel->halves, whole = blocks->depth / halves, end = p / halves + depth;
    struct prefetch next = {0};
    if (end < gemm->k)
        next = lines_of_b(&gemm->b, task->column, task->columns, end, gemm_min(whole, gemm->k - end));
    else if (task->next >= 0)
        next = lines_of_b(&gemm->b, task->next, gemm_min(task->columns, gemm->n - task->next), 0,
                          gemm_min(whole, gemm->k));
    const int64_t tiles = (task->rows + blocks->rows - 1) / blocks->rows *
                          ((task->columns + blocks->columns - 1) / blocks->columns);
    const int64_t pairs = gemm_round_up(depth * halves, 2 * blocks->lanes) / 2;
    next.wait = (tiles - 1) * (pairs / PAIRS_A_LINE) - next.runs * next.lines;
    return next;
}

// The panels of a that follow: from row `row` of the task's on, or the first of the next slice.
static struct prefetch next_of_a(const struct work *work, const struct task *task, int64_t row,
                                 const struct slice *slice)
{
    const int64_t tile_rows = work->blocks.rows;
    int64_t index = slice->index;
    if (row >= task->rows) {
        row = 0;
        index = slice->last ? 0 : index + 1;
    }
    const struct part part = part_of_a(work, &task->a, index, (task->row + row) / tile_rows);
    const int64_t panels = (gemm_min(work->block_rows, task->rows - row) + tile_rows - 1) / tile_rows;
    return (struct prefetch){.run = (const char *)part.pairs,
                             .runs = 1,
                             .lines = panels * work->panel_pairs * (int64_t)sizeof(int32_t) / CACHE_LINE};
}

static void run_task(const struct work *work, const struct task *task)
{
    const int64_t halves = work->kernel->halves, k = work->gemm->k * halves, most = work->blocks.depth;
    for (int64_t p = 0; p < k; p += most) {
        const int64_t depth = gemm_min(most, k - p);
        const struct slice slice = {p / most, depth, p == 0, p + depth == k};
        struct prefetch prefetches[PREFETCHES] = {{0}, next_of_b(work, task, p, depth / halves)};
        pack_b(work, &task->b, task->column, task->columns, p, depth);
        for (int64_t row = 0; row < task->rows; row += work->block_rows) {
            prefetches[0] = next_of_a(work, task, row + work->block_rows, &slice);
            block_product(work, task, row, gemm_min(work->block_rows, task->rows - row), &slice, prefetches);
        }
    }
}

// ---- the product ----

// How up to TASK_ROWS rows of c are cut: all rows of a task share its packed b, and each part of the rows has the same
// tasks of columns.
struct cut {
    int64_t parts, column_tasks;
    int64_t tiles;   // of the rows of c
    int64_t columns; // of a task, whole tiles
};

static int64_t round_part(int64_t count, int64_t parts, int64_t unit)
{
    return gemm_round_up((count + parts - 1) / parts, unit);
}

// As many parts as there are threads, if they are not too small. Then columns as narrow as it takes to have some tasks
// for each thread, then smaller parts.
static struct cut cut_product(const struct work *work, int64_t m, int64_t n, int64_t threads)
{
    const struct gemm_blocks *blocks = &work->blocks;
    struct cut cut = {.columns = blocks->task_columns, .tiles = (m + blocks->rows - 1) / blocks->rows};
    cut.parts = gemm_max(1, gemm_min(m / (PART_BLOCKS * work->block_rows), gemm_min(threads, MOST_PARTS)));
    while (cut.columns > blocks->columns &&
           (n + cut.columns - 1) / cut.columns * cut.parts < threads * blocks->tasks_each)
        cut.columns /= 2;
    cut.column_tasks = (n + cut.columns - 1) / cut.columns;
    while (cut.parts * cut.column_tasks < threads && cut.parts < gemm_min(cut.tiles, MOST_PARTS))
        cut.parts++;
    return cut;
}

// The first row of part `part`.
static int64_t part_row(const struct work *work, const struct cut *cut, int64_t part)
{
    return cut->tiles * part / cut->parts * work->blocks.rows;
}

enum { ALIGN = 16, SERIAL = 1 << 20 }; // floats; multiplications that cost less than waking a thread

// Memory, in floats or pairs, which are as large: a's, and each thread's.
struct layout {
    int64_t panels, a, units_a;
    int64_t b, units_b, units_b_row, sums;
};

static struct layout layout_product(const struct work *work, int64_t m, int64_t k, const struct cut *cut)
{
    const struct gemm_blocks *blocks = &work->blocks;
    const int64_t slices = (k + blocks->depth - 1) / blocks->depth;
    const int64_t panels = (gemm_min(m, TASK_ROWS) + blocks->rows - 1) / blocks->rows;
    struct layout layout = {.panels = panels,
                            .units_b_row = gemm_round_up(cut->columns + blocks->lanes, ALIGN)};
    layout.a = gemm_round_up(slices * panels * work->panel_pairs, ALIGN);
    layout.units_a = gemm_round_up(slices * work->slice_groups * panels * blocks->lanes, ALIGN);
    layout.b = gemm_round_up(cut->columns * blocks->depth / 2 + blocks->lanes, ALIGN);
    layout.units_b = work->slice_groups * layout.units_b_row;
    layout.sums = gemm_round_up(round_part(panels, cut->parts, 1) * blocks->rows * cut->columns, ALIGN);
    return layout;
}

static int64_t thread_floats(const struct layout *layout)
{
    return layout->b + layout->units_b + layout->sums;
}

// Enough for every way to cut the product, so that a smaller product never takes more.
size_t loam_cpu_gemm_scratch(const struct cpu_context *context, const struct gemm_kernel *kernel, int64_t m,
                             int64_t n, int64_t k, int threads)
{
    const struct work work = work_of(context, kernel, NULL);
    const struct gemm_blocks *blocks = &work.blocks;
    const struct cut largest = {.parts = 1,
                                .columns = gemm_round_up(gemm_min(n, blocks->task_columns), blocks->columns)};
    const struct layout layout = layout_product(&work, m, k * kernel->halves, &largest);
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

// The tasks of one part go to threads as these become free, since one may get less of its processor than another. A
// thread takes its next task before it runs one, to fetch what that reads, but for the last few.
static void run_part(const struct work *work, struct task *task, int64_t rows, const struct cut *cut,
                     int64_t part, int64_t *next)
{
    const int64_t tasks = cut->column_tasks, early = tasks - 2 * omp_get_num_threads() / cut->parts;
    task->row = part_row(work, cut, part);
    task->rows = gemm_min(part_row(work, cut, part + 1), rows) - task->row;
    for (int64_t taken = take_task(next), after = -1; taken < tasks; taken = after) {
        after = taken < early ? take_task(next) : -1;
        task->next = after >= 0 && after < tasks ? after * cut->columns : -1;
        task->column = taken * cut->columns;
        task->columns = gemm_min(cut->columns, work->gemm->n - task->column);
        run_task(work, task);
        if (after < 0) after = take_task(next);
    }
}

// Rows [first, first + rows) of c, by the threads of the parallel region that this is called in, which share
// `next`, a number for each part.
static void product_of_rows(const struct work *work, int64_t first, int64_t rows, const struct cut *cut,
                            const struct layout *layout, float *scratch, int64_t *next)
{
    const int64_t tile_rows = work->blocks.rows, depth = work->blocks.depth;
    const int64_t k = work->gemm->k * work->kernel->halves;
    struct task task = {.first = first};
    place_task(&task, layout, scratch);
#pragma omp single nowait
    memset(next, 0, (size_t)cut->parts * sizeof *next);
#pragma omp for collapse(2) schedule(static)
    for (int64_t row = 0; row < rows; row += tile_rows)
        for (int64_t p = 0; p < k; p += depth) {
            const struct part part = part_of_a(work, &task.a, p / depth, row / tile_rows);
            pack_a(work, &part, first + row, gemm_min(tile_rows, rows - row), p);
        }
    const int64_t own = omp_get_thread_num() * cut->parts / omp_get_num_threads();
    for (int64_t i = 0; i < cut->parts; i++) {
        const int64_t part = (own + i) % cut->parts;
        run_part(work, &task, rows, cut, part, &next[part]);
    }
#pragma omp barrier
}

void loam_cpu_gemm(const struct cpu_context *context, const struct gemm_kernel *kernel,
                   const struct gemm *gemm, void *scratch, int threads)
{
    if (gemm->m * gemm->n * gemm->k <= SERIAL) threads = 1;
    const struct work work = work_of(context, kernel, gemm);
    const int64_t batches = (gemm->m - 1) / TASK_ROWS + 1,
                  at_once = round_part(gemm->m, batches, work.blocks.rows);
    int64_t next[MOST_PARTS];
#pragma omp parallel num_threads(threads) if (threads > 1)
    for (int64_t first = 0; first < gemm->m; first += at_once) {
        const int64_t rows = gemm_min(at_once, gemm->m - first);
        const struct cut cut = cut_product(&work, rows, gemm->n, threads);
        const struct layout layout = layout_product(&work, rows, gemm->k * kernel->halves, &cut);
        product_of_rows(&work, first, rows, &cut, &layout, scratch, next);
    }
}
