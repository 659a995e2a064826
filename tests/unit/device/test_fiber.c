// The fibers that run the kernels of GPUs: what they detect, the primitives of warps, and the numbers of the kernels'
// headers against those of the host.
#include "test.h"

#include <math.h>

#include "base/rng.h"
#include "device/gpu/fiber/fiber.h"
#include "device/gpu/kernels/sums.h"
#include "device/gpu/launch.h"
#include "unit/device/tile_kernel.h"

enum { THREADS = 64, SHARED_BYTES = THREADS * (int)sizeof(f32) };

static struct loam_fibers *create(enum loam_fiber_order order)
{
    struct loam_error error = {0};
    struct loam_fibers *fibers = NULL;
    assert_ok(loam_fibers_create(&fibers, order, &error));
    return fibers;
}

static const char *run(struct loam_fibers *fibers, void (*body)(const void *context), const void *context)
{
    return loam_fibers_run(fibers, &(struct loam_fiber_grid){.blocks = {2, 1, 1},
                                                             .threads = THREADS,
                                                             .shared = SHARED_BYTES,
                                                             .body = body,
                                                             .context = context});
}

// ---- what is detected ----

// out[t] = the number of the thread opposite to t, through shared memory
static void swap_numbers(const void *context, bool with_barrier)
{
    f32 *out;
    memcpy(&out, context, sizeof out);
    SHARED(f32, places, 0);
    places[THREAD] = (f32)THREAD;
    if (with_barrier) BARRIER();
    out[BLOCK_X * THREADS + THREAD] = places[THREADS - 1 - THREAD];
}
static void swap_with_barrier(const void *context)
{
    swap_numbers(context, true);
}
static void swap_without_barrier(const void *context)
{
    swap_numbers(context, false);
}

static int count_right(struct loam_fibers *fibers, void (*body)(const void *context))
{
    f32 numbers[2 * THREADS], *const out = numbers;
    int right = 0;
    assert_null(run(fibers, body, &out));
    for (int i = 0; i < 2 * THREADS; i++)
        right += out[i] == (f32)(THREADS - 1 - i % THREADS); // false for NaN
    return right;
}

static void test_missing_barrier_reads_poison(void **state)
{
    (void)state;
    for (enum loam_fiber_order order = LOAM_FIBER_FORWARD; order < LOAM_FIBER_ORDER_COUNT; order++) {
        struct loam_fibers *fibers = create(order);
        assert_int_equal(count_right(fibers, swap_with_barrier), 2 * THREADS);
        assert_int_equal(count_right(fibers, swap_without_barrier), THREADS);
        loam_fibers_destroy(fibers);
    }
}

static void two_barriers(const void *context)
{
    (void)context;
    if (THREAD < 5)
        BARRIER();
    else
        BARRIER();
}
static void some_end(const void *context)
{
    (void)context;
    if (THREAD < 5) return;
    BARRIER();
}
static void warp_parts(const void *context)
{
    (void)context;
    if (THREAD % 2 == 0)
        (void)shuffle_xor(1.0f, 1);
    else
        (void)shuffle_xor(2.0f, 1);
}
static void barrier_in_warp_step(const void *context)
{
    (void)context;
    if (THREAD == 40)
        BARRIER();
    else
        (void)shuffle_xor(1.0f, 1);
}
static void copy_without_wait(const void *context)
{
    SHARED(char, to, 0);
    copy_async(to + THREAD % 16 * 16, context);
}
static void copy_unaligned(const void *context)
{
    SHARED(char, to, 0);
    copy_async(to + 4, context);
    copy_async_commit();
    copy_async_wait(0);
}

