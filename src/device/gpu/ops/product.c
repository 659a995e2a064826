// Products: which kernels make one, by its sizes and by what the device has.
#include "device/gpu/ops/ops.h"

struct matrix loam_gpu_rows(const struct loam_tensor *x)
{
    return (struct matrix){.data = x->data, .dtype = x->dtype, .i = x->stride[0], .k = x->stride[1]};
}

struct matrix loam_gpu_columns(const struct loam_tensor *x)
{
    return (struct matrix){.data = x->data, .dtype = x->dtype, .i = x->stride[1], .k = x->stride[0]};
}

static bool is_there(const struct loam_tensor *x)
{
    return x != NULL && x->data != NULL;
}

static bool drops(const struct product *product)
{
    return product->dropout.p > 0.0f && (product->a.dropped || product->b.dropped || product->drop_sum);
}

// ---- a library of the vendor ----

// Whether a library of the device's vendor takes the product.
static bool is_made_by_library(struct loam_stream *stream, const struct product *product)
{
    const struct loam_gpu *gpu = loam_gpu(stream->device);
    const struct matrix *a = &product->a, *b = &product->b;
    const struct loam_tensor *c = &product->c, *bias = product->bias, *residual = product->residual;
    const bool has_bias = is_there(bias), has_residual = is_there(residual);
    if (gpu->plain_product == NULL || drops(product) || product->a2.data != NULL || product->transposed ||
        a->dtype == LOAM_F32 || a->dtype != b->dtype || (has_residual && product->accumulate) ||
        (has_bias && (bias->dtype != a->dtype || product->scale != 1.0f)))
        return false;
    const struct loam_plain_product plain = {.m = product->m,
                                             .n = product->n,
                                             .k = product->k,
                                             .a = a->data,
                                             .b = b->data,
                                             .a_i = a->i,
                                             .a_k = a->k,
                                             .b_j = b->i,
                                             .b_k = b->k,
                                             .bias = has_bias ? bias->data : NULL,
                                             .added = has_residual ? residual->data
                                                                   : (product->accumulate ? c->data : NULL),
                                             .c = c->data,
                                             .c_i = c->stride[0],
                                             .added_i = has_residual ? residual->stride[0] : c->stride[0],
                                             .dtype = a->dtype,
                                             .c_dtype = c->dtype,
                                             .scale = product->scale};
    return gpu->plain_product(stream, &plain);
}

// ---- the end of a product ----

static bool is_wide(const void *data, enum loam_dtype dtype, int64_t line)
{
    return (uintptr_t)data % 16 == 0 && line * (int64_t)loam_dtype_size(dtype) % 16 == 0;
}

static struct product_end end_of(const struct product *product)
{
    const struct loam_tensor *c = &product->c, *residual = product->residual;
    struct product_end end = {.m = product->m,
                              .n = product->n,
                              .c_i = product->transposed ? c->stride[1] : c->stride[0],
                              .c_j = product->transposed ? c->stride[0] : c->stride[1],
                              .residual_i = residual != NULL ? residual->stride[0] : 0,
                              .dropout = loam_gpu_dropout_params(&product->dropout),
                              .c_dtype = (i32)c->dtype,
                              .bias_dtype = product->bias != NULL ? (i32)product->bias->dtype : 0,
                              .accumulate = product->accumulate,
                              .drop_sum = product->drop_sum,
                              .scale = product->scale};
    end.wide = end.c_j == 1 && is_wide(c->data, c->dtype, end.c_i) &&
               (!is_there(residual) || is_wide(residual->data, c->dtype, end.residual_i));
    return end;
}

static void *bias_of(const struct product *product)
{
    return product->bias != NULL ? product->bias->data : NULL;
}

static void *residual_of(const struct product *product)
{
    return product->residual != NULL ? product->residual->data : NULL;
}

// ---- plain tiles ----

static struct operand operand_of(const struct matrix *x)
{
    return (struct operand){.i = x->i,
                            .k = x->k,
                            .dtype = (i32)x->dtype,
                            .dropped = x->dropped,
                            .drop_i = x->drop_i,
                            .drop_k = x->drop_k};
}

