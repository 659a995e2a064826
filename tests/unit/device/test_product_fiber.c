// Products of the kernels of GPUs on fibers, against sums in f64: sizes, dtypes, orders, strides and everything that a
// product can do besides are drawn at random, for each class of GPUs.
#include "test.h"

#include <math.h>

#include "base/rng.h"
#include "device/gpu/fiber/fiber.h"
#include "device/gpu/ops/ops.h"

enum { DRAWS = 240, GROUP_DRAWS = 72, WORDS = 40 };

// A matrix [rows, columns] of the test, in memory of its own whose gaps hold NaN.
struct test_matrix {
    void *memory;
    struct loam_tensor tensor;
};

static uint32_t words[WORDS]; // of the product that is drawn
static uint64_t elements;     // drawn so far

static int64_t draw(int word, int64_t count)
{
    return (int64_t)words[word] % count;
}

static double get(const struct loam_tensor *x, int64_t i, int64_t j)
{
    const int64_t at = i * x->stride[0] + j;
    if (x->dtype == LOAM_F32) return (double)((const float *)x->data)[at];
    const uint16_t bits = ((const uint16_t *)x->data)[at];
    return (double)(x->dtype == LOAM_BF16 ? loam_bf16_to_f32(bits) : loam_f16_to_f32(bits));
}

static void set(const struct loam_tensor *x, int64_t i, int64_t j, float value)
{
    const int64_t at = i * x->stride[0] + j;
    if (x->dtype == LOAM_F32)
        ((float *)x->data)[at] = value;
    else
        ((uint16_t *)x->data)[at] = x->dtype == LOAM_BF16 ? loam_f32_to_bf16(value) : loam_f32_to_f16(value);
}

// `pad` elements follow each row, and `shift` come before the first one.
static struct test_matrix make(enum loam_dtype dtype, int64_t rows, int64_t columns, int64_t pad,
                               int64_t shift)
{
    const size_t size = loam_dtype_size(dtype),
                 count = (size_t)((rows * columns == 0 ? 1 : rows * (columns + pad) - pad) + shift);
    struct test_matrix matrix = {.memory = aligned_alloc(16, (count * size + 15) / 16 * 16)};
    assert_non_null(matrix.memory);
    memset(matrix.memory, 0xff, count * size);
    matrix.tensor = loam_tensor_2d((char *)matrix.memory + (size_t)shift * size, dtype, rows, columns);
    matrix.tensor.stride[0] = columns + pad;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            set(&matrix.tensor, i, j, 2.0f * loam_rng_uniform(5, 6, elements++) - 1.0f);
    return matrix;
}

// Mostly such that rows are aligned.
static int64_t draw_pad(int word, int64_t columns)
{
    return draw(word, 4) == 0 ? draw(word, 20) / 4 : (8 - columns % 8) % 8 + draw(word, 8) / 4 * 8;
}

// An operand [rows, terms]; `across`: stored as [terms, rows].
struct test_operand {
    struct test_matrix stored;
    struct matrix matrix;
    bool across;
};

static struct test_operand make_operand(enum loam_dtype dtype, bool across, int64_t rows, int64_t terms,
                                        int word)
{
    struct test_operand x = {.across = across};
    const int64_t columns = across ? rows : terms;
    x.stored = make(dtype, across ? terms : rows, columns, draw_pad(word, columns), draw(word + 1, 5) == 0);
    x.matrix = across ? loam_gpu_columns(&x.stored.tensor) : loam_gpu_rows(&x.stored.tensor);
    return x;
}

static void drop_operand(struct test_operand *x)
{
    const int64_t columns = x->stored.tensor.shape[1];
    x->matrix.dropped = true;
    x->matrix.drop_i = x->across ? 1 : columns;
    x->matrix.drop_k = x->across ? columns : 1;
}

static double factor_of(const struct loam_dropout *dropout, int64_t index)
{
    if (dropout->p <= 0.0f) return 1.0;
    const float u = loam_rng_uniform(dropout->seed, dropout->stream, dropout->counter + (uint64_t)index);
    return u >= dropout->p ? 1.0 / (1.0 - (double)dropout->p) : 0.0;
}

static double element(const struct test_operand *x, const struct product *product, int64_t i, int64_t k)
{
    const struct matrix *m = &x->matrix;
    const double value = x->across ? get(&x->stored.tensor, k, i) : get(&x->stored.tensor, i, k);
    return m->dropped ? value * factor_of(&product->dropout, i * m->drop_i + k * m->drop_k) : value;
}

struct test_product {
    struct product product;
    struct test_operand a, b, a2, b2;
    struct test_matrix bias, residual, c;
    enum loam_dtype half;
};

