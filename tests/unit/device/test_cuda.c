// The CUDA host on the driver and the compiler of the tests: memory, refusals, failures of every call, and the cache.
#include "test.h"

#include <glob.h>
#include <unistd.h>

#include "device/gpu/cuda/code.h"
#include "device/gpu/cuda/driver.h"
#include "device/gpu/launch.h"
#include "device/registry.h"
#include "tools/fake_cuda/fake_cuda.h"
#include "tools/fake_cuda/fake_nvrtc.h"
#include "tools/fake_cuda/open_fake.h"

enum { STICKY_RESULT = CUDA_ERROR_ILLEGAL_ADDRESS, PLAIN_RESULT = CUDA_ERROR_OPERATING_SYSTEM };

static struct fake_cuda *cuda, initial_cuda;
static struct fake_nvrtc *nvrtc, initial_nvrtc;
static char directory[256];

static int open_fakes(void **state)
{
    (void)state;
    cuda = open_fake("libcuda.so.1", "fake_cuda");
    nvrtc = open_fake("libnvrtc.so.12", "fake_nvrtc");
    if (cuda == NULL || nvrtc == NULL) return 1;
    initial_cuda = *cuda;
    initial_nvrtc = *nvrtc;
    return test_make_directory(directory) == NULL || setenv("XDG_CACHE_HOME", directory, 1) != 0;
}

static int remove_cache(void **state)
{
    (void)state;
    test_remove_directory(directory);
    return 0;
}

// Nothing is left of a test that ended.
static int reset(void **state)
{
    (void)state;
    const int left = cuda->live + nvrtc->live;
    *cuda = initial_cuda;
    *nvrtc = initial_nvrtc;
    return left;
}

static struct loam_device *create(void)
{
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    assert_ok(loam_cuda_backend.create(&device, 0, 1, &error));
    return device;
}

static void check_refused(int index, const char *text)
{
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    assert_fails(loam_cuda_backend.create(&device, index, 1, &error), LOAM_ERROR_UNSUPPORTED, text);
    assert_null(strchr(error.message, '\n'));
    assert_null(device);
    assert_int_equal(cuda->live, 0);
    assert_int_equal(nvrtc->live, 0);
}

// ---- refusals ----

static void test_driver_is_missing_or_old(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_cuda_driver driver;
    assert_fails(loam_cuda_driver_open(&driver, "libcuda-missing.so.1", &error), LOAM_ERROR_UNSUPPORTED,
                 "install the NVIDIA driver");
    assert_fails(loam_cuda_driver_open(&driver, "libm.so.6", &error), LOAM_ERROR_UNSUPPORTED,
                 "libm.so.6 has no function cuInit: install an NVIDIA driver for CUDA 12.0 or later");
    cuda->version = 10020;
    check_refused(0, "the NVIDIA driver supports CUDA 10.2; install one for CUDA 12.0 or later");
}

static void test_devices_that_cannot_be_used(void **state)
{
    (void)state;
    check_refused(1, "device cuda:1 does not exist: the driver finds 1, numbered from 0");
    check_refused(-1, "device cuda:-1 does not exist");
    cuda->capability = 70;
    check_refused(0, "device cuda:0 has compute capability 7.0; at least 7.5 (Turing) is needed");
    cuda->devices = 0;
    check_refused(0, "CUDA_ERROR_NO_DEVICE (100): the driver finds no GPU");
}

static void test_compiler_is_missing_or_old(void **state)
{
    (void)state;
    nvrtc->no = "nvrtcVersion";
    check_refused(0, "no compiler for the GPU's kernels: libnvrtc.so.12 has no nvrtcVersion that works; "
                     "install NVRTC 12 (libnvrtc.so.12)");
    nvrtc->no = NULL;
    nvrtc->minor = 3; // nothing is cached for it
    cuda->capability = 120;
    check_refused(0, "NVRTC 12.3 does not compile the kernels (--gpu-architecture=sm_120): error: invalid "
                     "value for --gpu-architecture "
                     "(-arch); install a newer one");
    cuda->capability = 89;
    static const char *const functions[] = {"nvrtcCreateProgram", "nvrtcCompileProgram", "nvrtcGetCUBINSize",
                                            "nvrtcGetCUBIN"};
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        nvrtc->no = functions[i];
        check_refused(0, "NVRTC");
    }
}

