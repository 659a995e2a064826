// Products by cuBLASLt, on that of the tests: the results of the kernels, an algorithm for each shape, and failures.
#include "test.h"

#include <math.h>

#include "device/gpu/launch.h"
#include "device/registry.h"
#include "tools/fake_cuda/fake_cuda.h"
#include "tools/fake_cuda/fake_lt.h"
#include "tools/fake_cuda/open_fake.h"

enum { T = 24, N = 48, K = 64 };

static struct fake_cuda *cuda;
static struct fake_lt *lt;
static char directory[256];

static int open_fakes(void **state)
{
    (void)state;
    cuda = open_fake("libcuda.so.1", "fake_cuda");
    lt = open_fake("libcublasLt.so.12", "fake_lt");
    return cuda == NULL || lt == NULL || test_make_directory(directory) == NULL ||
           setenv("XDG_CACHE_HOME", directory, 1) != 0;
}

static int remove_cache(void **state)
{
    (void)state;
    test_remove_directory(directory);
    return 0;
}

static struct loam_device *create(bool library)
{
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    if (library)
        assert_int_equal(unsetenv("LOAM_CUBLASLT"), 0);
    else
        assert_int_equal(setenv("LOAM_CUBLASLT", "off", 1), 0);
    assert_ok(loam_cuda_backend.create(&device, 0, 1, &error));
    assert_int_equal(loam_gpu(device)->plain_product != NULL, library && !lt->refuses);
    return device;
}

// ---- the same products on a device ----

enum {
    FORWARD,
    WITH_BIAS,
    WITH_RESIDUAL,
    TO_F32,
    BIAS_TO_F32,
    INPUT,
    INPUT_ADDED,
    WEIGHT,
    TRANSPOSED,
    PRODUCTS
};

struct scene {
    struct loam_stream stream;
    struct loam_arena arena;
    enum loam_dtype dtype;
    struct loam_tensor x, dy, w, transposed_w, bias, residual;
};

static struct loam_tensor make(struct scene *scene, int64_t rows, int64_t columns, int salt)
{
    float values[N * K];
    const struct loam_tensor tensor = loam_tensor_2d(
        loam_arena_alloc(&scene->arena, (size_t)(rows * columns) * 2), scene->dtype, rows, columns);
    for (int64_t i = 0; i < rows * columns; i++)
        values[i] = (float)((i * 7 + i / 11 + salt) % 13 - 6) / 8.0f;
    loam_upload_as(&scene->stream, tensor.data, scene->dtype, values, LOAM_F32, (size_t)(rows * columns));
    return tensor;
}

static void set_up(struct scene *scene, const struct loam_device *device, enum loam_dtype dtype)
{
    struct loam_error error = {0};
    *scene = (struct scene){.dtype = dtype};
    assert_ok(loam_stream_init(&scene->stream, device, 1 << 20, &error));
    assert_ok(loam_device_arena_init(device, &scene->arena, 1 << 20, true, &error));
    scene->x = make(scene, T, K, 0);
    scene->dy = make(scene, T, N, 1);
    scene->w = make(scene, N, K, 2);
    scene->transposed_w = make(scene, K, N, 3);
    scene->bias = loam_tensor_1d(make(scene, 1, N, 4).data, dtype, N);
    scene->residual = make(scene, T, N, 5);
}

static void tear_down(struct scene *scene, const struct loam_device *device)
{
    loam_device_arena_deinit(device, &scene->arena);
    loam_stream_deinit(&scene->stream);
}

static void forward(struct scene *scene, int which, const struct loam_tensor *y)
{
    struct loam_linear_forward_args args = {.x = scene->x, .w = {.tensor = scene->w}, .y = *y};
    if (which == WITH_BIAS || which == BIAS_TO_F32) args.bias = scene->bias;
    if (which == WITH_RESIDUAL) args.residual = scene->residual;
    if (which == TRANSPOSED) args.w = (struct loam_weight){.tensor = scene->transposed_w, .transposed = true};
    loam_linear_forward(&scene->stream, &args);
}