static double sum_of(const struct test_product *t, int64_t i, int64_t j)
{
    double sum = 0;
    for (int64_t k = 0; k < t->product.k; k++)
        sum += element(&t->a, &t->product, i, k) * element(&t->b, &t->product, j, k);
    for (int64_t k = 0; k < t->product.k2; k++)
        sum += (double)t->product.a2.factor * element(&t->a2, &t->product, i, k) *
               element(&t->b2, &t->product, j, k);
    return sum;
}

static double want(const struct test_product *t, int64_t i, int64_t j, double before)
{
    const struct product *p = &t->product;
    double value = sum_of(t, i, j);
    if (p->bias.data != NULL) value += get(&t->bias.tensor, 0, j);
    value *= (double)p->scale;
    if (p->drop_sum) value *= factor_of(&p->dropout, i * p->n + j);
    if (p->accumulate) value += before;
    if (p->residual.data != NULL) value += get(&t->residual.tensor, i, j);
    return value;
}

// One rounding of each product of an operand of 16 bits that was f32, and of the result.
static double bound(const struct test_product *t, double value)
{
    const struct product *p = &t->product;
    const double terms = (double)(p->k + p->k2), unit = t->half == LOAM_BF16 ? 0x1p-8 : 0x1p-11;
    const double sums = 0x1p-21 * (fabs(value) + terms), most = p->dropout.p > 0 ? 2.0 : 1.0;
    if (p->c.dtype == LOAM_F32)
        return sums + (p->b.dtype != p->a.dtype ? unit / 16 * sqrt(terms) * most : 0) +
               (p->k2 > 0 ? unit * sqrt((double)p->k2) * 2 : 0);
    return sums + unit * fabs(value) + unit * sqrt(terms) * most;
}

static void draw_operands(struct test_product *t, bool both_f32)
{
    struct product *p = &t->product;
    const int order = (int)draw(8, 4), place = (int)draw(9, 6);
    const bool a_across = order >= 2, b_across = order == 1 || order == 2;
    enum loam_dtype a = both_f32 ? LOAM_F32 : t->half, b = a;
    if (!both_f32 && place == 0) b = LOAM_F32;
    if (!both_f32 && place == 1) a = LOAM_F32;
    t->a = make_operand(a, a_across, p->m, p->k, 10);
    t->b = make_operand(b, b_across, p->n, p->k, 13);
    if (draw(16, 4) == 0) drop_operand(&t->a);
    if (draw(16, 4) == 1) drop_operand(&t->b);
    p->a = t->a.matrix;
    p->b = t->b.matrix;
    if (both_f32 || a != b || draw(17, 3) > 0 || order == 3 || p->a.dropped || p->b.dropped) return;
    p->k2 = 1 + draw(18, 40);
    t->a2 = make_operand(LOAM_F32, a_across, p->m, p->k2, 19);
    t->b2 = make_operand(draw(20, 2) ? LOAM_F32 : t->half, b_across, p->n, p->k2, 22);
    p->a2 = t->a2.matrix;
    p->b2 = t->b2.matrix;
    p->a2.factor = 0.75f;
}

static void draw_end(struct test_product *t, bool both_f32)
{
    struct product *p = &t->product;
    const bool dropped = p->a.dropped || p->b.dropped, wide = !both_f32 && draw(25, 2) == 0;
    t->c = make(wide ? LOAM_F32 : t->half, p->m, p->n, draw_pad(26, p->n), draw(28, 5) == 0);
    p->c = t->c.tensor;
    p->scale = draw(29, 2) ? 1.0f : -0.5f;
    p->accumulate = draw(30, 2);
    p->dropout =
        (struct loam_dropout){.p = draw(31, 2) || dropped ? 0.4f : 0.0f, .seed = 3, .counter = words[32]};
    p->drop_sum = !dropped && draw(33, 2);
    if (draw(34, 2) && !dropped) {
        t->bias = make(draw(35, 2) ? LOAM_F32 : t->half, 1, p->n, 0, 0);
        p->bias = t->bias.tensor;
    }
    if (draw(36, 2)) {
        t->residual = make(p->c.dtype, p->m, p->n, draw_pad(37, p->n), 0);
        p->residual = t->residual.tensor;
    }
}

static void check(const struct test_product *t, const double *before)
{
    const struct product *p = &t->product;
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < p->n; j++) {
            const double expected = want(t, i, j, before[i * p->n + j]), have = get(&t->c.tensor, i, j);
            if (fabs(have - expected) <= bound(t, expected)) continue; // false for NaN
            fail_msg("[%d, %d, %d + %d] element %d, %d is %.9g instead of %.9g, allowed %.3g", (int)p->m,
                     (int)p->n, (int)p->k, (int)p->k2, (int)i, (int)j, have, expected, bound(t, expected));
        }
}

