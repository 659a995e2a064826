// The products of our own: in block floating point (f32 activations, bf16 weights) how far they may be off,
// and the numbers at the ends of the range; in f32, and by the instructions for bf16, every shape at which
// they are cut.
#include <math.h>

#include "isa.h"

#include "base/rng.h"
#include "device/cpu/cpu.h"

enum { GROUP = 128, TOKENS = 21, OUT = 37 };

struct fixture {
    struct loam_device *device;
    struct loam_stream stream;
    int64_t k;
    float *x, *y; // x [TOKENS, k], y [TOKENS, OUT]
    uint16_t *w;  // [OUT, k]
};

static void set_up(struct fixture *f, int64_t k)
{
    struct loam_error error = {0};
    *f = (struct fixture){.k = k};
    assert_ok(loam_device_create(&f->device, "cpu", 2, &error));
    assert_ok(loam_stream_init(&f->stream, f->device, 16 << 20, &error));
    f->x = calloc((size_t)(TOKENS * k), sizeof *f->x);
    f->w = calloc((size_t)(OUT * k), sizeof *f->w);
    f->y = calloc((size_t)(TOKENS * OUT), sizeof *f->y);
    assert_true(f->x != NULL && f->w != NULL && f->y != NULL);
}

static void multiply(struct fixture *f)
{
    const struct loam_linear_forward_args args = {.x = loam_tensor_2d(f->x, LOAM_F32, TOKENS, f->k),
                                                  .w.tensor = loam_tensor_2d(f->w, LOAM_BF16, OUT, f->k),
                                                  .y = loam_tensor_2d(f->y, LOAM_F32, TOKENS, OUT)};
    loam_linear_forward(&f->stream, &args);
}

static void tear_down(struct fixture *f)
{
    struct loam_error error = {0};
    assert_ok(loam_stream_finish(&f->stream, &error));
    loam_stream_deinit(&f->stream);
    loam_device_destroy(f->device);
    free(f->x);
    free(f->w);
    free(f->y);
}

static float uniform(uint64_t stream, int64_t i)
{
    return 2 * loam_rng_uniform(11, stream, (uint64_t)i) - 1;
}

// Half a unit of the last of 12 bits of the largest magnitude, which may be rounded up to the next power.
static double half_unit(double largest)
{
    int exponent;
    (void)frexp(largest * (1 + 0x1p-12), &exponent);
    return ldexp(1.0, exponent - 13);
}

// What rounding each group to its own power of two may do to the sum for (t, n).
static double bound(const struct fixture *f, int64_t t, int64_t n, double *exact)
{
    double total = 0, sum = 0;
    for (int64_t first = 0; first < f->k; first += GROUP) {
        const int64_t last = first + GROUP < f->k ? first + GROUP : f->k;
        double largest_x = 0, largest_w = 0, sum_x = 0, sum_w = 0;
        for (int64_t i = first; i < last; i++) {
            const double x = (double)f->x[t * f->k + i], w = (double)loam_bf16_to_f32(f->w[n * f->k + i]);
            largest_x = fmax(largest_x, fabs(x));
            largest_w = fmax(largest_w, fabs(w));
            sum_x += fabs(x);
            sum_w += fabs(w);
            sum += x * w;
        }
        const double off_x = half_unit(largest_x), off_w = half_unit(largest_w);
        total += off_x * sum_w + off_w * sum_x + (double)(last - first) * off_x * off_w;
    }
    *exact = sum;
    return total;
}

static void check_bound(int64_t k, float spread)
{
    struct fixture f;
    set_up(&f, k);
    for (int64_t i = 0; i < TOKENS * k; i++)
        f.x[i] = uniform(1, i) * expf(spread * uniform(2, i));
    for (int64_t i = 0; i < OUT * k; i++)
        f.w[i] = loam_f32_to_bf16(uniform(3, i) * expf(spread * uniform(4, i)));
    multiply(&f);
    for (int64_t t = 0; t < TOKENS; t++)
        for (int64_t n = 0; n < OUT; n++) {
            double exact;
            const double most = bound(&f, t, n, &exact), off = fabs((double)f.y[t * OUT + n] - exact);
            if (!(off <= most * 1.001 + 1e-6 * fabs(exact)))
                fail_msg("k %d: element %d %d is off by %g, allowed %g", (int)k, (int)t, (int)n, off, most);
        }
    tear_down(&f);
}

