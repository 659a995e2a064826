// LoRA of the CPU device on bf16, at every size where tokens, columns or the rank are cut, against the
// formulas in f64. That dropout and f32 are right is for tests/op.
#include <math.h>

#include "isa.h"

#include "base/rng.h"
#include "device/cpu/cpu.h"

enum { GAP = 3 }; // elements between rows, NaN

// How far a product may be off: in t, dt, da and db by what two numbers of bf16 leave of one of f32, in what
// is added to y and dx by roundings of f32.
static const double SUMMED = 0x1p-16, ADDED = 0x1p-22, SCALE = 0.75;

struct lora {
    int64_t tokens, k, n, r;
    struct loam_tensor x, dy, y, dx, a, b, t, da, db;
};

// Uniform in [-1, 1), rows `gap` elements apart.
static struct loam_tensor noise(enum loam_dtype dtype, int64_t rows, int64_t columns, int64_t gap,
                                uint64_t stream)
{
    struct loam_tensor tensor = loam_tensor_2d(NULL, dtype, rows, columns);
    tensor.stride[0] = columns + gap;
    const size_t bytes = (size_t)(rows * tensor.stride[0] - gap) * loam_dtype_size(dtype);
    tensor.data = malloc(bytes);
    assert_non_null(tensor.data);
    memset(tensor.data, 0xff, bytes);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) {
            const float value = 2 * loam_rng_uniform(5, stream, (uint64_t)(i * columns + j)) - 1;
            const int64_t at = i * tensor.stride[0] + j;
            if (dtype == LOAM_F32)
                ((float *)tensor.data)[at] = value;
            else
                ((uint16_t *)tensor.data)[at] = loam_f32_to_bf16(value);
        }
    return tensor;
}

static double get(const struct loam_tensor *tensor, int64_t i, int64_t j)
{
    const int64_t at = i * tensor->stride[0] + j;
    if (tensor->dtype == LOAM_F32) return (double)((const float *)tensor->data)[at];
    return (double)loam_bf16_to_f32(((const uint16_t *)tensor->data)[at]);
}

static struct lora make(int64_t tokens, int64_t k, int64_t n, int64_t r)
{
    return (struct lora){.tokens = tokens,
                         .k = k,
                         .n = n,
                         .r = r,
                         .x = noise(LOAM_BF16, tokens, k, GAP, 1),
                         .dy = noise(LOAM_BF16, tokens, n, GAP, 2),
                         .y = noise(LOAM_BF16, tokens, n, GAP, 3),
                         .dx = noise(LOAM_BF16, tokens, k, 0, 4),
                         .a = noise(LOAM_F32, r, k, 0, 5),
                         .b = noise(LOAM_F32, n, r, 0, 6),
                         .t = noise(LOAM_F32, tokens, r, 0, 7),
                         .da = noise(LOAM_F32, r, k, 0, 8),
                         .db = noise(LOAM_F32, n, r, 0, 9)};
}

static void drop(const struct lora *lora)
{
    void *const data[] = {lora->x.data, lora->dy.data, lora->y.data,  lora->dx.data, lora->a.data,
                          lora->b.data, lora->t.data,  lora->da.data, lora->db.data};
    for (size_t i = 0; i < sizeof data / sizeof data[0]; i++)
        free(data[i]);
}

static void compute(const struct lora *lora, int threads)
{
    struct loam_error error = {0};
    struct loam_device *device;
    struct loam_stream stream;
    assert_ok(loam_device_create(&device, "cpu", threads, &error));
    assert_ok(loam_stream_init(&stream, device, 4 << 20, &error));
    loam_lora_forward(
        &stream,
        &(struct loam_lora_forward_args){
            .x = lora->x, .a = lora->a, .b = lora->b, .scale = (float)SCALE, .t = lora->t, .y = lora->y});
    loam_lora_backward(&stream, &(struct loam_lora_backward_args){.dy = lora->dy,
                                                                  .x = lora->x,
                                                                  .a = lora->a,
                                                                  .b = lora->b,
                                                                  .t = lora->t,
                                                                  .scale = (float)SCALE,
                                                                  .da = lora->da,
                                                                  .db = lora->db,
                                                                  .dx = lora->dx});
    assert_ok(loam_stream_finish(&stream, &error));
    loam_stream_deinit(&stream);
    loam_device_destroy(device);
}