static void draw_product(struct test_product *t, int64_t most_terms)
{
    const bool both_f32 = draw(1, 5) == 0;
    *t = (struct test_product){.half = draw(0, 2) ? LOAM_BF16 : LOAM_F16};
    t->product.m = 1 + draw(4, draw(5, 3) == 0 ? 200 : 40);
    t->product.n = 1 + draw(5, draw(4, 3) == 0 ? 200 : 40);
    t->product.k = draw(6, 12) == 0 ? draw(7, 5) : 1 + draw(7, most_terms);
    draw_operands(t, both_f32);
    draw_end(t, both_f32);
}

// The values of c before the product, which are NaN where it does not add to them.
static double *prepare_c(const struct test_product *t)
{
    const struct product *p = &t->product;
    double *before = calloc((size_t)(p->m * p->n), sizeof *before);
    assert_non_null(before);
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < p->n; j++) {
            before[i * p->n + j] = get(&t->c.tensor, i, j);
            if (!p->accumulate) set(&t->c.tensor, i, j, NAN);
        }
    return before;
}

static void free_product(const struct test_product *t)
{
    void *const all[] = {t->a.stored.memory, t->b.stored.memory, t->a2.stored.memory, t->b2.stored.memory,
                         t->bias.memory,     t->residual.memory, t->c.memory};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

// Makes `count` products at once and checks each.
static void run_products(struct loam_device *device, struct test_product *t, int count)
{
    struct loam_error error = {0};
    struct loam_stream stream;
    struct product products[PRODUCT_GROUP];
    double *before[PRODUCT_GROUP];
    for (int i = 0; i < count; i++) {
        before[i] = prepare_c(&t[i]);
        products[i] = t[i].product;
    }
    assert_ok(loam_stream_init(&stream, device, loam_gpu_product_scratch(device), &error));
    assert_ok(loam_gpu_products(&stream, products, count));
    assert_ok(loam_stream_finish(&stream, &error));
    for (int i = 0; i < count; i++) {
        check(&t[i], before[i]);
        free_product(&t[i]);
        free(before[i]);
    }
    loam_stream_deinit(&stream);
}

static void draw_gpu(struct loam_device *device)
{
    static const int capabilities[] = {75, 80, 86, 90};
    struct loam_gpu *gpu = device->state;
    gpu->capability = capabilities[draw(2, 4)];
    gpu->processors = 1 + (int)draw(3, 3) * 5;
}

static void draw_words(uint64_t key, uint64_t index)
{
    for (uint64_t j = 0; j < WORDS / 4; j++)
        loam_rng_block(key, index, j, words + 4 * j);
}

static void test_random_products(void **state)
{
    (void)state;
    struct loam_error error = {0};
    for (enum loam_fiber_order order = LOAM_FIBER_FORWARD; order < LOAM_FIBER_ORDER_COUNT; order++) {
        struct loam_device *device = NULL;
        assert_ok(loam_device_fiber_create(&device, order, &error));
        for (uint64_t i = order; i < DRAWS; i += LOAM_FIBER_ORDER_COUNT) {
            struct test_product t;
            draw_words(17, i);
            draw_gpu(device);
            draw_product(&t, 300);
            run_products(device, &t, 1);
        }
        loam_device_destroy(device);
    }
}

static enum loam_status (*queue_launch)(struct loam_stream *stream, const struct loam_launch *launch);
static int launches; // without those that add parts of sums
static int divided;  // launches that add them

static enum loam_status count_launch(struct loam_stream *stream, const struct loam_launch *launch)
{
    const bool adds_parts = launch->kernel == LOAM_KERNEL_product_sum;
    launches += !adds_parts;
    divided += adds_parts;
    for (int i = 0; adds_parts && i < PRODUCT_GROUP; i++) // kernels store 16 bytes of parts at a time
        assert_int_equal((uintptr_t)launch->buffers[i] % 16, 0);
    return queue_launch(stream, launch);
}

// Two or three products of other sizes, ends and, now and then, kernels.
static void draw_group(struct test_product group[PRODUCT_GROUP], int count, uint64_t index)
{
    static const int shared[] = {0, 1, 8, 9, 25}; // words that select the kernel
    uint32_t first[WORDS];
    memcpy(first, words, sizeof first);
    for (int i = 0; i < count; i++) {
        if (i > 0) draw_words(18, PRODUCT_GROUP * index + (uint64_t)i);
        for (size_t j = 0; i > 0 && index % 5 > 0 && j < sizeof shared / sizeof shared[0]; j++)
            words[shared[j]] = first[shared[j]];
        draw_product(&group[i], index % 3 == 0 ? 1200 : 300); // long sums are divided
    }
}

static void test_random_groups(void **state)
{
    (void)state;
    struct loam_error error = {0};
    int products = 0;
    launches = divided = 0;
    for (enum loam_fiber_order order = LOAM_FIBER_FORWARD; order < LOAM_FIBER_ORDER_COUNT; order++) {
        struct loam_device *device = NULL;
        assert_ok(loam_device_fiber_create(&device, order, &error));
        struct loam_gpu *gpu = device->state;
        queue_launch = gpu->launch;
        gpu->launch = count_launch;
        for (uint64_t i = order; i < GROUP_DRAWS; i += LOAM_FIBER_ORDER_COUNT) {
            struct test_product group[PRODUCT_GROUP];
            const int count = i % 4 == 0 ? 2 : 3;
            draw_words(18, PRODUCT_GROUP * i);
            draw_gpu(device);
            draw_group(group, count, i);
            run_products(device, group, count);
            products += count;
        }
        loam_device_destroy(device);
    }
    assert_true(launches >= GROUP_DRAWS && divided >= 5);
    assert_true(3 * launches < 2 * products); // those that one kernel can make are one launch
}

// Query, key and value with adapters: bf16, two key/value heads to four of queries.
static void make_linears(struct loam_linears_forward_args *args, struct test_matrix matrices[],
                         int64_t tokens)
{
    static const int64_t outputs[] = {64, 32, 32};
    enum { IN = 48, RANK = 8 };
    int made = 0;
    matrices[made] = make(LOAM_BF16, tokens, IN, 0, 0);
    *args = (struct loam_linears_forward_args){.x = matrices[made++].tensor, .count = 3};
    for (int i = 0; i < 3; i++) {
        struct loam_linears_forward_part *part = &args->parts[i];
        const int64_t shapes[][2] = {
            {outputs[i], IN}, {RANK, IN}, {outputs[i], RANK}, {tokens, RANK}, {tokens, outputs[i]}};
        struct loam_tensor *tensors[] = {&part->w.tensor, &part->a, &part->b, &part->t, &part->y};
        for (int j = 0; j < 5; j++) {
            matrices[made] = make(j == 0 || j == 4 ? LOAM_BF16 : LOAM_F32, shapes[j][0], shapes[j][1], 0, 0);
            *tensors[j] = matrices[made++].tensor;
        }
        part->scale = 2.0f;
    }
}

// x A^T of all adapters is one launch, and so are the sums of all linears; with few rows, what the adapters add, too.
static void test_linears_are_one_launch(void **state)
{
    (void)state;
    static const struct {
        int64_t tokens;
        int launches;
    } cases[] = {{40, 2}, {3, 3}};
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    assert_ok(loam_device_fiber_create(&device, LOAM_FIBER_FORWARD, &error));
    struct loam_gpu *gpu = device->state;
    queue_launch = gpu->launch;
    gpu->launch = count_launch;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum { MATRICES = 16 };
        struct test_matrix matrices[MATRICES];
        struct loam_linears_forward_args args;
        struct loam_stream stream;
        make_linears(&args, matrices, cases[i].tokens);
        assert_ok(loam_stream_init(&stream, device, loam_gpu_product_scratch(device), &error));
        launches = 0;
        loam_linears_forward(&stream, &args);
        assert_ok(loam_stream_finish(&stream, &error));
        assert_int_equal(launches, cases[i].launches);
        loam_stream_deinit(&stream);
        for (int j = 0; j < MATRICES; j++)
            free(matrices[j].memory);
    }
    loam_device_destroy(device);
}