static void test_divergence_is_reported(void **state)
{
    (void)state;
    static const struct {
        void (*body)(const void *context);
        const char *reason;
    } cases[] = {
        {two_barriers, "the threads of a block wait at two barriers"},
        {some_end, "some threads of a block end before a barrier of the others"},
        {warp_parts, "the threads of a warp do not make the same step"},
        {barrier_in_warp_step, "the threads of a warp do not make the same step"},
        {copy_without_wait, "a thread ends before its asynchronous copies"},
        {copy_unaligned, "an asynchronous copy is not aligned to 16 bytes"},
    };
    _Alignas(16) static const char source[16];
    for (enum loam_fiber_order order = LOAM_FIBER_FORWARD; order < LOAM_FIBER_ORDER_COUNT; order++) {
        struct loam_fibers *fibers = create(order);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            const char *reason = run(fibers, cases[i].body, source);
            assert_non_null(reason);
            assert_string_equal(reason, cases[i].reason);
            assert_int_equal(count_right(fibers, swap_with_barrier), 2 * THREADS); // usable afterwards
        }
        loam_fibers_destroy(fibers);
    }
}

// ---- warps ----

struct tile {
    _Alignas(16) u16 a[TILE_M * TILE_K];
    _Alignas(16) u16 b[TILE_N * TILE_K];
    f32 c[TILE_M * TILE_N];
    f32 sums[TILE_M / 2];
    i32 bf16;
};

static void call_tile(const void *context)
{
    struct tile *tile;
    memcpy(&tile, context, sizeof tile);
    loam_kernel_tile(tile->a, tile->b, tile->c, tile->sums, (struct tile_params){.bf16 = tile->bf16});
}

static double element(const struct tile *tile, const u16 *x, int index)
{
    return tile->bf16 ? (double)loam_bf16_to_f32(x[index]) : (double)loam_f16_to_f32(x[index]);
}

static void check_tile(const struct tile *tile)
{
    for (int i = 0; i < TILE_M; i++) {
        double row = 0;
        for (int j = 0; j < TILE_N; j++) {
            double want = 0;
            for (int k = 0; k < TILE_K; k++)
                want += element(tile, tile->a, i * TILE_K + k) * element(tile, tile->b, j * TILE_K + k);
            assert_true(fabs(want - (double)tile->c[i * TILE_N + j]) < 1e-5);
            row += want;
        }
        if (i < TILE_M / 2) assert_true(fabs(row - (double)tile->sums[i]) < 1e-4);
    }
}

static void test_tile_by_warp_steps(void **state)
{
    (void)state;
    for (enum loam_fiber_order order = LOAM_FIBER_FORWARD; order < LOAM_FIBER_ORDER_COUNT; order++)
        for (i32 bf16 = 0; bf16 < 2; bf16++) {
            struct loam_fibers *fibers = create(order);
            struct tile tile = {.bf16 = bf16}, *const address = &tile;
            for (int i = 0; i < TILE_M * TILE_K; i++) {
                const f32 a = loam_rng_normal(3, 1, (uint64_t)i), b = loam_rng_normal(3, 2, (uint64_t)i);
                tile.a[i] = bf16 ? loam_f32_to_bf16(a) : loam_f32_to_f16(a);
                if (i < TILE_N * TILE_K) tile.b[i] = bf16 ? loam_f32_to_bf16(b) : loam_f32_to_f16(b);
            }
            assert_null(loam_fibers_run(fibers, &(struct loam_fiber_grid){.blocks = {1, 1, 1},
                                                                          .threads = 32,
                                                                          .shared = 2 * 24 * TILE_PITCH * 2,
                                                                          .body = call_tile,
                                                                          .context = &address}));
            check_tile(&tile);
            loam_fibers_destroy(fibers);
        }
}

// out[lane] of the four matrices [8, 8] of the numbers 0..255, in rows
static void load_both(const void *context)
{
    u32(*out)[2][4];
    memcpy(&out, context, sizeof out);
    SHARED(u16, numbers, 0);
    for (i32 i = THREAD; i < 256; i += 32)
        numbers[i] = (u16)i;
    BARRIER();
    load_matrices(out[THREAD][0], numbers + THREAD * 8);
    load_matrices_transposed(out[THREAD][1], numbers + THREAD * 8);
}