static void run_product(struct scene *scene, int which, float *result, size_t *count)
{
    const enum loam_dtype dtype =
        which == TO_F32 || which == BIAS_TO_F32 || which == WEIGHT ? LOAM_F32 : scene->dtype;
    const bool is_input = which == INPUT || which == INPUT_ADDED;
    const int64_t rows = which == WEIGHT ? N : T, columns = is_input || which == WEIGHT ? K : N;
    char raw[N * K * sizeof(float)];
    *count = (size_t)(rows * columns);
    const struct loam_tensor y =
        loam_tensor_2d(loam_arena_alloc(&scene->arena, *count * sizeof(float)), dtype, rows, columns);
    if (is_input)
        loam_linear_backward_input(
            &scene->stream,
            &(struct loam_linear_backward_input_args){
                .dy = scene->dy, .w = {.tensor = scene->w}, .dx = y, .accumulate = which == INPUT_ADDED});
    else if (which == WEIGHT)
        loam_linear_backward_weight(&scene->stream, &(struct loam_linear_backward_weight_args){
                                                        .dy = scene->dy, .x = scene->x, .dw = y});
    else
        forward(scene, which, &y);
    loam_download(&scene->stream, raw, y.data, *count * loam_dtype_size(dtype));
    struct loam_error error = {0};
    assert_ok(loam_stream_finish(&scene->stream, &error));
    loam_convert(result, LOAM_F32, raw, dtype, *count);
}

static void check_products(enum loam_dtype dtype)
{
    struct loam_device *with = create(true), *without = create(false);
    struct scene scenes[2];
    static float results[2][N * K];
    size_t count;
    set_up(&scenes[0], with, dtype);
    set_up(&scenes[1], without, dtype);
    for (int which = 0; which < PRODUCTS; which++) {
        const int before = lt->products;
        run_product(&scenes[0], which, results[0], &count);
        // The library has no bias of 16 bits for sums in f32, so the kernels make that product.
        assert_int_equal(lt->products - before, which != BIAS_TO_F32);
        run_product(&scenes[1], which, results[1], &count);
        assert_int_equal(lt->products - before, which != BIAS_TO_F32);
        for (size_t i = 0; i < count; i++)
            if (fabsf(results[0][i] - results[1][i]) > 0.01f * (1.0f + fabsf(results[1][i])))
                fail_msg("product %d, element %zu: %g and %g", which, i, (double)results[0][i],
                         (double)results[1][i]);
    }
    tear_down(&scenes[0], with);
    tear_down(&scenes[1], without);
    loam_device_destroy(with);
    loam_device_destroy(without);
    assert_int_equal(lt->live + cuda->live, 0);
}

static void test_products(void **state)
{
    (void)state;
    check_products(LOAM_BF16);
    check_products(LOAM_F16);
}

static void test_algorithms_are_chosen_once(void **state)
{
    (void)state;
    struct loam_device *device = create(true);
    struct scene scene;
    static float result[N * K];
    size_t count;
    set_up(&scene, device, LOAM_BF16);
    const int before = lt->chosen;
    for (int i = 0; i < 3; i++)
        run_product(&scene, FORWARD, result, &count);
    assert_int_equal(lt->chosen - before, 1);
    run_product(&scene, WITH_BIAS, result, &count);
    assert_int_equal(lt->chosen - before, 2);
    tear_down(&scene, device);
    loam_device_destroy(device);
    assert_int_equal(lt->live + cuda->live, 0);
}

static void test_failures(void **state)
{
    (void)state;
    struct loam_error error = {0};
    lt->refuses = true;
    loam_device_destroy(create(true)); // without the library's products
    lt->refuses = false;
    struct loam_device *device = create(true);
    struct scene scene;
    set_up(&scene, device, LOAM_BF16);
    lt->fails = true;
    const struct loam_tensor y = loam_tensor_2d(loam_arena_alloc(&scene.arena, T * N * 2), LOAM_BF16, T, N);
    forward(&scene, FORWARD, &y);
    assert_fails(
        loam_stream_finish(&scene.stream, &error), LOAM_ERROR_IO,
        "linear_forward on device cuda:0: cuBLASLt fails with status 13; LOAM_CUBLASLT=off does without it");
    lt->fails = false;
    tear_down(&scene, device);
    loam_device_destroy(device);
    assert_int_equal(lt->live + cuda->live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_algorithms_are_chosen_once),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, open_fakes, remove_cache);
}
