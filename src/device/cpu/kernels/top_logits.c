// The largest logits of each row. Parts of a row are searched first, each with a heap whose root is the worst candidate
// that it keeps.
#include <math.h>

#include "device/cpu/kernels/vector.h"

enum { PART = 16384, STEP = 4 * LANES }; // columns of a task; columns that are looked at together

struct candidate {
    float logit;
    int32_t id;
};
struct heap {
    struct candidate *items; // [kept]
    int64_t count, kept;
};
struct part {
    int64_t row, first, last; // columns [first, last)
};

static bool is_better(struct candidate a, struct candidate b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

static void sift_down(struct heap *heap)
{
    int64_t at = 0;
    for (int64_t child; (child = 2 * at + 1) < heap->count; at = child) {
        if (child + 1 < heap->count && is_better(heap->items[child], heap->items[child + 1])) child++;
        if (is_better(heap->items[child], heap->items[at])) return;
        const struct candidate swapped = heap->items[at];
        heap->items[at] = heap->items[child];
        heap->items[child] = swapped;
    }
}

static void push(struct heap *heap, struct candidate candidate)
{
    if (heap->count == heap->kept) {
        if (!is_better(candidate, heap->items[0])) return;
        heap->items[0] = candidate;
        sift_down(heap);
        return;
    }
    int64_t at = heap->count++;
    for (; at > 0 && is_better(heap->items[(at - 1) / 2], candidate); at = (at - 1) / 2)
        heap->items[at] = heap->items[(at - 1) / 2];
    heap->items[at] = candidate;
}

static struct part part_at(const struct loam_top_logits_args *args, int64_t index)
{
    const int64_t columns = args->x.shape[1], in_row = (columns - 1) / PART + 1;
    const int64_t first = index % in_row * PART;
    return (struct part){index / in_row, first, first + PART < columns ? first + PART : columns};
}

// Word `word` of the row's allowed ids.
static uint32_t allowed_word(const struct loam_top_logits_args *args, int64_t row, int64_t word)
{
    const int32_t *words = args->allowed.data;
    return words == NULL ? UINT32_MAX : (uint32_t)words[row * args->allowed.shape[1] + word];
}

static bool is_candidate(const struct loam_top_logits_args *args, int64_t row, int64_t column)
{
    return column < args->limit && (allowed_word(args, row, column / 32) >> (column % 32) & 1) != 0;
}

static vec_int is_not_finite(vec x)
{
    const vec_int exponent = splat_int(0x7f800000);
    return ((vec_int)x & exponent) == exponent;
}

// Whether one of STEP logits is larger than `least`, or not finite.
static bool needs_a_look(const float *x, float least)
{
    vec_int found = splat_int(0);
    for (int i = 0; i < STEP; i += LANES) {
        const vec logits = load_f32(x + i);
        found |= (logits > splat(least)) | is_not_finite(logits);
    }
    int32_t any = 0;
    for (int lane = 0; lane < LANES; lane++)
        any |= found[lane];
    return any != 0;
}

// Fills the heap from a part, and returns the first id whose logit is not finite; -1: there is none.
static int32_t search_part(const struct loam_top_logits_args *args, struct part part, struct heap *heap)
{
    const float *x = cpu_row(&args->x, part.row);
    int32_t fault = -1;
    for (int64_t i = part.first; i < part.last; i += STEP) {
        const int64_t end = i + STEP < part.last ? i + STEP : part.last;
        const bool full = heap->count == heap->kept && end == i + STEP;
        if (full && !needs_a_look(x + i, heap->items[0].logit)) continue;
        for (int64_t column = i; column < end; column++) {
            const bool finite = isfinite(x[column]) != 0;
            if (!finite && fault < 0) fault = (int32_t)column;
            if (finite && is_candidate(args, part.row, column))
                push(heap, (struct candidate){x[column], (int32_t)column});
        }
    }
    return fault;
}

// Empties the heap into row `row` of the results, the worst candidate last.
static void write_row(const struct loam_top_logits_args *args, int64_t row, struct heap *heap)
{
    float *values = cpu_row(&args->values, row);
    int32_t *ids = cpu_row(&args->ids, row);
    for (int64_t j = heap->count; j < heap->kept; j++) {
        values[j] = -INFINITY;
        ids[j] = -1;
    }
    while (heap->count > 0) {
        values[heap->count - 1] = heap->items[0].logit;
        ids[heap->count - 1] = heap->items[0].id;
        heap->items[0] = heap->items[heap->count - 1];
        heap->count--;
        sift_down(heap);
    }
}

static float sum_part(const struct loam_top_logits_args *args, struct part part)
{
    const float *x = cpu_row(&args->x, part.row), *largest = cpu_row(&args->values, part.row);
    const float factor = ((const float *)args->factors.data)[part.row];
    const int64_t last = part.last < args->limit ? part.last : args->limit;
    vec sum = splat(0);
    for (int64_t i = part.first; i < last; i += LANES) {
        const vec logits = load(x, i, part.last, false);
        const uint32_t word = allowed_word(args, part.row, i / 32) >> (i % 32);
        const vec_int allowed = (splat_int((int32_t)word) >> lane_index() & splat_int(1)) != splat_int(0);
        const vec_int inside = lane_index() + splat_int((int32_t)i) < splat_int((int32_t)last);
        const vec terms = exp_vec((logits - splat(*largest)) * splat(factor));
        sum += select_vec(allowed & inside & ~is_not_finite(logits), terms, splat(0));
    }
    return sum_lanes(sum);
}

static void answer(const struct loam_top_logits_args *args)
{
    const int64_t asked = args->asked.data != NULL ? args->asked.shape[1] : 0;
    for (int64_t t = 0; t < args->x.shape[0]; t++) {
        const float *x = cpu_row(&args->x, t);
        for (int64_t j = 0; j < asked; j++) {
            const int32_t id = ((const int32_t *)args->asked.data)[t * asked + j];
            ((float *)args->answers.data)[t * asked + j] = id < 0 ? 0 : x[id];
        }
    }
}

// Of the task of a part, in scratch.
struct found {
    float sum;
    int32_t fault;
    int64_t count; // candidates
};

static int64_t count_parts(const struct loam_top_logits_args *args)
{
    return args->x.shape[0] * ((args->x.shape[1] - 1) / PART + 1);
}

static size_t top_logits_scratch(const struct loam_device *device, const struct loam_top_logits_args *args)
{
    const int64_t parts = count_parts(args), rows = args->x.shape[0], k = args->values.shape[1];
    (void)device;
    return loam_scratch_bytes(parts, sizeof(struct found)) +
           loam_scratch_bytes((parts + rows) * k, sizeof(struct candidate));
}

// Joins what the parts of a row have found.
static void join_row(const struct loam_top_logits_args *args, int64_t row, const struct found *found,
                     const struct candidate *candidates, struct candidate *memory)
{
    const int64_t k = args->values.shape[1], in_row = (args->x.shape[1] - 1) / PART + 1;
    struct heap heap = {memory, 0, k};
    int32_t *fault = (int32_t *)args->faults.data + row;
    *fault = -1;
    for (int64_t i = row * in_row; i < (row + 1) * in_row; i++) {
        if (*fault < 0) *fault = found[i].fault;
        for (int64_t j = 0; j < found[i].count; j++)
            push(&heap, candidates[i * k + j]);
    }
    write_row(args, row, &heap);
}

static enum loam_status top_logits(struct loam_stream *stream, const struct loam_top_logits_args *args)
{
    const int64_t parts = count_parts(args), rows = args->x.shape[0], k = args->values.shape[1];
    struct found *found = loam_stream_scratch(stream, loam_scratch_bytes(parts, sizeof *found));
    struct candidate *candidates =
        loam_stream_scratch(stream, loam_scratch_bytes((parts + rows) * k, sizeof *candidates));
    if (found == NULL || candidates == NULL) return LOAM_ERROR_INTERNAL;
#pragma omp parallel for schedule(dynamic) if (parts > 1) num_threads(cpu_threads(stream))
    for (int64_t i = 0; i < parts; i++) {
        struct heap heap = {candidates + i * k, 0, k};
        found[i] = (struct found){.fault = search_part(args, part_at(args, i), &heap)};
        found[i].count = heap.count;
    }
    for (int64_t t = 0; t < rows; t++)
        join_row(args, t, found, candidates, candidates + (parts + t) * k);
    answer(args);
    if (args->sums.data == NULL) return LOAM_OK;
#pragma omp parallel for schedule(static) if (parts > 1) num_threads(cpu_threads(stream))
    for (int64_t i = 0; i < parts; i++)
        found[i].sum = sum_part(args, part_at(args, i));
    float *sums = args->sums.data;
    memset(sums, 0, (size_t)rows * sizeof *sums);
    for (int64_t i = 0; i < parts; i++)
        sums[part_at(args, i).row] += found[i].sum;
    return LOAM_OK;
}

void CPU_NAME(top_logits)(struct loam_op_table *ops)
{
    ops->top_logits.run = top_logits;
    ops->top_logits.scratch = top_logits_scratch;
}