// One launch turns query and key.
static void test_ropes_are_one_launch(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    struct loam_stream stream;
    assert_ok(loam_device_fiber_create(&device, LOAM_FIBER_FORWARD, &error));
    struct loam_gpu *gpu = device->state;
    queue_launch = gpu->launch;
    gpu->launch = count_launch;
    const struct test_matrix q = make(LOAM_F32, 5, 32, 0, 0), k = make(LOAM_F32, 5, 16, 0, 0),
                             table = make(LOAM_F32, 5, 8, 0, 0);
    const struct loam_ropes_args args = {
        .query = {.x = loam_tensor_3d(q.memory, LOAM_F32, 5, 4, 8), .table = table.tensor},
        .key = {.x = loam_tensor_3d(k.memory, LOAM_F32, 5, 2, 8), .table = table.tensor}};
    assert_ok(loam_stream_init(&stream, device, 0, &error));
    launches = 0;
    loam_ropes(&stream, &args);
    assert_ok(loam_stream_finish(&stream, &error));
    assert_int_equal(launches, 1);
    loam_stream_deinit(&stream);
    loam_device_destroy(device);
    free(q.memory);
    free(k.memory);
    free(table.memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_products), cmocka_unit_test(test_random_groups),
        cmocka_unit_test(test_linears_are_one_launch), cmocka_unit_test(test_ropes_are_one_launch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