static void test_error_is_bounded(void **state)
{
    (void)state;
    const int64_t sizes[] = {1, 2, 17, 127, 128, 129, 300, 1040};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        check_bound(sizes[i], 0);
        check_bound(sizes[i], 6);
    }
}

static void fill(struct fixture *f, float x, float w)
{
    for (int64_t i = 0; i < TOKENS * f->k; i++)
        f->x[i] = x;
    for (int64_t i = 0; i < OUT * f->k; i++)
        f->w[i] = loam_f32_to_bf16(w);
}

static void check_all(struct fixture *f, float want)
{
    multiply(f);
    for (int64_t i = 0; i < TOKENS * OUT; i++)
        assert_true(f->y[i] == want);
}

// The largest sums that 32 bits must hold; numbers of 8 bits are exact.
static void test_extremes_do_not_overflow(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 512);
    const float most = 0x1.FEp0f;
    fill(&f, most, most);
    check_all(&f, 512 * most * most);
    fill(&f, -most, most);
    check_all(&f, -512 * most * most);
    fill(&f, 0x1.FFFFFEp0f, -most); // rounds to 2
    check_all(&f, 512 * 2 * -most);
    fill(&f, 0x1p100f, 0x1p-100f);
    check_all(&f, 512);
    fill(&f, 0x1p-120f, 0x1p-120f);
    check_all(&f, 0);
    fill(&f, 0, 1);
    check_all(&f, 0);
    tear_down(&f);
}

// Whatever stands beside it in its group.
static void test_not_finite_is_not_lost(void **state)
{
    (void)state;
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    for (size_t b = 0; b < sizeof bad / sizeof bad[0]; b++)
        for (int of_w = 0; of_w < 2; of_w++) {
            struct fixture f;
            set_up(&f, 300);
            fill(&f, 1, 1);
            if (of_w == 0) f.x[7 * 300 + 211] = bad[b];
            if (of_w == 1) f.w[7 * 300 + 211] = loam_f32_to_bf16(bad[b]);
            multiply(&f);
            for (int64_t t = 0; t < TOKENS; t++)
                for (int64_t n = 0; n < OUT; n++) {
                    const bool touched = of_w == 0 ? t == 7 : n == 7;
                    assert_true(isfinite(f.y[t * OUT + n]) == !touched);
                }
            tear_down(&f);
        }
}

// ---- f32, and bf16 by the processor's own instructions ----

// Linears of one dtype: x [rows, k], w [n, k], y and dy [rows, n], dx [rows, k]
struct linear {
    enum loam_dtype dtype;
    int64_t rows, n, k;
    void *x, *w, *y, *dy, *dx;
};

static void *take(enum loam_dtype dtype, int64_t count, uint64_t stream)
{
    float *values = malloc((size_t)count * sizeof *values);
    assert_non_null(values);
    for (int64_t i = 0; i < count; i++)
        values[i] = uniform(stream, i);
    if (dtype == LOAM_F32) return values;
    uint16_t *halves = malloc((size_t)count * sizeof *halves);
    assert_non_null(halves);
    for (int64_t i = 0; i < count; i++)
        halves[i] = loam_f32_to_bf16(values[i]);
    free(values);
    return halves;
}

static double value(const void *values, int64_t i, enum loam_dtype dtype)
{
    if (dtype == LOAM_F32) return (double)((const float *)values)[i];
    return (double)loam_bf16_to_f32(((const uint16_t *)values)[i]);
}