static void test_formats(void **state)
{
    (void)state;
    struct loam_device *device = create();
    assert_int_equal(loam_device_default_dtype(device), LOAM_BF16);
    assert_false(device->host_memory);
    loam_device_destroy(device);
    cuda->capability = 75; // without products in bf16
    device = create();
    assert_int_equal(loam_device_default_dtype(device), LOAM_F16);
    loam_device_destroy(device);
}

// ---- auto ----

static void check_auto(const char *name, const char *passed_over)
{
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    assert_ok(loam_device_create(&device, "auto", 1, &error));
    assert_string_equal(device->name, name);
    if (strncmp(device->passed_over, passed_over, strlen(passed_over)) != 0)
        fail_msg("\"%s\"", device->passed_over);
    if (passed_over[0] == '\0') assert_string_equal(device->passed_over, "");
    loam_device_destroy(device);
}

static void test_auto(void **state)
{
    (void)state;
    check_auto("cuda:0", "");
    cuda->capability = 70;
    check_auto("cpu", "cuda:0 cannot be used: device cuda:0 has compute capability 7.0; at least 7.5");
    cuda->capability = 80;
    cuda->version = 10020;
    check_auto("cpu", "cuda:0 cannot be used: the NVIDIA driver supports CUDA 10.2; install one for");
    cuda->version = initial_cuda.version;
    cuda->devices = 0; // a driver without a GPU
    check_auto("cpu", "");
    cuda->devices = 2;
    cuda->calls = 0;
    cuda->fail_symbol = "cuDevicePrimaryCtxRetain"; // another process has the first one
    cuda->fail_at = 1;
    cuda->fail_result = CUDA_ERROR_DEVICE_UNAVAILABLE;
    check_auto("cuda:1", "cuda:0 cannot be used: ");
}

// ---- the check of a new device ----

// Kernels that do nothing: those that the check needs are noticed.
static void test_wrong_kernels_are_noticed(void **state)
{
    (void)state;
    static const char *const kernels[] = {
#define LOAM_KERNEL(name, buffers) "loam_kernel_" #name,
#include "device/gpu/kernels/kernel_list.def"
#undef LOAM_KERNEL
    };
    int refused = 0;
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++) {
        struct loam_error error = {0};
        struct loam_device *device = NULL;
        cuda->skip = kernels[i];
        if (loam_cuda_backend.create(&device, 0, 1, &error) != LOAM_OK) {
            refused++;
            assert_fails(error.status, LOAM_ERROR_UNSUPPORTED, "device cuda:0 computes wrongly: ");
        }
        loam_device_destroy(device);
        assert_int_equal(cuda->live, 0);
    }
    assert_true(refused >= 3);
}

// ---- memory ----