static void test_matrices_transposed(void **state)
{
    (void)state;
    u32 loaded[32][2][4], (*const address)[2][4] = loaded;
    for (enum loam_fiber_order order = LOAM_FIBER_FORWARD; order < LOAM_FIBER_ORDER_COUNT; order++) {
        struct loam_fibers *fibers = create(order);
        assert_null(loam_fibers_run(
            fibers,
            &(struct loam_fiber_grid){
                .blocks = {1, 1, 1}, .threads = 32, .shared = 512, .body = load_both, .context = &address}));
        for (u32 lane = 0; lane < 32; lane++)
            for (u32 i = 0; i < 4; i++) {
                const u32 row = lane / 4, column = lane % 4 * 2, first = i * 64;
                const u32 x = first + row * 8 + column, y = first + column * 8 + row;
                assert_int_equal(loaded[lane][0][i], x | (x + 1) << 16);
                assert_int_equal(loaded[lane][1][i], y | (y + 8) << 16);
            }
        loam_fibers_destroy(fibers);
    }
}

// The first 2 t bytes of 16 that are 0xab, for t < 9, then what shared memory has.
static void copy_parts(const void *context)
{
    char *out;
    memcpy(&out, context, sizeof out);
    struct piece held = {{0}};
    SHARED(char, to, 0);
    if (THREAD < 9) copy_start(&held, to + THREAD * 16, out, 2 * THREAD);
    copy_async_commit();
    if (THREAD < 9) copy_finish(&held, to + THREAD * 16);
    copy_async_wait(0);
    BARRIER();
    if (THREAD < 9) memcpy(out + 16 + THREAD * 16, to + THREAD * 16, 16);
}

static void test_copies_of_parts(void **state)
{
    (void)state;
    _Alignas(16) char bytes[16 * 10];
    char *const address = bytes;
    struct loam_fibers *fibers = create(LOAM_FIBER_SHUFFLED);
    for (int holds = 0; holds < 2; holds++) {
        memset(bytes, 0xab, sizeof bytes);
        assert_null(loam_fibers_run(fibers, &(struct loam_fiber_grid){.blocks = {1, 1, 1},
                                                                      .threads = 32,
                                                                      .shared = 9 * 16,
                                                                      .holds_copies = holds,
                                                                      .body = copy_parts,
                                                                      .context = &address}));
        for (int i = 0; i < 9 * 16; i++)
            assert_int_equal((unsigned char)bytes[16 + i], i % 16 < i / 16 * 2 ? 0xab : 0);
    }
    loam_fibers_destroy(fibers);
}

// ---- numbers ----

static void test_halves(void **state)
{
    (void)state;
    for (u32 i = 0; i < 65536; i++) {
        const f32 f16 = f16_to_f32((u16)i), bf16 = bf16_to_f32((u16)i);
        if (isnan(f16))
            assert_true(isnan(loam_f16_to_f32((u16)i)));
        else
            assert_int_equal(float_bits(f16), float_bits(loam_f16_to_f32((u16)i)));
        assert_int_equal(float_bits(bf16), float_bits(loam_bf16_to_f32((u16)i)));
    }
    // A prime step visits every exponent and both sides of ties; the ties themselves are bits 0x1000 and 0x8000.
    for (u64 i = 0; i < (u64)1 << 32; i += 4093) {
        const u32 tries[] = {(u32)i, (u32)i & ~0x1fffu, ((u32)i & ~0x1fffu) | 0x1000u,
                             ((u32)i & ~0xffffu) | 0x8000u};
        for (size_t j = 0; j < sizeof tries / sizeof tries[0]; j++) {
            const f32 value = bits_float(tries[j]);
            if (isnan(value)) {
                assert_true(isnan(f16_to_f32(f32_to_f16(value))) && isnan(bf16_to_f32(f32_to_bf16(value))));
                continue;
            }
            assert_int_equal(f32_to_f16(value), loam_f32_to_f16(value));
            assert_int_equal(f32_to_bf16(value), loam_f32_to_bf16(value));
        }
    }
}

