// The registry of devices, and the life of a stream.
#include "test.h"

#include "device/device.h"

static struct loam_device *make_ref(void)
{
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    assert_ok(loam_device_create(&device, "ref", 0, &error));
    return device;
}

static void test_registry(void **state)
{
    (void)state;
    struct loam_error error = {0};
    size_t count = 0;
    for (; loam_device_name(count) != NULL; count++) {
        struct loam_device *device = NULL;
        assert_ok(loam_device_create(&device, loam_device_name(count), 1, &error));
        assert_string_equal(device->name, loam_device_name(count));
        assert_int_equal(device->threads, 1);
        loam_device_destroy(device);
    }
    assert_true(count >= 2);
    assert_null(loam_device_name(SIZE_MAX));
}

static void test_unknown_device(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_device *device = (struct loam_device *)&error;
    assert_fails(loam_device_create(&device, "abacus", 0, &error), LOAM_ERROR_ARGUMENT,
                 "device \"abacus\" does not exist: expected auto, cpu, ref, cuda[:N] or opencl[:N]");
    assert_null(device);
    loam_device_destroy(NULL);
}

static void test_threads(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    assert_fails(loam_device_create(&device, "cpu", -1, &error), LOAM_ERROR_ARGUMENT, "-1 threads");
    assert_fails(loam_device_create(&device, "cpu", 1 << 20, &error), LOAM_ERROR_ARGUMENT, "expected 0");
    assert_int_equal(setenv("OMP_NUM_THREADS", "3", 1), 0);
    assert_ok(loam_device_create(&device, "cpu", 0, &error));
    assert_int_equal(device->threads, 3);
    loam_device_destroy(device);
    // The threads of an earlier device make no difference.
    assert_int_equal(unsetenv("OMP_NUM_THREADS"), 0);
    assert_ok(loam_device_create(&device, "cpu", 0, &error));
    assert_true(device->threads >= 1 && device->threads <= sysconf(_SC_NPROCESSORS_ONLN));
    loam_device_destroy(device);
}

// A loss over `vocabulary` rows, which needs scratch that grows with it. The addresses of a plan are never
// read.
static struct loam_linear_cross_entropy_args loss_args(int64_t vocabulary)
{
    static char somewhere[1];
    return (struct loam_linear_cross_entropy_args){.h = loam_tensor_2d(somewhere, LOAM_F32, 2, 3),
                                                   .w.tensor =
                                                       loam_tensor_2d(somewhere, LOAM_F32, vocabulary, 3),
                                                   .logit_factor = 1,
                                                   .targets = loam_tensor_1d(somewhere, LOAM_I32, 2),
                                                   .losses = loam_tensor_1d(somewhere, LOAM_F32, 2)};
}

static void test_plan_takes_the_largest_scratch(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_device *ref = make_ref();
    struct loam_stream stream;
    struct loam_linear_cross_entropy_args small = loss_args(7), large = loss_args(1000);
    loam_stream_init_planning(&stream, ref);
    loam_linear_cross_entropy(&stream, &large);
    size_t needed = stream.scratch_needed;
    assert_true(needed >= 1000 * sizeof(double));
    loam_linear_cross_entropy(&stream, &small);
    assert_int_equal(stream.scratch_needed, needed);
    assert_ok(loam_stream_finish(&stream, &error));
    loam_stream_deinit(&stream);
    loam_device_destroy(ref);
}

static void test_first_refusal_sticks(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_device *ref = make_ref();
    struct loam_stream stream;
    struct loam_linear_cross_entropy_args good = loss_args(7), bad = loss_args(9);
    struct loam_squared_norm_args worse = {0};
    bad.h.dtype = LOAM_F64;
    loam_stream_init_planning(&stream, ref);
    loam_linear_cross_entropy(&stream, &bad);
    loam_squared_norm(&stream, &worse);
    loam_linear_cross_entropy(&stream, &good);
    assert_int_equal(stream.scratch_needed, 0);
    assert_fails(loam_stream_finish(&stream, &error), LOAM_ERROR_UNSUPPORTED,
                 "linear_cross_entropy on device ref: h must be f32, bf16 or f16");
    // Reported once: the stream is usable again.
    loam_linear_cross_entropy(&stream, &good);
    assert_true(stream.scratch_needed > 0);
    assert_ok(loam_stream_finish(&stream, &error));
    loam_device_destroy(ref);
}