static void test_uploads_of_many_parts(void **state)
{
    (void)state;
    enum { COUNT = 5 * 1000 * 1000 + 3 }; // more than two parts of the staging block
    struct loam_error error = {0};
    struct loam_stream stream;
    struct loam_arena arena;
    struct loam_device *device = create();
    float *values = malloc((COUNT + 1) * sizeof *values), *back = malloc(COUNT * sizeof *back);
    assert_true(values != NULL && back != NULL);
    for (int i = 0; i < COUNT; i++)
        values[i] = (float)(i % 251);
    assert_ok(loam_stream_init(&stream, device, 0, &error));
    assert_ok(loam_device_arena_init(device, &arena, 2 * COUNT * sizeof *values, true, &error));
    char *const a = loam_arena_alloc(&arena, COUNT * sizeof *values);
    char *const b = loam_arena_alloc(&arena, COUNT * sizeof *values - 512);
    assert_true((uintptr_t)a % 256 == 0 && (uintptr_t)b % 256 == 0);
    loam_download(&stream, back, b, 4096); // arenas are zeroed
    loam_upload(&stream, a, values, COUNT * sizeof *values);
    memset(values, 0xff, COUNT * sizeof *values); // the caller's again
    assert_ok(loam_stream_finish(&stream, &error));
    for (int i = 0; i < 1024; i++)
        assert_true(back[i] == 0.0f);
    loam_download(&stream, back, a, COUNT * sizeof *back);
    assert_ok(loam_stream_finish(&stream, &error));
    for (int i = 0; i < COUNT; i++)
        if (back[i] != (float)(i % 251)) fail_msg("element %d is %g", i, (double)back[i]);
    assert_true(cuda->most_pending > 1);

    // From an odd address, and back as bf16 through f32.
    char *const odd = (char *)values + 1;
    memcpy(odd, back, COUNT * sizeof *back);
    loam_upload_as(&stream, b, LOAM_BF16, odd, LOAM_F32, COUNT);
    device->memory->copy(&stream, a, b, COUNT * 2);
    loam_zero(&stream, b, 64);
    uint16_t *const halves = (uint16_t *)(void *)back;
    loam_download(&stream, halves, a, COUNT * 2);
    assert_ok(loam_stream_finish(&stream, &error));
    for (int i = 0; i < COUNT; i++)
        if (loam_bf16_to_f32(halves[i]) != (float)(i % 251)) fail_msg("half %d", i);
    loam_download(&stream, halves, b, 66);
    assert_ok(loam_stream_finish(&stream, &error));
    assert_true(halves[0] == 0 && halves[31] == 0 && loam_bf16_to_f32(halves[32]) == 32.0f);
    loam_device_arena_deinit(device, &arena);
    loam_stream_deinit(&stream);
    loam_device_destroy(device);
    free(values);
    free(back);
}

static void test_out_of_memory_tells_what_is_free(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_arena arena, second;
    struct loam_device *device = create();
    cuda->memory = 1 << 20;
    assert_ok(loam_device_arena_init(device, &arena, 1 << 19, true, &error));
    assert_fails(loam_device_arena_init(device, &second, (1 << 19) + 1, true, &error), LOAM_ERROR_MEMORY,
                 "out of memory on device cuda:0: 524544 bytes in one piece; 524288 of its 1048576 are free");
    assert_fails(loam_device_arena_init(device, &second, SIZE_MAX, true, &error), LOAM_ERROR_MEMORY,
                 "out of memory on device cuda:0");
    assert_null(second.base);
    assert_true(loam_device_free_memory(device).bytes == 1 << 19);
    loam_device_arena_deinit(device, &arena);
    assert_true(loam_device_free_memory(device).bytes == 1 << 20);
    loam_device_destroy(device);
}

// ---- launches ----

static void test_limits_of_a_launch(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_stream stream;
    struct loam_device *device = create();
    const struct add_scaled_params p = {
        .cells = {.columns = 0, .per_row = 1}, .x_dtype = DTYPE_F32, .y_dtype = DTYPE_F32};
    struct loam_launch launch = {
        .kernel = LOAM_KERNEL_add_scaled, .grid = {1}, .shared = 60 << 10, LOAM_PARAMS(p)};
    cuda->launches = 0; // those of the check
    assert_ok(loam_stream_init(&stream, device, 0, &error));
    stream.op = "test";
    assert_ok(loam_gpu_launch(&stream, &launch)); // the attribute lets it have more than 48 KB
    assert_ok(loam_stream_finish(&stream, &error));
    assert_int_equal(cuda->launches, 1);
    launch.grid[0] = 0; // nothing to do, which the driver refuses
    assert_ok(loam_gpu_launch(&stream, &launch));
    assert_int_equal(cuda->launches, 1);
    launch.grid[0] = 1;
    launch.grid[1] = 65536;
    assert_int_equal(loam_gpu_launch(&stream, &launch), LOAM_ERROR_UNSUPPORTED);
    assert_fails(loam_stream_finish(&stream, &error), LOAM_ERROR_UNSUPPORTED,
                 "test on device cuda:0: 1 x 65536 x 0 blocks are more than a GPU takes");
    launch.grid[1] = 1;
    launch.shared = 100 << 10;
    assert_int_equal(loam_gpu_launch(&stream, &launch), LOAM_ERROR_UNSUPPORTED);
    assert_fails(loam_stream_finish(&stream, &error), LOAM_ERROR_UNSUPPORTED,
                 "loam_kernel_add_scaled needs 102400 bytes of shared memory, and the GPU has 101376");
    loam_stream_deinit(&stream);
    loam_device_destroy(device);
}