static u64 double_bits(double value)
{
    u64 bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double bits_double(u64 bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// A value of any sign, with exponents near enough to each other that rounding matters.
static double random_double(u64 index)
{
    uint32_t words[4];
    loam_rng_block(9, 4, index, words);
    const double value =
        ldexp((double)words[0] * 4294967296.0 + (double)words[1], (int)(words[2] % 120) - 60);
    return (words[3] & 1) != 0 ? -value : value;
}

static void test_f64_by_whole_numbers(void **state)
{
    (void)state;
    static const double special[] = {
        0.0, 1.0, -1.0, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, INFINITY};
    for (u64 i = 0; i < 200000; i++) {
        const double a = random_double(2 * i), b = random_double(2 * i + 1);
        assert_true(f64_add(double_bits(a), double_bits(b)) == double_bits(a + b));
        assert_true(fabs((double)f64_sqrt(double_bits(fabs(a))) - sqrt(fabs(a))) <= 2e-7 * sqrt(fabs(a)));
        const f32 x = bits_float((u32)double_bits(a) ^ (u32)i << 20);
        if (!isnan(x)) assert_true(f64_square(x) == double_bits((double)x * (double)x));
    }
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++)
        for (size_t j = 0; j < sizeof special / sizeof special[0]; j++)
            assert_true(f64_add(double_bits(special[i]), double_bits(special[j])) ==
                        double_bits(special[i] + special[j]));
    assert_true(isnan(bits_double(f64_add(f64_square(NAN), double_bits(1.0)))));
    assert_true(isnan(bits_double(f64_add(double_bits(INFINITY), double_bits(-INFINITY)))));
    assert_true(isnan(f64_sqrt(double_bits(NAN))) && isinf(f64_sqrt(double_bits(1e300))));
}

static void test_random_words(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 4000; i++) {
        const uint64_t index = i < 2000 ? i : UINT64_MAX - i;
        uint32_t words[4];
        loam_rng_block(~(uint64_t)5, 3ull << 32 | 7, index / 4, words);
        assert_int_equal(random_word(~(u64)5, 3ull << 32 | 7, index), words[index % 4]);
    }
}

// ---- the device ----

static void test_large_heads_are_refused(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    assert_ok(loam_device_fiber_create(&device, LOAM_FIBER_FORWARD, &error));
    const struct loam_tensor q = {.data = &error, .dtype = LOAM_F32, .rank = 3, .shape = {1, 1, 257}};
    assert_string_equal(
        device->ops.attention_forward.refuses(device, &(struct loam_attention_forward_args){.q = q}),
        "heads have more than 256 elements");
    loam_device_destroy(device);
}

static void test_failed_launch_names_the_kernel(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    struct loam_stream stream;
    f32 x[1] = {3.0f};
    const struct squared_norm_total_params other = {.parts = 1};
    const struct cap_logits_params p = {.cells = loam_cells(1), .factor = 2.0f};
    assert_ok(loam_device_fiber_create(&device, LOAM_FIBER_FORWARD, &error));
    assert_ok(loam_stream_init(&stream, device, 0, &error));
    stream.op = "cap_logits";
    struct loam_launch launch = {
        .kernel = LOAM_KERNEL_cap_logits, .grid = {1}, .buffers = {x}, LOAM_PARAMS(other)};
    assert_int_equal(loam_gpu_launch(&stream, &launch), LOAM_ERROR_INTERNAL);
    assert_fails(loam_stream_finish(&stream, &error), LOAM_ERROR_INTERNAL,
                 "cap_logits on device fiber: kernel cap_logits: the parameters are of another kernel");
    launch =
        (struct loam_launch){.kernel = LOAM_KERNEL_cap_logits, .grid = {1}, .buffers = {x}, LOAM_PARAMS(p)};
    assert_ok(loam_gpu_launch(&stream, &launch));
    assert_true(x[0] == 6.0f);
    loam_stream_deinit(&stream);
    loam_device_destroy(device);
}

// More elements than blocks of the usual share have.
static void test_sum_of_many_squares(void **state)
{
    (void)state;
    enum { COUNT = 256 * 4096 + 77 };
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    struct loam_stream stream;
    f32 *x = malloc(COUNT * sizeof *x);
    double result = 0.25, want = 0.25;
    assert_non_null(x);
    for (int i = 0; i < COUNT; i++) {
        x[i] = (f32)(i % 1000 - 500) * 1e18f;
        want += (double)x[i] * (double)x[i];
    }
    const struct loam_squared_norm_args args = {.x = loam_tensor_1d(x, LOAM_F32, COUNT),
                                                .result = loam_tensor_1d(&result, LOAM_F64, 1)};
    assert_ok(loam_device_fiber_create(&device, LOAM_FIBER_SHUFFLED, &error));
    assert_ok(loam_stream_init(&stream, device, device->ops.squared_norm.scratch(device, &args), &error));
    loam_squared_norm(&stream, &args);
    assert_ok(loam_stream_finish(&stream, &error));
    assert_true(fabs(result - want) <= 1e-12 * want);
    loam_stream_deinit(&stream);
    loam_device_destroy(device);
    free(x);
}