static void run_linear(const struct linear *l)
{
    struct loam_error error = {0};
    struct loam_device *device;
    struct loam_stream planning, stream;
    assert_ok(loam_device_create(&device, "cpu", 2, &error));
    loam_stream_init_planning(&planning, device);
    const struct loam_weight w = {.tensor = loam_tensor_2d(l->w, l->dtype, l->n, l->k)};
    const struct loam_linear_forward_args forward = {.x = loam_tensor_2d(l->x, l->dtype, l->rows, l->k),
                                                     .w = w,
                                                     .y = loam_tensor_2d(l->y, l->dtype, l->rows, l->n)};
    const struct loam_linear_backward_input_args backward = {
        .dy = loam_tensor_2d(l->dy, l->dtype, l->rows, l->n),
        .w = w,
        .dx = loam_tensor_2d(l->dx, l->dtype, l->rows, l->k)};
    loam_linear_forward(&planning, &forward);
    loam_linear_backward_input(&planning, &backward);
    assert_ok(loam_stream_init(&stream, device, planning.scratch_needed, &error));
    loam_linear_forward(&stream, &forward);
    loam_linear_backward_input(&stream, &backward);
    assert_ok(loam_stream_finish(&stream, &error));
    loam_stream_deinit(&stream);
    loam_device_destroy(device);
}

// c [m, n] = a [m, k] b [k, n], elements of b `b_row` and `b_column` apart: sums of k terms in f32, rounded
// once where c is bf16.
static void check_product(enum loam_dtype dtype, const void *a, const void *b, int64_t b_row,
                          int64_t b_column, const void *c, int64_t m, int64_t n, int64_t k)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0, sizes = 0;
            for (int64_t p = 0; p < k; p++) {
                const double term = value(a, i * k + p, dtype) * value(b, p * b_row + j * b_column, dtype);
                sum += term;
                sizes += fabs(term);
            }
            const double off = fabs(value(c, i * n + j, dtype) - sum),
                         most = (dtype == LOAM_BF16 ? 0x1p-8 : 0) * fabs(sum) + (double)k * 0x1p-24 * sizes;
            if (!(off <= most))
                fail_msg("%s [%d, %d] [%d, %d]: element %d %d is off by %g, allowed %g",
                         loam_dtype_name(dtype), (int)m, (int)k, (int)k, (int)n, (int)i, (int)j, off, most);
        }
}

static void check_linear(enum loam_dtype dtype, int64_t rows, int64_t n, int64_t k)
{
    const struct linear l = {.dtype = dtype,
                             .rows = rows,
                             .n = n,
                             .k = k,
                             .x = take(dtype, rows * k, 1),
                             .w = take(dtype, n * k, 2),
                             .y = take(dtype, rows * n, 3),
                             .dy = take(dtype, rows * n, 4),
                             .dx = take(dtype, rows * k, 5)};
    run_linear(&l);
    check_product(dtype, l.x, l.w, 1, k, l.y, rows, n, k);
    check_product(dtype, l.dy, l.w, k, 1, l.dx, rows, k, n);
    void *all[] = {l.x, l.w, l.y, l.dy, l.dx};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

// Whole and broken vectors, panels, tasks and slices; more rows than what is made for few tokens.
static void check_shapes(enum loam_dtype dtype)
{
    const int64_t sizes[] = {1, 2, 15, 16, 31, 33, 65, 129, 300};
    enum { SIZES = sizeof sizes / sizeof sizes[0] };
    for (int64_t i = 0; i < SIZES; i++)
        for (int64_t j = 0; j < SIZES; j++)
            check_linear(dtype, 9 + i + j, sizes[i], sizes[j]);
    check_linear(dtype, 1030, 150, 70);
    check_linear(dtype, 40, 2100, 1030);
}

static void test_f32_of_all_shapes(void **state)
{
    (void)state;
    check_shapes(LOAM_F32);
}

static void test_bf16_of_all_shapes(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 1);
    const bool native = loam_formats_have(f.device->formats.preferred, LOAM_BF16);
    tear_down(&f);
    if (!native) skip(); // the processor, or the level, has no such instructions
    check_shapes(LOAM_BF16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_is_bounded),       cmocka_unit_test(test_extremes_do_not_overflow),
        cmocka_unit_test(test_not_finite_is_not_lost), cmocka_unit_test(test_f32_of_all_shapes),
        cmocka_unit_test(test_bf16_of_all_shapes),
    };
    const int missing = test_level_is_missing();
    return missing != 0 ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