// ---- the formulas ----

// A sum and how far off it may be.
struct sum {
    double value, bound;
};

// Of `count` terms, of which each may be off by `part`, added up in f32.
static void add_term(struct sum *sum, double left, double right, double part, int64_t count)
{
    sum->value += left * right;
    sum->bound += fabs(left * right) * (part + (double)count * 0x1p-24);
}

static struct sum t_of(const struct lora *lora, int64_t i, int64_t j)
{
    struct sum sum = {0};
    for (int64_t k = 0; k < lora->k; k++)
        add_term(&sum, get(&lora->x, i, k), get(&lora->a, j, k), SUMMED, lora->k);
    return sum;
}

static struct sum dt_of(const struct lora *lora, int64_t i, int64_t j)
{
    struct sum sum = {0};
    for (int64_t n = 0; n < lora->n; n++)
        add_term(&sum, SCALE * get(&lora->dy, i, n), get(&lora->b, n, j), SUMMED, lora->n);
    return sum;
}

static void check(const struct lora *lora, const char *name, int64_t i, int64_t j, double have,
                  struct sum want)
{
    if (fabs(have - want.value) <= want.bound + 1e-30) return; // NaN is no better
    fail_msg("%s of %d tokens, K %d, N %d, r %d: element %d %d is %.9g instead of %.9g, allowed %.3g", name,
             (int)lora->tokens, (int)lora->k, (int)lora->n, (int)lora->r, (int)i, (int)j, have, want.value,
             want.bound);
}

static void add_before(struct sum *sum, double before, double rounding)
{
    sum->value += before;
    sum->bound += rounding * fabs(sum->value);
}

static void check_forward(const struct lora *before, const struct lora *after)
{
    for (int64_t i = 0; i < after->tokens; i++) {
        for (int64_t j = 0; j < after->r; j++)
            check(after, "t", i, j, get(&after->t, i, j), t_of(after, i, j));
        for (int64_t n = 0; n < after->n; n++) {
            struct sum y = {0};
            for (int64_t j = 0; j < after->r; j++)
                add_term(&y, SCALE * get(&after->t, i, j), get(&after->b, n, j), ADDED, after->r);
            add_before(&y, get(&before->y, i, n), 0x1p-8);
            check(after, "y", i, n, get(&after->y, i, n), y);
        }
    }
}

static void check_b(const struct lora *before, const struct lora *after)
{
    for (int64_t n = 0; n < after->n; n++)
        for (int64_t j = 0; j < after->r; j++) {
            struct sum db = {0};
            for (int64_t i = 0; i < after->tokens; i++)
                add_term(&db, get(&after->dy, i, n), SCALE * get(&after->t, i, j), SUMMED, after->tokens);
            add_before(&db, get(&before->db, n, j), 0x1p-23);
            check(after, "db", n, j, get(&after->db, n, j), db);
        }
}

// da and dx, both from dt, which is not visible.
static void check_a_and_x(const struct lora *before, const struct lora *after)
{
    const int64_t tokens = after->tokens, r = after->r;
    struct sum *dt = malloc((size_t)(tokens * r) * sizeof *dt);
    assert_non_null(dt);
    for (int64_t i = 0; i < tokens * r; i++)
        dt[i] = dt_of(after, i / r, i % r);
    for (int64_t k = 0; k < after->k; k++) {
        for (int64_t j = 0; j < r; j++) {
            struct sum da = {0};
            for (int64_t i = 0; i < tokens; i++) {
                add_term(&da, dt[i * r + j].value, get(&after->x, i, k), SUMMED, tokens);
                da.bound += dt[i * r + j].bound * fabs(get(&after->x, i, k));
            }
            add_before(&da, get(&before->da, j, k), 0x1p-23);
            check(after, "da", j, k, get(&after->da, j, k), da);
        }
        for (int64_t i = 0; i < tokens; i++) {
            struct sum dx = {0};
            for (int64_t j = 0; j < r; j++) {
                add_term(&dx, dt[i * r + j].value, get(&after->a, j, k), ADDED, r);
                dx.bound += dt[i * r + j].bound * fabs(get(&after->a, j, k));
            }
            add_before(&dx, get(&before->dx, i, k), 0x1p-8);
            check(after, "dx", i, k, get(&after->dx, i, k), dx);
        }
    }
    free(dt);
}