// ---- graphs ----

enum { CHAIN = 12, WIDTH = 64 };

// y = CHAIN times x, in launches that each read the sum so far; the result, or the failure.
static enum loam_status run_chain(const struct loam_device *device, struct loam_stream *stream, char *memory,
                                  float factor, float *result, struct loam_error *error)
{
    float x[WIDTH], y[WIDTH] = {0};
    (void)device;
    for (int i = 0; i < WIDTH; i++)
        x[i] = (float)i;
    const struct loam_tensor source = loam_tensor_2d(memory, LOAM_F32, 1, WIDTH);
    const struct loam_tensor sum = loam_tensor_2d(memory + sizeof x, LOAM_F32, 1, WIDTH);
    loam_upload(stream, source.data, x, sizeof x);
    loam_upload(stream, sum.data, y, sizeof y);
    for (int i = 0; i < CHAIN; i++)
        loam_add_scaled(stream,
                        &(struct loam_add_scaled_args){
                            .x = source, .residual = sum, .y = sum, .factor = i == 3 ? factor : 1.0f});
    loam_download(stream, y, sum.data, sizeof y);
    LOAM_TRY(loam_stream_finish(stream, error));
    *result = y[WIDTH - 1] / (WIDTH - 1);
    return LOAM_OK;
}

static void test_repeated_launches_are_a_graph(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_arena arena;
    struct loam_stream stream;
    struct loam_device *device = create();
    float result;
    assert_ok(loam_stream_init(&stream, device, 0, &error));
    assert_ok(loam_device_arena_init(device, &arena, 8192, true, &error));
    const struct {
        float factor;
        int at, graphs, changed; // graphs and changed nodes so far
    } runs[] = {{1, 0, 0, 0},           {1, 0, 1, 0}, {1, 0, 2, 0}, {5, 0, 3, 1}, {5, 1024, 4, 1 + CHAIN},
                {1, 1024, 5, 2 + CHAIN}};
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        assert_ok(
            run_chain(device, &stream, (char *)arena.base + runs[i].at, runs[i].factor, &result, &error));
        assert_true(result == CHAIN - 1 + runs[i].factor);
        assert_int_equal(cuda->graph_launches, runs[i].graphs);
        assert_int_equal(cuda->changed_nodes, runs[i].changed);
    }
    // What was gathered for an arena is queued before its memory is released.
    const struct loam_tensor x = loam_tensor_2d(arena.base, LOAM_F32, 1, WIDTH);
    loam_add_scaled(&stream, &(struct loam_add_scaled_args){.x = x, .y = x, .factor = 2});
    loam_device_arena_deinit(device, &arena);
    assert_ok(loam_stream_finish(&stream, &error));
    loam_stream_deinit(&stream);
    loam_device_destroy(device);
}