static enum loam_status make_plain(struct loam_stream *stream, const struct product *product)
{
    const struct product_params p = {
        .k = product->k, .a = operand_of(&product->a), .b = operand_of(&product->b), .end = end_of(product)};
    return loam_gpu_launch(
        stream, &(struct loam_launch){
                    .kernel = LOAM_KERNEL_product,
                    .grid = {loam_blocks(product->m, PRODUCT_SIDE), loam_blocks(product->n, PRODUCT_SIDE)},
                    .shared = 2 * PRODUCT_DEPTH * PRODUCT_PITCH * sizeof(f32),
                    .buffers = {product->a.data, product->b.data, bias_of(product), residual_of(product),
                                product->c.data},
                    LOAM_PARAMS(p)});
}

// ---- tensor cores: the choice ----

enum orientation { NT, NN, TN, ORIENTATIONS };
enum size { SIDE_64, SIDE_128, SIZES };

static const enum loam_kernel kernels[2][SIZES][ORIENTATIONS] = {
    {{LOAM_KERNEL_product_f16_nt_64, LOAM_KERNEL_product_f16_nn_64, LOAM_KERNEL_product_f16_tn_64},
     {LOAM_KERNEL_product_f16_nt_128, LOAM_KERNEL_product_f16_nn_128, LOAM_KERNEL_product_f16_tn_128}},
    {{LOAM_KERNEL_product_bf16_nt_64, LOAM_KERNEL_product_bf16_nn_64, LOAM_KERNEL_product_bf16_tn_64},
     {LOAM_KERNEL_product_bf16_nt_128, LOAM_KERNEL_product_bf16_nn_128, LOAM_KERNEL_product_bf16_tn_128}}};

static const int sides[SIZES] = {64, 128};

// Tiles of a class of GPUs. The stages leave room for two blocks on a processor. Cycles are estimates that only compare
// rows of one class with each other: of a step of the sums, of the beginning and the end of a block.
struct tiles {
    int capability; // of the class, at least
    enum size size;
    int stages;
    int step_cycles, block_cycles;
};
static const struct tiles tiles[] = {
    {90, SIDE_64, 4, 160, 800},  {90, SIDE_128, 4, 400, 1500},  // Hopper, Blackwell
    {86, SIDE_64, 3, 384, 1200}, {86, SIDE_128, 3, 1024, 2500}, // GeForce and RTX of Ampere and Ada
    {80, SIDE_64, 4, 192, 800},  {80, SIDE_128, 4, 512, 1500},  // A100
    {75, SIDE_64, 2, 384, 1500}, {75, SIDE_128, 2, 1024, 3000}, // Turing, without asynchronous copies
};
enum {
    TILE_ROWS = sizeof tiles / sizeof tiles[0],
    MOST_PARTS = 16,
    LEAST_STEPS = 4,         // of a part
    PARTS_BYTES = 128 << 10, // of scratch, for each processor
    PARTS_CYCLES = 4000,     // of the launch that adds them
    PARTS_BYTES_A_CYCLE = 16 // of a processor
};

// How a product is made: a row of the table, and the number of parts of its sums.
struct choice {
    const struct tiles *tiles;
    int64_t parts, share;
    int64_t cycles;
};

size_t loam_gpu_product_scratch(const struct loam_device *device)
{
    const struct loam_gpu *gpu = loam_gpu(device);
    return gpu->mma != 0 ? loam_scratch_bytes((int64_t)gpu->processors * PARTS_BYTES, 1) : 0;
}

static int64_t steps_of(const struct product *product)
{
    return loam_blocks(product->k, PRODUCT_STEP) + loam_blocks(product->k2, PRODUCT_STEP);
}

static int64_t estimate(const struct loam_gpu *gpu, const struct product *product,
                        const struct choice *choice)
{
    const int side = sides[choice->tiles->size];
    const int64_t blocks = loam_blocks(product->m, side) * loam_blocks(product->n, side) * choice->parts;
    const int64_t bytes = choice->parts > 1 ? product->m * product->n * choice->parts * 8 : 0;
    const int64_t block = choice->share * choice->tiles->step_cycles + choice->tiles->block_cycles;
    return loam_blocks(blocks, gpu->processors) * block + (choice->parts > 1 ? PARTS_CYCLES : 0) +
           bytes / (PARTS_BYTES_A_CYCLE * gpu->processors);
}