// ---- sizes ----

// The same bits with one thread and with three; between the rows of y, what was there.
static void check_threads(const struct lora *one, const struct lora *three)
{
    assert_memory_equal(one->t.data, three->t.data, (size_t)(one->tokens * one->r) * sizeof(float));
    assert_memory_equal(one->da.data, three->da.data, (size_t)(one->r * one->k) * sizeof(float));
    assert_memory_equal(one->db.data, three->db.data, (size_t)(one->n * one->r) * sizeof(float));
    assert_memory_equal(one->dx.data, three->dx.data, (size_t)(one->tokens * one->k) * sizeof(uint16_t));
    for (int64_t i = 0; i < one->tokens; i++)
        assert_memory_equal(cpu_row(&one->y, i), cpu_row(&three->y, i), (size_t)one->n * sizeof(uint16_t));
    for (int64_t i = 0; i + 1 < one->tokens; i++)
        for (int64_t j = 0; j < GAP; j++)
            assert_int_equal(((const uint16_t *)cpu_row(&one->y, i))[one->n + j], 0xffff);
}

static void check_size(int64_t tokens, int64_t k, int64_t n, int64_t r)
{
    const struct lora before = make(tokens, k, n, r), one = make(tokens, k, n, r),
                      three = make(tokens, k, n, r);
    compute(&one, 1);
    compute(&three, 3);
    check_threads(&one, &three);
    check_forward(&before, &one);
    check_b(&before, &one);
    check_a_and_x(&before, &one);
    drop(&before);
    drop(&one);
    drop(&three);
}

static void test_every_number_of_tokens(void **state)
{
    (void)state;
    const int64_t tokens[] = {1, 2, 3, 4, 5, 15, 16, 17, 20, 21, 31, 33, 63, 64, 65, 127, 128, 131};
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++)
        check_size(tokens[i], 40, 50, 5);
}

static void test_every_number_of_columns(void **state)
{
    (void)state;
    const int64_t columns[] = {1,  2,  3,  6,  7,   8,   9,   15,  16,  17,  23,  24,  25,  31, 32,
                               33, 47, 48, 49, 127, 128, 129, 143, 144, 145, 160, 255, 257, 288};
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        check_size(21, columns[i], 35, 7);
        check_size(22, 35, columns[i], 16);
    }
}

static void test_every_rank(void **state)
{
    (void)state;
    for (int64_t r = 1; r <= 34; r++)
        check_size(37, 45, 39, r);
    check_size(67, 33, 20, 64);
    check_size(35, 20, 33, 100);
}

// ---- bits ----

// An adapter that adds nothing, on every number of bf16 that is one: -0 and the smallest stay as they are.
static void test_nothing_changes_no_bit(void **state)
{
    (void)state;
    const struct lora lora = make(256, 5, 257, 3), nothing = make(256, 5, 257, 3);
    for (int64_t i = 0; i < 256 * 257; i++) {
        const uint16_t bits = (uint16_t)i;
        const bool number = (bits & 0x7f80) != 0x7f80;
        for (int copy = 0; copy < 2; copy++)
            ((uint16_t *)(copy == 0 ? lora.y.data : nothing.y.data))[i / 257 * (257 + GAP) + i % 257] =
                number ? bits : 0;
    }
    memset(lora.b.data, 0, loam_tensor_bytes(&lora.b));
    compute(&lora, 2);
    for (int64_t i = 0; i < 256; i++)
        assert_memory_equal(cpu_row(&lora.y, i), cpu_row(&nothing.y, i), 257 * sizeof(uint16_t));
    assert_memory_equal(lora.dx.data, nothing.dx.data, 256 * 5 * sizeof(uint16_t));
    drop(&lora);
    drop(&nothing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_number_of_tokens),
        cmocka_unit_test(test_every_number_of_columns),
        cmocka_unit_test(test_every_rank),
        cmocka_unit_test(test_nothing_changes_no_bit),
    };
    const int missing = test_level_is_missing();
    return missing != 0 ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