// More rows than a block has threads, and keys of several digits: the sums are in the order of the rows.
static void test_rows_of_tokens_in_order(void **state)
{
    (void)state;
    enum { ROWS = 700, COLUMNS = 3, TOKENS = 300 };
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    struct loam_stream stream;
    int32_t ids[ROWS];
    f32 dy[ROWS * COLUMNS], sums[TOKENS * COLUMNS] = {0}, want[TOKENS * COLUMNS] = {0};
    for (int t = 0; t < ROWS; t++) {
        uint32_t words[4];
        loam_rng_block(5, 1, (uint64_t)t, words);
        ids[t] = (int32_t)(words[0] % (words[1] % 2 == 0 ? 3 : TOKENS));
        for (int d = 0; d < COLUMNS; d++) {
            dy[t * COLUMNS + d] = (f32)words[2] / (f32)(words[3] % 1000 + 1);
            want[ids[t] * COLUMNS + d] += dy[t * COLUMNS + d];
        }
    }
    const struct loam_embedding_backward_args args = {.ids = loam_tensor_1d(ids, LOAM_I32, ROWS),
                                                      .dy = loam_tensor_2d(dy, LOAM_F32, ROWS, COLUMNS),
                                                      .dtable =
                                                          loam_tensor_2d(sums, LOAM_F32, TOKENS, COLUMNS)};
    assert_ok(loam_device_fiber_create(&device, LOAM_FIBER_SHUFFLED, &error));
    assert_ok(
        loam_stream_init(&stream, device, device->ops.embedding_backward.scratch(device, &args), &error));
    loam_embedding_backward(&stream, &args);
    assert_ok(loam_stream_finish(&stream, &error));
    assert_memory_equal(sums, want, sizeof sums);
    loam_stream_deinit(&stream);
    loam_device_destroy(device);
}

// A step is planned with the most rows that a batch can have, and later batches have fewer.
static void test_scratch_grows_with_rows(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    assert_ok(loam_device_fiber_create(&device, LOAM_FIBER_FORWARD, &error));
    for (int64_t vocabulary = 3; vocabulary < 6000; vocabulary = vocabulary * 3 / 2)
        for (enum loam_dtype dtype = LOAM_F32; dtype <= LOAM_BF16; dtype += LOAM_BF16 - LOAM_F32) {
            size_t before = 0;
            for (int64_t rows = 1; rows < 200; rows++) {
                const struct loam_linear_cross_entropy_args args = {
                    .h = loam_tensor_2d(&error, dtype, rows, 8),
                    .w = {.tensor = loam_tensor_2d(&error, dtype, vocabulary, 8)},
                    .dh = loam_tensor_2d(&error, dtype, rows, 8)};
                const size_t bytes = device->ops.linear_cross_entropy.scratch(device, &args);
                assert_true(bytes >= before);
                before = bytes;
            }
        }
    loam_device_destroy(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_missing_barrier_reads_poison),
        cmocka_unit_test(test_divergence_is_reported),
        cmocka_unit_test(test_tile_by_warp_steps),
        cmocka_unit_test(test_matrices_transposed),
        cmocka_unit_test(test_copies_of_parts),
        cmocka_unit_test(test_halves),
        cmocka_unit_test(test_f64_by_whole_numbers),
        cmocka_unit_test(test_random_words),
        cmocka_unit_test(test_large_heads_are_refused),
        cmocka_unit_test(test_failed_launch_names_the_kernel),
        cmocka_unit_test(test_sum_of_many_squares),
        cmocka_unit_test(test_rows_of_tokens_in_order),
        cmocka_unit_test(test_scratch_grows_with_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