static struct choice choose(const struct loam_gpu *gpu, const struct product *product, bool halves)
{
    const int64_t steps = steps_of(product), room = (int64_t)gpu->processors * PARTS_BYTES;
    struct choice best = {.tiles = &tiles[TILE_ROWS - 1], .parts = 1, .share = steps, .cycles = INT64_MAX};
    int class = 0;
    for (size_t i = 0; i < TILE_ROWS && (class == 0 || tiles[i].capability == class); i++) {
        if (gpu->capability < tiles[i].capability) continue;
        class = tiles[i].capability;
        if (halves && tiles[i].size != SIDE_64) continue;
        for (int64_t parts = 1; parts <= MOST_PARTS; parts *= 2) {
            struct choice choice = {.tiles = &tiles[i], .parts = parts, .share = loam_blocks(steps, parts)};
            if (parts > 1 && (choice.share < LEAST_STEPS || (choice.share * (parts - 1) >= steps) ||
                              parts * product->m * product->n * (int64_t)sizeof(f32) > room))
                break;
            choice.cycles = estimate(gpu, product, &choice);
            if (choice.cycles < best.cycles) best = choice;
        }
    }
    return best;
}

// ---- tensor cores: the launch ----

static bool is_across(const struct matrix *x)
{
    return x->k != 1;
}

static struct lines lines_of(const struct matrix *x, bool across)
{
    const int64_t line = across ? x->k : x->i;
    return (struct lines){.line = line,
                          .drop_line = across ? x->drop_k : x->drop_i,
                          .dtype = (i32)x->dtype,
                          .dropped = x->dropped,
                          .wide = is_wide(x->data, x->dtype, line),
                          .factor = x->factor != 0.0f ? x->factor : 1.0f};
}

static enum loam_status launch_tiles(struct loam_stream *stream, const struct product *product,
                                     enum loam_dtype dtype, const struct choice *choice,
                                     const struct product_end *end, void *bias, void *residual, void *c)
{
    const bool a_across = is_across(&product->a), b_across = is_across(&product->b);
    const bool halves = product->b.dtype == LOAM_F32 && product->c.dtype == LOAM_F32;
    const int side = sides[choice->tiles->size];
    const struct product_mma_params p = {.k = product->k,
                                         .k2 = product->k2,
                                         .a = lines_of(&product->a, a_across),
                                         .b = lines_of(&product->b, b_across),
                                         .a2 = lines_of(&product->a2, a_across),
                                         .b2 = lines_of(&product->b2, b_across),
                                         .end = *end,
                                         .part = product->m * product->n,
                                         .share = (i32)choice->share,
                                         .stages = choice->tiles->stages,
                                         .halves = halves ? 2 : 1};
    return loam_gpu_launch(
        stream, &(struct loam_launch){
                    .kernel = kernels[dtype == LOAM_BF16][choice->tiles->size][a_across   ? TN
                                                                               : b_across ? NN
                                                                                          : NT],
                    .grid = {loam_blocks(product->m, side), loam_blocks(product->n, side), choice->parts},
                    .shared = (size_t)(choice->tiles->stages * side * PRODUCT_STEP * 2 * (1 + p.halves)),
                    .buffers = {product->a.data, product->b.data, product->a2.data, product->b2.data, bias,
                                residual, c},
                    LOAM_PARAMS(p)});
}

// Sums in parts go to scratch, and another kernel adds them.
static enum loam_status make_parts(struct loam_stream *stream, const struct product *product,
                                   enum loam_dtype dtype, const struct choice *choice,
                                   const struct product_end *end)
{
    const int64_t m = product->m, n = product->n;
    const size_t mark = loam_arena_mark(&stream->scratch);
    void *const parts = loam_stream_scratch(stream, loam_gpu_product_scratch(stream->device));
    if (parts == NULL) return LOAM_ERROR_INTERNAL;
    const struct product_end sums = {.m = m,
                                     .n = n,
                                     .c_i = n,
                                     .c_j = 1,
                                     .dropout = end->dropout, // of operands
                                     .c_dtype = DTYPE_F32,
                                     .scale = 1.0f,
                                     .wide = n % 4 == 0};
    const struct product_sum_params p = {.cells = loam_cells(n), .end = *end, .parts = (i32)choice->parts};
    LOAM_TRY(launch_tiles(stream, product, dtype, choice, &sums, NULL, NULL, parts));
    loam_arena_release(&stream->scratch, mark);
    return loam_gpu_launch(stream, &(struct loam_launch){.kernel = LOAM_KERNEL_product_sum,
                                                         .grid = {loam_cell_blocks(m, p.cells)},
                                                         .buffers = {parts, bias_of(product),
                                                                     residual_of(product), product->c.data},
                                                         LOAM_PARAMS(p)});
}