static void test_graphs_can_fail(void **state)
{
    (void)state;
    static const char *const symbols[] = {"cuGraphCreate", "cuGraphAddKernelNode_v2",
                                          "cuGraphInstantiateWithFlags", "cuGraphExecKernelNodeSetParams_v2",
                                          "cuGraphLaunch"};
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        struct loam_error error = {0};
        struct loam_arena arena;
        struct loam_stream stream;
        struct loam_device *device = create();
        enum loam_status status = LOAM_OK;
        float result;
        assert_ok(loam_stream_init(&stream, device, 0, &error));
        assert_ok(loam_device_arena_init(device, &arena, 4096, true, &error));
        cuda->calls = 0;
        cuda->fail_symbol = symbols[i];
        cuda->fail_at = 1;
        cuda->fail_result = PLAIN_RESULT;
        for (int run = 0; run < 3 && status == LOAM_OK; run++)
            status = run_chain(device, &stream, arena.base, (float)run, &result, &error);
        assert_fails(status, LOAM_ERROR_IO, "add_scaled on device cuda:0: CUDA_ERROR_OF_THE_TEST (304)");
        assert_ok(run_chain(device, &stream, arena.base, 3, &result, &error)); // the device goes on
        assert_true(result == CHAIN + 2);
        loam_device_arena_deinit(device, &arena);
        loam_stream_deinit(&stream);
        loam_device_destroy(device);
        assert_int_equal(cuda->live, 0);
    }
}

// ---- failures ----

// w comes to the device once by an upload and once by a fetch, which takes the place of what the ops before it used.
static void move_weight(struct loam_stream *stream, const struct loam_linear_forward_args *args,
                        const struct loam_arena *host)
{
    static const float w[4] = {1, 0, 1, 1};
    static const float other[4] = {9, 9, 9, 9};
    loam_upload_as(stream, args->w.tensor.data, LOAM_F32, other, LOAM_F32, 4);
    loam_linear_forward(stream, args);
    memcpy(host->base, w, sizeof w);
    loam_fetch(stream, 1, args->w.tensor.data, host->base, sizeof w);
    loam_fetch_wait(stream, 1);
}

// y = x wT; the first failure. `host` is where w comes from.
static enum loam_status compute_product(struct loam_stream *stream, struct loam_arena *arena,
                                        const struct loam_arena *host, struct loam_error *error)
{
    static const float x[4] = {1, 2, 3, 4};
    float y[4] = {0};
    struct loam_linear_forward_args args = {
        .x = loam_tensor_2d(loam_arena_alloc(arena, sizeof x), LOAM_F32, 2, 2),
        .w = {.tensor = loam_tensor_2d(loam_arena_alloc(arena, sizeof x), LOAM_F32, 2, 2)},
        .y = loam_tensor_2d(loam_arena_alloc(arena, sizeof y), LOAM_F32, 2, 2)};
    loam_upload(stream, args.x.data, x, sizeof x);
    move_weight(stream, &args, host);
    loam_zero(stream, args.y.data, sizeof y);
    loam_linear_forward(stream, &args);
    loam_download(stream, y, args.y.data, sizeof y);
    LOAM_TRY(loam_stream_finish(stream, error));
    assert_true(y[0] == 1 && y[1] == 3 && y[2] == 3 && y[3] == 7);
    return LOAM_OK;
}

// The same on a new device.
static enum loam_status run_product(const struct loam_device *device, struct loam_error *error)
{
    struct loam_stream stream;
    struct loam_arena arena, host = {0};
    LOAM_TRY(loam_device_arena_init(device, &arena, 4096, true, error));
    enum loam_status status = loam_stream_init(&stream, device, 4096, error);
    if (status == LOAM_OK) {
        status = loam_device_host_arena_init(device, &host, 64, error);
        if (status == LOAM_OK) status = compute_product(&stream, &arena, &host, error);
        loam_device_host_arena_deinit(device, &host);
        loam_stream_deinit(&stream);
    }
    loam_device_arena_deinit(device, &arena);
    return status;
}

// The n-th call fails; the calls that there were.
static int run_with_failure(int n, cuda_result result, bool sticky)
{
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    *cuda = initial_cuda;
    cuda->fail_at = n;
    cuda->fail_result = result;
    cuda->fail_sticky = sticky;
    enum loam_status status = loam_cuda_backend.create(&device, 0, 1, &error);
    if (status == LOAM_OK) status = run_product(device, &error);
    const int calls = cuda->calls;
    loam_device_destroy(device);
    assert_int_equal(cuda->live, 0);
    assert_int_equal(cuda->used, 0);
    assert_int_equal(nvrtc->live, 0);
    if (status != LOAM_OK) {
        const char *name = sticky ? "CUDA_ERROR_ILLEGAL_ADDRESS (700): " : "CUDA_ERROR_OF_THE_TEST (304): ";
        if (strstr(error.message, name) == NULL) fail_msg("call %d: \"%s\"", n, error.message);
        assert_null(strchr(error.message, '\n'));
    }
    return status == LOAM_OK ? -calls : calls;
}

