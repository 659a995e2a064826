// Products: which kernels make one, by its sizes and by what the device has.
#include "device/gpu/ops/product_choice.h"

struct matrix loam_gpu_rows(const struct loam_tensor *x)
{
    return (struct matrix){.data = x->data, .dtype = x->dtype, .i = x->stride[0], .k = x->stride[1]};
}

struct matrix loam_gpu_columns(const struct loam_tensor *x)
{
    return (struct matrix){.data = x->data, .dtype = x->dtype, .i = x->stride[1], .k = x->stride[0]};
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
    const struct loam_tensor *c = &product->c, *bias = &product->bias, *residual = &product->residual;
    const bool has_bias = bias->data != NULL, has_residual = residual->data != NULL;
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
    const struct loam_tensor *c = &product->c, *residual = &product->residual;
    struct product_end end = {.m = product->m,
                              .n = product->n,
                              .c_i = product->transposed ? c->stride[1] : c->stride[0],
                              .c_j = product->transposed ? c->stride[0] : c->stride[1],
                              .residual_i = residual->stride[0],
                              .dropout = loam_gpu_dropout_params(&product->dropout),
                              .c_dtype = (i32)c->dtype,
                              .bias_dtype = (i32)product->bias.dtype,
                              .accumulate = product->accumulate,
                              .drop_sum = product->drop_sum,
                              .scale = product->scale};
    end.wide = end.c_j == 1 && is_wide(c->data, c->dtype, end.c_i) &&
               (residual->data == NULL || is_wide(residual->data, c->dtype, end.residual_i));
    return end;
}

// ---- the launch of a group ----

// Buffer b of product `member` of the group.
static void set_buffers(struct loam_launch *launch, int member, void *const *buffers, int count)
{
    for (int b = 0; b < count; b++)
        launch->buffers[b * PRODUCT_GROUP + member] = buffers[b];
}

// The first block of each product among blocks of `columns` columns; the number of all.
static int64_t set_firsts(i32 first[PRODUCT_GROUP + 1], const struct product *const group[], int count,
                          int64_t columns)
{
    int64_t blocks = 0;
    for (int i = 0; i <= PRODUCT_GROUP; i++) {
        first[i] = (i32)blocks;
        if (i < count) blocks += loam_blocks(group[i]->n, columns);
    }
    return blocks;
}

