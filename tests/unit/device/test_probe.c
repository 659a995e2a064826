// What a measurement builds on: the products of the matrix library, plain and packed; the limits; the trace.
#include "device/device.h"
#include "test.h"

enum { M = 5, N = 7, K = 6 };

static struct loam_device *make_device(void)
{
    struct loam_error error;
    struct loam_device *device;
    assert_ok(loam_device_create(&device, "cpu", 1, &error));
    return device;
}

// Small whole numbers, so that every sum is exact.
static void fill(float *values, int count, int salt)
{
    for (int i = 0; i < count; i++)
        values[i] = (float)((i * 7 + salt) % 5 - 2);
}

// Element [i, j] of c by the kind's own formula.
static float element(enum loam_product_kind kind, const float *a, const float *w, int i, int j)
{
    float sum = 0;
    for (int l = 0; l < K; l++) {
        const float left = kind == LOAM_PRODUCT_WEIGHT ? a[l * M + i] : a[i * K + l];
        const float right = kind == LOAM_PRODUCT_FORWARD ? w[j * K + l] : w[l * N + j];
        sum += left * right;
    }
    return sum;
}

static void check_product(const struct loam_device *device, struct loam_probe *probe,
                          enum loam_product_kind kind)
{
    const struct loam_product product = {kind, M, N, K, LOAM_F32, LOAM_F32};
    float a[M * K], w[N * K], plain[M * N], packed_result[M * N];
    fill(a, M * K, 1);
    fill(w, N * K, 3);
    assert_null(device->probes->product(probe, &product, a, w, plain));
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++)
            assert_true(plain[i * N + j] == element(kind, a, w, i, j));

    const size_t bytes = device->probes->packed_bytes(probe, &product);
    assert_true(bytes >= sizeof w);
    void *packed =
        aligned_alloc(LOAM_ARENA_ALIGN, (bytes + LOAM_ARENA_ALIGN - 1) / LOAM_ARENA_ALIGN * LOAM_ARENA_ALIGN);
    assert_non_null(packed);
    assert_null(device->probes->pack(probe, &product, w, packed));
    assert_null(device->probes->packed_product(probe, &product, a, packed, packed_result));
    assert_memory_equal(plain, packed_result, sizeof plain);
    free(packed);
}

static void test_products(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_probe *probe;
    struct loam_device *device = make_device();
    assert_ok(device->probes->create(&probe, device, &error));
    check_product(device, probe, LOAM_PRODUCT_FORWARD);
    check_product(device, probe, LOAM_PRODUCT_INPUT);
    check_product(device, probe, LOAM_PRODUCT_WEIGHT);
    device->probes->destroy(probe);
    loam_device_destroy(device);
}

static void test_limits(void **state)
{
    (void)state;
    struct loam_device *device = make_device();
    const struct loam_limits *limits = device->ops.limits;
    const double once = limits->multiply_add(device->threads, LOAM_F32, 1);
    assert_true(once > 0);
    assert_true(limits->multiply_add(device->threads, LOAM_F32, 3) == 3 * once);
    if (loam_formats_have(device->formats.preferred, LOAM_BF16))
        assert_true(limits->multiply_add(device->threads, LOAM_BF16, 1) >= once);
    const size_t bytes = (size_t)4 << 20;
    uint32_t *words = malloc(bytes);
    assert_non_null(words);
    uint64_t sum = 0;
    for (size_t i = 0; i < bytes / sizeof *words; i++) {
        words[i] = (uint32_t)(i * 2654435761u >> 20) % 1000; // of its own, so that each must be read once
        sum += words[i];
    }
    assert_int_equal(limits->read(device->threads, words, bytes), sum);
    free(words);
    loam_device_destroy(device);
}

static void count_op(void *user, enum loam_op_id op, const void *args)
{
    assert_int_equal(op, LOAM_OP_ID_linear_forward);
    assert_non_null(args);
    ++*(int *)user;
}

static void run_linear(struct loam_stream *stream, float *x, float *w, float *y)
{
    loam_linear_forward(stream,
                        &(struct loam_linear_forward_args){.x = loam_tensor_2d(x, LOAM_F32, M, K),
                                                           .w.tensor = loam_tensor_2d(w, LOAM_F32, N, K),
                                                           .y = loam_tensor_2d(y, LOAM_F32, M, N)});
}

// What is computed again takes time and moves bytes, but is no operation that was needed.
static void test_trace(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_device *device;
    struct loam_stream stream;
    float x[M * K], w[N * K], y[M * N];
    int seen = 0;
    struct loam_trace trace = {.watch = count_op, .user = &seen};
    const struct loam_op_total *total = &trace.ops[LOAM_OP_ID_linear_forward];
    const double bytes = (M * K + N * K + M * N) * sizeof(float);
    fill(x, M * K, 1);
    fill(w, N * K, 3);
    assert_ok(loam_device_create(&device, "ref", 1, &error));
    assert_ok(loam_stream_init(&stream, device, 0, &error));
    run_linear(&stream, x, w, y);
    stream.trace = &trace;
    run_linear(&stream, x, w, y);
    stream.recomputing = true;
    run_linear(&stream, x, w, y);
    assert_ok(loam_stream_finish(&stream, &error));
    assert_int_equal(total->calls, 2);
    assert_int_equal(seen, 1);
    assert_true(total->flops == 2.0 * M * N * K);
    assert_true(total->bytes == 2 * bytes);
    assert_true(total->seconds >= 0);
    for (int op = 0; op < LOAM_OP_COUNT; op++)
        assert_int_equal(trace.ops[op].calls, op == LOAM_OP_ID_linear_forward ? 2 : 0);
    assert_string_equal(loam_op_name(LOAM_OP_ID_adamw), "adamw");
    loam_stream_deinit(&stream);
    loam_device_destroy(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