static void test_every_call_can_fail(void **state)
{
    (void)state;
    const int calls = -run_with_failure(0, CUDA_SUCCESS, false);
    int failures = 0;
    assert_true(calls > 60);
    for (int n = 1; n <= calls; n++) {
        failures += run_with_failure(n, PLAIN_RESULT, false) > 0;
        failures += run_with_failure(n, STICKY_RESULT, true) > 0;
    }
    // All but those that release memory at the end.
    assert_true(failures >= 2 * (calls - 12));
}

static void test_allocation_n_fails(void **state)
{
    (void)state;
    struct loam_error error = {0};
    for (int n = 1; n <= 2; n++) {
        struct loam_device *device = create();
        cuda->fail_symbol = "cuMemAlloc_v2";
        cuda->fail_at = n;
        cuda->fail_result = CUDA_ERROR_OUT_OF_MEMORY;
        cuda->calls = 0;
        assert_fails(run_product(device, &error), LOAM_ERROR_MEMORY, "4096 bytes in one piece; ");
        assert_ok(run_product(device, &error)); // the device goes on
        loam_device_destroy(device);
        assert_int_equal(cuda->live, 0);
    }
}

static void test_lost_device_stays_lost(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_device *device = create();
    cuda->fail_symbol = "cuLaunchKernel";
    cuda->fail_at = 1;
    cuda->calls = 0;
    cuda->fail_result = CUDA_ERROR_LAUNCH_FAILED;
    cuda->fail_sticky = true;
    assert_fails(
        run_product(device, &error), LOAM_ERROR_IO,
        "linear_forward on device cuda:0: CUDA_ERROR_LAUNCH_FAILED (719): a kernel failed; the device is "
        "lost to this process");
    assert_fails(run_product(device, &error), LOAM_ERROR_IO,
                 "4096 bytes on device cuda:0: CUDA_ERROR_LAUNCH");
    loam_device_destroy(device);
    assert_int_equal(cuda->live, 0);
    device = create(); // a new context
    assert_ok(run_product(device, &error));
    loam_device_destroy(device);
}

// What a kernel does wrong shows when the stream ends.
static void test_foreign_memory_is_reported_at_the_end(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_stream stream;
    struct loam_device *device = create();
    float on_host[4] = {0}, result[4];
    const struct loam_tensor x = loam_tensor_2d(on_host, LOAM_F32, 2, 2),
                             y = loam_tensor_2d(result, LOAM_F32, 2, 2);
    assert_ok(loam_stream_init(&stream, device, 0, &error));
    loam_linear_forward(&stream, &(struct loam_linear_forward_args){.x = x, .w = {.tensor = x}, .y = y});
    assert_fails(loam_stream_finish(&stream, &error), LOAM_ERROR_IO,
                 "CUDA_ERROR_ILLEGAL_ADDRESS (700): a kernel used memory that it does not own");
    loam_stream_deinit(&stream);
    loam_device_destroy(device);
}

// ---- the cache ----

static void find_cached(char *path, size_t bytes, const char *architecture)
{
    char pattern[512];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/loam/kernels-%s-*", directory, architecture);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 1); // and no temporary file
    snprintf(path, bytes, "%s", found.gl_pathv[0]);
    globfree(&found);
}

static int count_compilations(void)
{
    const int before = nvrtc->compiled;
    loam_device_destroy(create());
    return nvrtc->compiled - before;
}

static void change_byte(const char *path, long at)
{
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    const int byte = fgetc(file);
    assert_int_equal(fseek(file, -1, SEEK_CUR), 0);
    assert_true(fputc(byte ^ 1, file) != EOF);
    assert_int_equal(fclose(file), 0);
}