// The blocks of `rows` rows of the product that has most of them.
static int64_t most_rows(const struct product *const group[], int count, int64_t rows)
{
    int64_t most = 0;
    for (int i = 0; i < count; i++)
        if (loam_blocks(group[i]->m, rows) > most) most = loam_blocks(group[i]->m, rows);
    return most;
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

static enum loam_status make_plain(struct loam_stream *stream, const struct product *const group[], int count)
{
    struct product_params p = {0};
    struct loam_launch launch = {.kernel = LOAM_KERNEL_product,
                                 .shared = 2 * PRODUCT_DEPTH * PRODUCT_PITCH * sizeof(f32),
                                 LOAM_PARAMS(p)};
    for (int i = 0; i < count; i++) {
        const struct product *product = group[i];
        p.members[i] = (struct plain_member){.k = product->k,
                                             .a = operand_of(&product->a),
                                             .b = operand_of(&product->b),
                                             .end = end_of(product)};
        set_buffers(&launch, i,
                    (void *const[]){product->a.data, product->b.data, product->bias.data,
                                    product->residual.data, product->c.data},
                    5);
    }
    launch.grid[0] = most_rows(group, count, PRODUCT_SIDE);
    launch.grid[1] = set_firsts(p.first, group, count, PRODUCT_SIDE);
    return loam_gpu_launch(stream, &launch);
}

// ---- tensor cores ----

enum orientation { NT, NN, TN, ORIENTATIONS };

static const enum loam_kernel kernels[2][PRODUCT_SIDES][ORIENTATIONS] = {
    {{LOAM_KERNEL_product_f16_nt_64, LOAM_KERNEL_product_f16_nn_64, LOAM_KERNEL_product_f16_tn_64},
     {LOAM_KERNEL_product_f16_nt_128, LOAM_KERNEL_product_f16_nn_128, LOAM_KERNEL_product_f16_tn_128}},
    {{LOAM_KERNEL_product_bf16_nt_64, LOAM_KERNEL_product_bf16_nn_64, LOAM_KERNEL_product_bf16_tn_64},
     {LOAM_KERNEL_product_bf16_nt_128, LOAM_KERNEL_product_bf16_nn_128, LOAM_KERNEL_product_bf16_tn_128}}};

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

static bool is_in_halves(const struct product *product)
{
    return product->b.dtype == LOAM_F32 && product->c.dtype == LOAM_F32;
}

static enum orientation orientation_of(const struct product *product)
{
    return is_across(&product->a) ? TN : is_across(&product->b) ? NN : NT;
}

// What becomes of the sums. Operands are dropped without the factor of what is kept.
static struct product_end mma_end_of(const struct product *product)
{
    struct product_end end = end_of(product);
    if (drops(product) && !product->drop_sum) end.scale *= end.dropout.kept;
    return end;
}

// f32 sums and nothing else, in parts [m, n].
static struct product_end sums_end_of(const struct product *product)
{
    return (struct product_end){.m = product->m,
                                .n = product->n,
                                .c_i = product->n,
                                .c_j = 1,
                                .dropout = loam_gpu_dropout_params(&product->dropout), // of operands
                                .c_dtype = DTYPE_F32,
                                .scale = 1.0f,
                                .wide = product->n % 4 == 0};
}

static struct mma_member member_of(const struct product *product, const struct product_choice *choice)
{
    const bool a_across = is_across(&product->a), b_across = is_across(&product->b);
    return (struct mma_member){.k = {product->k, product->k2},
                               .a = {lines_of(&product->a, a_across), lines_of(&product->a2, a_across)},
                               .b = {lines_of(&product->b, b_across), lines_of(&product->b2, b_across)},
                               .end = choice->parts > 1 ? sums_end_of(product) : mma_end_of(product),
                               .part = product->m * product->n,
                               .share = (i32)loam_gpu_product_share(product, choice->parts)};
}

// `parts`: where the parts of each sum go; NULL: the sums are whole.
static enum loam_status launch_tiles(struct loam_stream *stream, const struct product *const group[],
                                     int count, enum loam_dtype dtype, const struct product_choice *choice,
                                     float *const *parts)
{
    const int side = loam_gpu_product_sides[choice->side];
    struct product_mma_params p = {.stages = choice->stages, .halves = is_in_halves(group[0]) ? 2 : 1};
    struct loam_launch launch = {
        .kernel = kernels[dtype == LOAM_BF16][choice->side][orientation_of(group[0])],
        .grid = {most_rows(group, count, side), set_firsts(p.first, group, count, side), choice->parts},
        .shared = (size_t)(choice->stages * side * PRODUCT_STEP * 2 * (1 + p.halves)),
        LOAM_PARAMS(p)};
    for (int i = 0; i < count; i++) {
        const struct product *product = group[i];
        p.members[i] = member_of(product, choice);
        set_buffers(&launch, i,
                    (void *const[]){product->a.data, product->b.data, product->a2.data, product->b2.data,
                                    parts == NULL ? product->bias.data : NULL,
                                    parts == NULL ? product->residual.data : NULL,
                                    parts == NULL ? product->c.data : parts[i]},
                    7);
    }
    return loam_gpu_launch(stream, &launch);
}

// Adds the parts of each sum.
static enum loam_status add_parts(struct loam_stream *stream, const struct product *const group[], int count,
                                  const struct product_choice *choice, float *const *parts)
{
    struct product_sum_params p = {.parts = (i32)choice->parts};
    struct loam_launch launch = {.kernel = LOAM_KERNEL_product_sum, .grid = {0, count}, LOAM_PARAMS(p)};
    for (int i = 0; i < count; i++) {
        const struct product *product = group[i];
        p.members[i] = (struct sum_member){.cells = loam_cells(product->n), .end = mma_end_of(product)};
        const int64_t blocks = loam_cell_blocks(product->m, p.members[i].cells);
        if (blocks > launch.grid[0]) launch.grid[0] = blocks;
        set_buffers(&launch, i,
                    (void *const[]){parts[i], product->bias.data, product->residual.data, product->c.data},
                    4);
    }
    return loam_gpu_launch(stream, &launch);
}

static enum loam_status make_on_tensor_cores(struct loam_stream *stream, const struct product *const group[],
                                             int count, enum loam_dtype dtype)
{
    const struct product_choice choice =
        loam_gpu_choose_tiles(loam_gpu(stream->device), group, count, is_in_halves(group[0]));
    const size_t mark = loam_arena_mark(&stream->scratch);
    float *parts[PRODUCT_GROUP];
    if (choice.parts == 1) return launch_tiles(stream, group, count, dtype, &choice, NULL);
    parts[0] = loam_stream_scratch(stream, loam_gpu_product_scratch(stream->device));
    if (parts[0] == NULL) return LOAM_ERROR_INTERNAL;
    for (int i = 1; i < count; i++)
        parts[i] = parts[i - 1] + loam_gpu_product_parts_size(group[i - 1], choice.parts);
    LOAM_TRY(launch_tiles(stream, group, count, dtype, &choice, parts));
    loam_arena_release(&stream->scratch, mark);
    return add_parts(stream, group, count, &choice, parts);
}

// ---- the way of a product ----

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
    return product->bias.data == NULL && product->residual.data == NULL && !product->drop_sum &&
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

static bool is_of_few_rows(const struct product *product)
{
    const struct matrix *a = &product->a, *b = &product->b;
    return product->m <= PRODUCT_FEW && a->dtype == b->dtype && a->k == 1 && b->k == 1 && !a->dropped &&
           !b->dropped && product->a2.data == NULL;
}

static enum loam_status make_few(struct loam_stream *stream, const struct product *const group[], int count)
{
    struct product_few_params p = {0};
    struct loam_launch launch = {.kernel = group[0]->a.dtype == LOAM_BF16 ? LOAM_KERNEL_product_few_bf16
                                                                          : LOAM_KERNEL_product_few_f16,
                                 .grid = {set_firsts(p.first, group, count, PRODUCT_FEW)},
                                 .shared = BLOCK_THREADS / 32 * PRODUCT_FEW * PRODUCT_FEW * sizeof(f32),
                                 LOAM_PARAMS(p)};
    for (int i = 0; i < count; i++) {
        const struct product *product = group[i];
        p.members[i] = (struct few_member){.k = product->k,
                                           .a = lines_of(&product->a, false),
                                           .b = lines_of(&product->b, false),
                                           .end = end_of(product)};
        set_buffers(&launch, i,
                    (void *const[]){product->a.data, product->b.data, product->bias.data,
                                    product->residual.data, product->c.data},
                    5);
    }
    return loam_gpu_launch(stream, &launch);
}

enum way { MADE, FEW, TENSOR_CORES, PLAIN };

// A product in the form that its kernel takes.
struct form {
    enum way way;
    enum loam_dtype dtype; // of the kernel
    struct product product;
};

// The order of operands that kernels have: a is of 16 bits where one of them is, and the only one with contiguous rows is b.
static struct product ordered(const struct product *product)
{
    const struct matrix *a = &product->a, *b = &product->b;
    const bool wrong = (a->dtype == LOAM_F32 && b->dtype != LOAM_F32) ||
                       (a->dtype == b->dtype && is_across(a) && !is_across(b));
    return wrong && can_exchange(product) ? exchanged(product) : *product;
}

static bool has_kernel(const struct product *product)
{
    return is_across(&product->a) <= is_across(&product->b) &&
           (product->a.dtype != LOAM_F32 || product->b.dtype == LOAM_F32);
}

// A library of the vendor makes the product at once where it takes it.
static struct form form_of(struct loam_stream *stream, const struct product *product)
{
    const enum loam_dtype dtype = half_of(product);
    const struct product other = ordered(product);
    const bool warps = dtype != LOAM_F32 && (loam_gpu(stream->device)->mma >> dtype & 1u) != 0;
    if (warps && is_of_few_rows(product) && product->a.dtype == dtype)
        return (struct form){.way = FEW, .dtype = dtype, .product = *product};
    if (is_made_by_library(stream, product)) return (struct form){.way = MADE};
    if (warps && has_kernel(&other))
        return (struct form){.way = TENSOR_CORES, .dtype = dtype, .product = other};
    return (struct form){.way = PLAIN, .product = *product};
}

static bool are_one_launch(const struct form *x, const struct form *y)
{
    if (x->way != y->way || x->dtype != y->dtype) return false;
    return x->way != TENSOR_CORES || (is_in_halves(&x->product) == is_in_halves(&y->product) &&
                                      orientation_of(&x->product) == orientation_of(&y->product));
}

static enum loam_status make_group(struct loam_stream *stream, const struct form *form,
                                   const struct product *const group[], int count)
{
    switch (form->way) {
    case MADE:
        return stream->failure.status;
    case FEW:
        return make_few(stream, group, count);
    case TENSOR_CORES:
        return make_on_tensor_cores(stream, group, count, form->dtype);
    case PLAIN:
        break;
    }
    return make_plain(stream, group, count);
}

enum loam_status loam_gpu_products(struct loam_stream *stream, const struct product *products, int count)
{
    struct form forms[PRODUCT_GROUP];
    for (int i = 0; i < count; i++)
        forms[i] = form_of(stream, &products[i]);
    for (int i = 0; i < count; i++) {
        const struct product *group[PRODUCT_GROUP] = {&forms[i].product};
        int members = 1;
        for (int j = i + 1; j < count; j++) {
            if (!are_one_launch(&forms[i], &forms[j])) continue;
            group[members++] = &forms[j].product;
            forms[j].way = MADE; // by the launch below
        }
        LOAM_TRY(make_group(stream, &forms[i], group, members));
    }
    return LOAM_OK;
}

enum loam_status loam_gpu_product(struct loam_stream *stream, const struct product *product)
{
    return loam_gpu_products(stream, product, 1);
}
