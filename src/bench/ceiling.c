#include "bench/ceiling.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/heap.h"

// Largest operand or result, in bytes. The logits of a head can be larger than the machine's memory.
static const int64_t OPERAND_LIMIT = INT64_C(512) << 20;
static const int64_t COPIES_LIMIT = LOAM_BENCH_COPIES_LIMIT;

enum loam_status loam_bench_ceiling_check(const struct loam_session *session, int64_t device_memory_limit,
                                          struct loam_error *error)
{
    const bool limited = device_memory_limit > 0 && device_memory_limit < INT64_MAX;
    if (session->device->host_memory || (!limited && session->offloaded <= 0)) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_USAGE,
        "the products of the ceiling take memory of the device beside what is planned; leave out "
        "--device-memory-limit and --offload, or give bench step and bench generate --no-ceiling");
}

enum loam_status loam_bench_ceiling_init(struct loam_bench_ceiling_state *state,
                                         const struct loam_device *device, enum loam_dtype dtype,
                                         struct loam_error *error)
{
    *state = (struct loam_bench_ceiling_state){.device = device};
    if (device->probes == NULL)
        return loam_fail(
            error, LOAM_ERROR_UNSUPPORTED,
            "device %s has no matrix library to compare with; leave the ceiling out with --no-ceiling",
            device->name);
    state->own_weights = loam_formats_have(device->formats.preferred, dtype);
    return device->probes->create(&state->probe, device, error);
}

static void release(struct loam_bench_ceiling_state *state, struct loam_arena *arena)
{
    if (arena->base != NULL) loam_device_arena_deinit(state->device, arena);
    *arena = (struct loam_arena){0};
}

void loam_bench_ceiling_deinit(struct loam_bench_ceiling_state *state)
{
    if (state->device == NULL) return;
    release(state, &state->a);
    release(state, &state->b);
    release(state, &state->c);
    release(state, &state->copies);
    if (state->probe != NULL) state->device->probes->destroy(state->probe);
    free(state->ready);
    *state = (struct loam_bench_ceiling_state){0};
}

// ---- Pieces ----

// A product that is cut into pieces of equal size where an operand would exceed a limit.
struct pieces {
    struct loam_product piece;
    int64_t row_count;    // pieces over the rows of the result
    int64_t weight_count; // pieces over the rows of a weight
};

static int64_t divide_up(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

// The number of equal parts of `count` items of `bytes` bytes that keeps each part within the limit.
static int64_t count_parts(int64_t count, int64_t bytes, int64_t limit)
{
    const int64_t fit = bytes < limit ? limit / bytes : 1;
    return divide_up(count, fit);
}

static struct pieces cut_product(const struct loam_bench_ceiling_state *state,
                                 const struct loam_bench_product *item)
{
    struct pieces pieces = {.piece = item->product, .row_count = 1, .weight_count = 1};
    struct loam_product *piece = &pieces.piece;
    if (!state->own_weights) piece->dtype = piece->c_dtype = LOAM_F32;
    if (!state->own_weights && item->weight != NULL) {
        int64_t *rows = piece->kind == LOAM_PRODUCT_FORWARD ? &piece->n : &piece->k;
        pieces.weight_count = count_parts(*rows, loam_bench_weight_bytes(piece) / *rows, COPIES_LIMIT / 2);
        *rows = divide_up(*rows, pieces.weight_count);
    }
    const int64_t a_row = piece->k * (int64_t)loam_dtype_size(piece->dtype);
    const int64_t c_row = piece->n * (int64_t)loam_dtype_size(piece->c_dtype);
    pieces.row_count = count_parts(piece->m, a_row > c_row ? a_row : c_row, OPERAND_LIMIT);
    piece->m = divide_up(piece->m, pieces.row_count);
    return pieces;
}

struct loam_product loam_bench_ceiling_piece(const struct loam_bench_ceiling_state *state,
                                             const struct loam_bench_product *item)
{
    return cut_product(state, item).piece;
}

// ---- Memory ----

// Fills memory with words that are valid as f32, bf16 and f16; as f32 and bf16 of magnitudes from 1/2 to 1.
static void fill_words(uint32_t *words, size_t count)
{
    uint32_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        words[i] = (state & 0x807F807Fu) | 0x3F003F00u;
    }
}