// The product with a and b exchanged: c is transposed.
static struct product exchanged(const struct product *product)
{
    struct product other = *product;
    other.m = product->n;
    other.n = product->m;
    other.a = product->b;
    other.b = product->a;
    other.transposed = !product->transposed;
    return other;
}

static bool can_exchange(const struct product *product)
{
    return !is_there(product->bias) && !is_there(product->residual) && !product->drop_sum &&
           product->a2.data == NULL;
}

// The dtype of a product on tensor cores; f32: it needs plain tiles. An f32 operand beside one of 16 bits, and f32 for a
// c of 16 bits, are converted when they are loaded.
static enum loam_dtype half_of(const struct product *product)
{
    const enum loam_dtype a = product->a.dtype, b = product->b.dtype;
    if (product->exact && (a == LOAM_F32 || b == LOAM_F32)) return LOAM_F32;
    if (a == LOAM_F32 && b == LOAM_F32) return product->c.dtype;
    if (a != LOAM_F32 && b != LOAM_F32 && a != b) return LOAM_F32;
    return a != LOAM_F32 ? a : b;
}

static enum loam_status make_on_tensor_cores(struct loam_stream *stream, struct product product,
                                             enum loam_dtype dtype)
{
    const struct loam_gpu *gpu = loam_gpu(stream->device);
    const bool halves = product.b.dtype == LOAM_F32 && product.c.dtype == LOAM_F32;
    const struct choice choice = choose(gpu, &product, halves);
    struct product_end end = end_of(&product);
    // Operands are dropped without the factor of what is kept.
    if (drops(&product) && !product.drop_sum) end.scale *= end.dropout.kept;
    if (choice.parts > 1) return make_parts(stream, &product, dtype, &choice, &end);
    return launch_tiles(stream, &product, dtype, &choice, &end, bias_of(&product), residual_of(&product),
                        product.c.data);
}

// ---- few rows ----

static bool is_of_few_rows(const struct product *product)
{
    const struct matrix *a = &product->a, *b = &product->b;
    return product->m <= PRODUCT_FEW && a->dtype == b->dtype && a->k == 1 && b->k == 1 && !a->dropped &&
           !b->dropped && product->a2.data == NULL;
}

static enum loam_status make_few(struct loam_stream *stream, const struct product *product)
{
    const struct product_few_params p = {.k = product->k,
                                         .a = lines_of(&product->a, false),
                                         .b = lines_of(&product->b, false),
                                         .end = end_of(product)};
    return loam_gpu_launch(
        stream, &(struct loam_launch){.kernel = product->a.dtype == LOAM_BF16 ? LOAM_KERNEL_product_few_bf16
                                                                              : LOAM_KERNEL_product_few_f16,
                                      .grid = {loam_blocks(product->n, PRODUCT_FEW)},
                                      .shared = BLOCK_THREADS / 32 * PRODUCT_FEW * PRODUCT_FEW * sizeof(f32),
                                      .buffers = {product->a.data, product->b.data, bias_of(product),
                                                  residual_of(product), product->c.data},
                                      LOAM_PARAMS(p)});
}

enum loam_status loam_gpu_product(struct loam_stream *stream, const struct product *product)
{
    const struct loam_gpu *gpu = loam_gpu(stream->device);
    const enum loam_dtype dtype = half_of(product);
    const bool warps = dtype != LOAM_F32 && (gpu->mma >> dtype & 1u) != 0;
    struct product form = *product;
    if (warps && is_of_few_rows(product) && product->a.dtype == dtype) return make_few(stream, product);
    if (is_made_by_library(stream, product)) return stream->failure.status;
    // a is of 16 bits where one of the operands is, and the only one with contiguous rows is b.
    if ((form.a.dtype == LOAM_F32 && form.b.dtype != LOAM_F32) ||
        (form.a.dtype == form.b.dtype && is_across(&form.a) && !is_across(&form.b)))
        form = can_exchange(product) ? exchanged(product) : form;
    const bool has_kernel =
        (is_across(&form.a) <= is_across(&form.b)) && (form.a.dtype != LOAM_F32 || form.b.dtype == LOAM_F32);
    if (!warps || !has_kernel) return make_plain(stream, product);
    return make_on_tensor_cores(stream, form, dtype);
}