static void test_code_is_cached(void **state)
{
    (void)state;
    char path[512];
    cuda->capability = 86; // of no other test
    assert_int_equal(count_compilations(), 1);
    assert_int_equal(count_compilations(), 0);
    find_cached(path, sizeof path, "sm_86");
    static const long damaged[] = {0, 8, 16, 24, 32, -1}; // each field, the code, its end
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        change_byte(path, damaged[i]);
        assert_int_equal(count_compilations(), 1);
        assert_int_equal(count_compilations(), 0);
    }
    for (off_t bytes = 0; bytes < 40; bytes += 13) {
        assert_int_equal(truncate(path, bytes), 0);
        assert_int_equal(count_compilations(), 1);
    }
    find_cached(path, sizeof path, "sm_86");
    nvrtc->minor++; // another compiler
    assert_int_equal(count_compilations(), 1);
}

// Code that the driver does not take is compiled again, once, and replaced.
static void test_cached_code_that_does_not_fit(void **state)
{
    (void)state;
    static const cuda_result results[] = {CUDA_ERROR_NO_BINARY_FOR_GPU, CUDA_ERROR_JIT_COMPILER_NOT_FOUND,
                                          CUDA_ERROR_JIT_COMPILATION_DISABLED, CUDA_ERROR_INVALID_IMAGE};
    cuda->capability = 88;
    assert_int_equal(count_compilations(), 1);
    cuda->fail_symbol = "cuModuleLoadData";
    cuda->fail_at = 1;
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        cuda->fail_result = results[i];
        cuda->calls = 0;
        assert_int_equal(count_compilations(), 1);
        assert_int_equal(count_compilations(), 0);
    }
    const int before = nvrtc->compiled;
    cuda->calls = 0;
    cuda->fail_sticky = true;
    check_refused(
        0, "the kernels cannot be loaded: CUDA_ERROR_OF_THE_TEST (200): the kernels' code is of a newer "
           "CUDA than the NVIDIA driver");
    assert_int_equal(nvrtc->compiled - before, 1);
    // Another failure is not one of the code.
    cuda->calls = 0;
    cuda->fail_sticky = false;
    cuda->fail_result = CUDA_ERROR_UNKNOWN;
    check_refused(0, "the kernels cannot be loaded: CUDA_ERROR_OF_THE_TEST (999)");
    assert_int_equal(nvrtc->compiled - before, 1);
}

static void test_cache_that_cannot_be_written(void **state)
{
    (void)state;
    char file[300];
    cuda->capability = 87;
    snprintf(file, sizeof file, "%s/file", directory);
    FILE *made = fopen(file, "w");
    assert_non_null(made);
    assert_int_equal(fclose(made), 0);
    assert_int_equal(setenv("XDG_CACHE_HOME", file, 1), 0); // a file is in the way of the directory
    assert_int_equal(count_compilations(), 1);
    assert_int_equal(count_compilations(), 1);
    assert_int_equal(setenv("XDG_CACHE_HOME", directory, 1), 0);
    assert_int_equal(count_compilations(), 1);
    assert_int_equal(count_compilations(), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, NULL, reset)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_driver_is_missing_or_old),
        TEST(test_devices_that_cannot_be_used),
        TEST(test_compiler_is_missing_or_old),
        TEST(test_formats),
        TEST(test_auto),
        TEST(test_wrong_kernels_are_noticed),
        TEST(test_uploads_of_many_parts),
        TEST(test_out_of_memory_tells_what_is_free),
        TEST(test_limits_of_a_launch),
        TEST(test_repeated_launches_are_a_graph),
        TEST(test_graphs_can_fail),
        TEST(test_every_call_can_fail),
        TEST(test_allocation_n_fails),
        TEST(test_lost_device_stays_lost),
        TEST(test_foreign_memory_is_reported_at_the_end),
        TEST(test_code_is_cached),
        TEST(test_cached_code_that_does_not_fit),
        TEST(test_cache_that_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, open_fakes, remove_cache);
}