static enum loam_status upload_words(const struct loam_device *device, const struct loam_arena *arena,
                                     struct loam_error *error)
{
    enum { BLOCK = 1 << 20 }; // words
    struct loam_stream stream;
    uint32_t *block = loam_calloc(BLOCK, sizeof *block, error);
    if (block == NULL) return LOAM_ERROR_MEMORY;
    fill_words(block, BLOCK);
    enum loam_status status = loam_stream_init(&stream, device, 0, error);
    for (size_t done = 0; done < arena->capacity && status == LOAM_OK; done += BLOCK * sizeof *block) {
        const size_t left = arena->capacity - done;
        loam_upload(&stream, arena->base + done, block,
                    left < BLOCK * sizeof *block ? left : BLOCK * sizeof *block);
    }
    if (status == LOAM_OK) status = loam_stream_finish(&stream, error);
    loam_stream_deinit(&stream);
    free(block);
    return status;
}

static enum loam_status fill(const struct loam_device *device, const struct loam_arena *arena,
                             struct loam_error *error)
{
    if (!device->host_memory) return upload_words(device, arena, error);
    fill_words((uint32_t *)(void *)arena->base, arena->capacity / sizeof(uint32_t));
    return LOAM_OK;
}

// Allocates and fills at least `bytes` bytes.
static enum loam_status reserve(struct loam_bench_ceiling_state *state, struct loam_arena *arena,
                                int64_t bytes, struct loam_error *error)
{
    if (bytes == 0 || (arena->base != NULL && arena->capacity >= (size_t)bytes)) return LOAM_OK;
    release(state, arena);
    LOAM_TRY(loam_device_arena_init(state->device, arena, (size_t)bytes, true, error));
    return fill(state->device, arena, error);
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

// Whether an earlier item reads the same weight.
static bool is_repeated(const struct loam_bench_sequence *sequence, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (sequence->items[i].weight == sequence->items[index].weight) return true;
    return false;
}

static enum loam_status allocate_memory(struct loam_bench_ceiling_state *state,
                                        const struct loam_bench_sequence *sequence, struct loam_error *error)
{
    int64_t a = 0, b = 0, c = 0, weights = 0;
    for (size_t i = 0; i < sequence->count; i++) {
        const struct loam_bench_product *item = &sequence->items[i];
        const struct pieces pieces = cut_product(state, item);
        const struct loam_product *piece = &pieces.piece;
        const int64_t weight = loam_bench_weight_bytes(piece);
        a = larger(a, piece->m * piece->k * (int64_t)loam_dtype_size(piece->dtype));
        c = larger(c, piece->m * piece->n * (int64_t)loam_dtype_size(piece->c_dtype));
        if (item->weight == NULL)
            b = larger(b, weight);
        else if (!is_repeated(sequence, i))
            weights += weight * pieces.weight_count + LOAM_ARENA_ALIGN;
    }
    LOAM_TRY(reserve(state, &state->a, a, error));
    LOAM_TRY(reserve(state, &state->b, b, error));
    LOAM_TRY(reserve(state, &state->c, c, error));
    state->weight_bytes = weights;
    if (state->own_weights) return LOAM_OK;
    if (weights > COPIES_LIMIT) weights = COPIES_LIMIT;
    LOAM_TRY(reserve(state, &state->copies, weights, error));
    state->weight_bytes = weights;
    return LOAM_OK;
}

// ---- Products ----

// The next copy. After the last one, the first is used again.
static const void *next_copy(struct loam_bench_ceiling_state *state, size_t bytes)
{
    bytes = (bytes + LOAM_ARENA_ALIGN - 1) / LOAM_ARENA_ALIGN * LOAM_ARENA_ALIGN;
    if (state->copies_used + bytes > state->copies.capacity) state->copies_used = 0;
    const void *copy = state->copies.base + state->copies_used;
    state->copies_used += bytes;
    return copy;
}

const void *loam_bench_ceiling_weight(struct loam_bench_ceiling_state *state,
                                      const struct loam_bench_product *item, const struct loam_product *piece)
{
    if (item->weight == NULL) return state->b.base;
    return state->own_weights ? item->weight : next_copy(state, (size_t)loam_bench_weight_bytes(piece));
}

static const char *run_pieces(struct loam_bench_ceiling_state *state, const struct loam_bench_product *item,
                              const struct pieces *pieces)
{
    const struct loam_product *piece = &pieces->piece;
    for (int64_t i = 0; i < pieces->weight_count; i++) {
        const void *w = loam_bench_ceiling_weight(state, item, piece);
        for (int64_t j = 0; j < pieces->row_count; j++) {
            const char *failure =
                state->device->probes->product(state->probe, piece, state->a.base, w, state->c.base);
            if (failure != NULL) return failure;
        }
    }
    return NULL;
}

static enum loam_status fail_product(const char *failure, struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "the ceiling cannot be measured: %s", failure);
}