// A backend starts from an empty table: every op that it lacks is refused by name, planned or run.
static void test_empty_table_is_refused_by_name(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_device *ref = make_ref();
    ref->ops = (struct loam_op_table){0};
    for (int planning = 0; planning < 2; planning++) {
        struct loam_stream stream;
        if (planning)
            loam_stream_init_planning(&stream, ref);
        else
            assert_ok(loam_stream_init(&stream, ref, 0, &error));
#define LOAM_FUSED_OP(name)
#define LOAM_OP(name)                                                                                        \
    loam_##name(&stream, &(struct loam_##name##_args){0});                                                   \
    assert_fails(loam_stream_finish(&stream, &error), LOAM_ERROR_UNSUPPORTED,                                \
                 #name " on device ref: the device does not have this op");
#include "device/op_list.def"
#undef LOAM_OP
        loam_stream_deinit(&stream);
    }
    loam_device_destroy(ref);
}

static const char *refuse_long_rows(const struct loam_device *device,
                                    const struct loam_linear_cross_entropy_args *args)
{
    (void)device;
    return args->w.tensor.shape[0] > 8 ? "more than 8 rows do not fit" : NULL;
}

// The contract comes first; what a device lacks beyond it is its own.
static void test_device_refuses_beyond_the_contract(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_device *ref = make_ref();
    struct loam_stream stream;
    struct loam_linear_cross_entropy_args small = loss_args(7), large = loss_args(9), bad = loss_args(9);
    ref->ops.linear_cross_entropy.refuses = refuse_long_rows;
    ref->ops.linear_cross_entropy.scratch = NULL;
    bad.h.dtype = LOAM_F64;
    loam_stream_init_planning(&stream, ref);
    loam_linear_cross_entropy(&stream, &small);
    assert_int_equal(stream.scratch_needed, 0);
    assert_ok(loam_stream_finish(&stream, &error));
    loam_linear_cross_entropy(&stream, &large);
    assert_fails(loam_stream_finish(&stream, &error), LOAM_ERROR_UNSUPPORTED, "more than 8 rows do not fit");
    loam_linear_cross_entropy(&stream, &bad);
    assert_fails(loam_stream_finish(&stream, &error), LOAM_ERROR_UNSUPPORTED, "h must be f32, bf16 or f16");
    loam_device_destroy(ref);
}

// A checked stream holds an op that runs to its contract, memory included.
static void test_checked_stream(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_device *ref = make_ref();
    struct loam_stream stream;
    float x[4] = {1.0f, 2.0f, 3.0f, 4.0f};
    struct loam_activation_forward_args args = {
        .kind = LOAM_SILU, .x = loam_tensor_1d(x, LOAM_F32, 3), .y = loam_tensor_1d(x + 1, LOAM_F32, 3)};
    assert_ok(loam_stream_init(&stream, ref, 0, &error));
    stream.checked = true;
    loam_activation_forward(&stream, &args);
    assert_fails(loam_stream_finish(&stream, &error), LOAM_ERROR_UNSUPPORTED,
                 "activation_forward on device ref: an output overlaps another tensor");
    args.y = loam_tensor_1d(x, LOAM_BF16, 3);
    loam_activation_forward(&stream, &args);
    assert_fails(loam_stream_finish(&stream, &error), LOAM_ERROR_UNSUPPORTED, "y must be as x");
    assert_true(x[0] == 1.0f && x[1] == 2.0f);
    args.y = args.x;
    loam_activation_forward(&stream, &args);
    assert_ok(loam_stream_finish(&stream, &error));
    assert_true(x[0] != 1.0f);
    loam_stream_deinit(&stream);
    loam_device_destroy(ref);
}

static void test_failed_stream_does_nothing(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_device *ref = make_ref();
    struct loam_stream stream;
    float x[3] = {1.0f, 2.0f, 2.0f};
    double result = 0.0;
    struct loam_squared_norm_args norm = {.x = loam_tensor_1d(x, LOAM_F32, 3),
                                          .result = loam_tensor_1d(&result, LOAM_F64, 1)};
    assert_ok(loam_stream_init(&stream, ref, 0, &error));
    loam_stream_fail(&stream, LOAM_ERROR_NUMERIC, "adding", "it went wrong");
    loam_stream_fail(&stream, LOAM_ERROR_IO, "later", "and again");
    loam_squared_norm(&stream, &norm);
    loam_zero(&stream, x, sizeof x);
    assert_true(result == 0.0 && x[1] == 2.0f);
    assert_fails(loam_stream_finish(&stream, &error), LOAM_ERROR_NUMERIC,
                 "adding on device ref: it went wrong");
    loam_squared_norm(&stream, &norm);
    assert_ok(loam_stream_finish(&stream, &error));
    assert_true(result == 9.0);
    loam_stream_deinit(&stream);
    loam_device_destroy(ref);
}

static void test_scratch(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_device *ref = make_ref();
    struct loam_stream stream;
    assert_ok(loam_stream_init(&stream, ref, loam_scratch_bytes(1, 1) + loam_scratch_bytes(9, 8), &error));
    stream.op = "testing";
    char *first = loam_stream_scratch(&stream, 1), *second = loam_stream_scratch(&stream, 72);
    assert_non_null(first);
    assert_non_null(second);
    assert_int_equal((uintptr_t)first % LOAM_ARENA_ALIGN, 0);
    assert_int_equal((uintptr_t)second % LOAM_ARENA_ALIGN, 0);
    memset(first, 1, 1);
    memset(second, 1, 72);
    assert_ok(loam_stream_finish(&stream, &error));
    assert_null(loam_stream_scratch(&stream, (size_t)1 << 40));
    assert_fails(loam_stream_finish(&stream, &error), LOAM_ERROR_INTERNAL,
                 "testing on device ref: needs more scratch");
    loam_stream_deinit(&stream);
    loam_device_destroy(ref);
}

static void test_memory(void **state)
{
    (void)state;
    struct loam_error error = {0};
    for (size_t i = 0; loam_device_name(i) != NULL; i++) {
        struct loam_device *device = NULL;
        struct loam_stream stream, planning;
        struct loam_arena arena;
        int values[4] = {1, 2, 3, 4}, back[4] = {0};
        assert_ok(loam_device_create(&device, loam_device_name(i), 1, &error));
        assert_ok(loam_stream_init(&stream, device, 0, &error));
        assert_ok(loam_device_arena_init(device, &arena, 4096, false, &error));
        void *a = loam_arena_alloc(&arena, sizeof values), *b = loam_arena_alloc(&arena, sizeof values);
        loam_upload(&stream, a, values, sizeof values);
        device->memory->copy(&stream, b, a, sizeof values);
        loam_zero(&stream, a, 2 * sizeof values[0]);
        loam_download(&stream, back, b, sizeof back);
        assert_ok(loam_stream_finish(&stream, &error));
        assert_memory_equal(back, values, sizeof values);
        loam_download(&stream, back, a, sizeof back);
        assert_ok(loam_stream_finish(&stream, &error));
        assert_true(back[0] == 0 && back[1] == 0 && back[2] == 3 && back[3] == 4);
        // A plan moves nothing.
        loam_stream_init_planning(&planning, device);
        loam_zero(&planning, back, sizeof back);
        loam_upload(&planning, back, values, sizeof back);
        loam_download(&planning, back, values, sizeof back);
        assert_ok(loam_stream_finish(&planning, &error));
        assert_int_equal(back[2], 3);
        assert_int_equal(back[0], 0);
        loam_device_arena_deinit(device, &arena);
        loam_stream_deinit(&stream);
        loam_device_destroy(device);
    }
}

// An arena beyond the device's largest buffer is refused, planned or real; what the device has free is told.
static void test_largest_buffer(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_device *ref = make_ref(), *planning = NULL;
    struct loam_arena arena;
    assert_ok(loam_device_create_planning(&planning, ref, &error));
    struct loam_device *devices[] = {ref, planning};
    for (size_t i = 0; i < 2; i++) {
        devices[i]->largest_buffer = 8192;
        assert_fails(loam_device_arena_init(devices[i], &arena, 8193, false, &error), LOAM_ERROR_MEMORY,
                     "device ref takes at most 8192 bytes in one buffer, and 8193 are needed");
        assert_null(arena.base);
        assert_ok(loam_device_arena_init(devices[i], &arena, 8192, false, &error));
        loam_device_arena_deinit(devices[i], &arena);
        const struct loam_free_memory memory = loam_device_free_memory(devices[i]);
        assert_true(memory.bytes > 0);
        assert_non_null(memory.by);
    }
    loam_device_destroy(planning);
    loam_device_destroy(ref);
}

// Arenas hand out addresses as the device aligns them, counted ones as well.
static void test_alignment(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_device *ref = make_ref();
    struct loam_arena arena;
    ref->alignment = 256;
    loam_device_arena_init_counting(ref, &arena);
    (void)loam_arena_alloc(&arena, 1);
    assert_int_equal(arena.used, 256);
    assert_int_equal((uintptr_t)loam_arena_alloc(&arena, 1) % 256, 0);
    assert_ok(loam_device_arena_init(ref, &arena, 512, false, &error));
    (void)loam_arena_alloc(&arena, 1);
    assert_int_equal(arena.used, 256);
    loam_device_arena_deinit(ref, &arena);
    loam_device_destroy(ref);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registry),
        cmocka_unit_test(test_unknown_device),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_plan_takes_the_largest_scratch),
        cmocka_unit_test(test_first_refusal_sticks),
        cmocka_unit_test(test_empty_table_is_refused_by_name),
        cmocka_unit_test(test_device_refuses_beyond_the_contract),
        cmocka_unit_test(test_checked_stream),
        cmocka_unit_test(test_failed_stream_does_nothing),
        cmocka_unit_test(test_scratch),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_largest_buffer),
        cmocka_unit_test(test_alignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