static bool is_ready(const struct loam_bench_ceiling_state *state, const struct loam_product *product)
{
    for (size_t i = 0; i < state->ready_count; i++)
        if (loam_bench_same_product(&state->ready[i], product)) return true;
    return false;
}

static enum loam_status prepare_shape(struct loam_bench_ceiling_state *state,
                                      const struct loam_bench_product *item, struct loam_error *error)
{
    const struct pieces pieces = cut_product(state, item);
    if (is_ready(state, &pieces.piece)) return LOAM_OK;
    const char *failure = run_pieces(state, item, &pieces);
    if (failure != NULL) return fail_product(failure, error);
    struct loam_product *ready =
        loam_grow(state->ready, &state->ready_capacity, state->ready_count + 1, sizeof *ready, error);
    if (ready == NULL) return LOAM_ERROR_MEMORY;
    state->ready = ready;
    ready[state->ready_count++] = pieces.piece;
    return LOAM_OK;
}

enum loam_status loam_bench_ceiling_finish(struct loam_bench_ceiling_state *state, struct loam_error *error)
{
    const struct loam_probe_table *probes = state->device->probes;
    const char *failure = probes->finish != NULL ? probes->finish(state->probe) : NULL;
    return failure == NULL ? LOAM_OK : fail_product(failure, error);
}

enum loam_status loam_bench_ceiling_prepare(struct loam_bench_ceiling_state *state,
                                            const struct loam_bench_sequence *sequence,
                                            struct loam_error *error)
{
    // The library caches a bounded number of shapes, so that those of an earlier step may have been dropped.
    enum { KEPT_SHAPES = 64 };
    if (state->ready_count > KEPT_SHAPES) state->ready_count = 0;
    LOAM_TRY(allocate_memory(state, sequence, error));
    for (size_t i = 0; i < sequence->count; i++)
        LOAM_TRY(prepare_shape(state, &sequence->items[i], error));
    return loam_bench_ceiling_finish(state, error);
}

enum loam_status loam_bench_ceiling_run(struct loam_bench_ceiling_state *state,
                                        const struct loam_bench_sequence *sequence, double *flops,
                                        struct loam_error *error)
{
    *flops = 0;
    for (size_t i = 0; i < sequence->count; i++) {
        const struct pieces pieces = cut_product(state, &sequence->items[i]);
        const char *failure = run_pieces(state, &sequence->items[i], &pieces);
        if (failure != NULL) return fail_product(failure, error);
        *flops +=
            loam_bench_product_flops(&pieces.piece) * (double)pieces.row_count * (double)pieces.weight_count;
    }
    return loam_bench_ceiling_finish(state, error);
}

struct loam_bench_ceiling loam_bench_ceiling_summary(const struct loam_bench_ceiling_state *state,
                                                     const struct loam_bench_sequence *sequence, double flops,
                                                     double seconds)
{
    return (struct loam_bench_ceiling){
        .measured = true,
        .gflops = flops / seconds / 1e9,
        .dtype = state->own_weights && sequence->count > 0 ? sequence->items[0].product.dtype : LOAM_F32,
        .own_weights = state->own_weights,
        .weight_bytes = state->weight_bytes,
        .products = (int64_t)sequence->count,
    };
}
