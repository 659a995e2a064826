// The OpenCL host on the first device of OpenCL, which is skipped where there is none: memory, the code's cache, and a run
// of which each call fails once.
#include <dirent.h>

#include "device/gpu/opencl/host.h"
#include "test.h"

enum loam_status __real_loam_opencl_api_open(struct loam_opencl_api *api, const char *library,
                                             struct loam_error *error);
enum loam_status __wrap_loam_opencl_api_open(struct loam_opencl_api *api, const char *library,
                                             struct loam_error *error);

// ---- calls that fail ----

static struct {
    struct loam_opencl_api real;
    int at;    // the call that fails, from 1; 0: none
    int calls; // so far
    int live;  // objects that were created and not released
    cl_result result;
    bool is_gpu; // what CL_DEVICE_TYPE tells
} faults = {.result = CL_OUT_OF_RESOURCES};

static bool fails(void)
{
    return ++faults.calls == faults.at;
}

static cl_result count_release(const char *symbol, cl_result result)
{
    if (strncmp(symbol, "clRelease", 9) == 0) faults.live--;
    return result;
}

#define CL_CALL(member, result_type, symbol, parameters, arguments)                                          \
    static result_type fault_##member parameters                                                             \
    {                                                                                                        \
        if (fails() && strncmp(#symbol, "clRelease", 9) != 0) return faults.result;                          \
        return count_release(#symbol, faults.real.member arguments);                                         \
    }
#define CL_MAKE(member, type, symbol, parameters, arguments)                                                 \
    static struct type *fault_##member parameters                                                            \
    {                                                                                                        \
        *result = faults.result;                                                                             \
        if (fails()) return NULL;                                                                            \
        struct type *made = faults.real.member arguments;                                                    \
        faults.live += made != NULL;                                                                         \
        return made;                                                                                         \
    }
#define CL_MAP(member, symbol, parameters, arguments)                                                        \
    static void *fault_##member parameters                                                                   \
    {                                                                                                        \
        *result = faults.result;                                                                             \
        return fails() ? NULL : faults.real.member arguments;                                                \
    }
#include "device/gpu/opencl/api_list.def"
#undef CL_CALL

// ---- uploads that are late ----

// Uploads without a wait take place once more as late as OpenCL allows, with what is then at their source.
static struct {
    bool on;
    int waiting; // uploads that returned only when they were done
    struct late_upload {
        struct cl_queue *queue;
        struct cl_memory *target;
        size_t offset, bytes;
        const void *source;
        struct cl_event *event;
    } uploads[64];
    int count;
} late;

// Makes the first `count` uploads.
static void make_late(int count)
{
    for (int i = 0; i < count; i++) {
        const struct late_upload *upload = &late.uploads[i];
        assert_int_equal(faults.real.upload(upload->queue, upload->target, CL_TRUE, upload->offset,
                                            upload->bytes, upload->source, 0, NULL, NULL),
                         CL_SUCCESS);
    }
    late.count -= count;
    memmove(late.uploads, late.uploads + count, (size_t)late.count * sizeof *late.uploads);
}

static cl_result upload(struct cl_queue *queue, struct cl_memory *target, cl_truth blocking, size_t offset,
                        size_t bytes, const void *source, cl_count wait_count, struct cl_event *const *wait,
                        struct cl_event **event)
{
    const cl_result result =
        fault_upload(queue, target, blocking, offset, bytes, source, wait_count, wait, event);
    if (result != CL_SUCCESS) return result;
    if (event != NULL) faults.live++;
    if (blocking == CL_TRUE) late.waiting++;
    if (!late.on || blocking == CL_TRUE) return result;
    assert_true(late.count < (int)(sizeof late.uploads / sizeof *late.uploads));
    late.uploads[late.count++] =
        (struct late_upload){queue, target, offset, bytes, source, event != NULL ? *event : NULL};
    return result;
}

static cl_result events_wait(cl_count count, struct cl_event *const *events)
{
    const cl_result result = fault_events_wait(count, events);
    for (int i = late.count; i > 0; i--)
        for (cl_count j = 0; j < count; j++)
            if (i <= late.count && late.uploads[i - 1].event == events[j]) make_late(i);
    return result;
}

static cl_result queue_wait(struct cl_queue *queue)
{
    const cl_result result = fault_queue_wait(queue);
    make_late(late.count);
    return result;
}

static cl_result device_info(struct cl_device *device, cl_enum name, size_t bytes, void *value,
                             size_t *needed)
{
    const cl_result result = fault_device_info(device, name, bytes, value, needed);
    const cl_bits gpu = CL_DEVICE_TYPE_GPU;
    if (result == CL_SUCCESS && name == CL_DEVICE_TYPE && faults.is_gpu) memcpy(value, &gpu, sizeof gpu);
    return result;
}

enum loam_status __wrap_loam_opencl_api_open(struct loam_opencl_api *api, const char *library,
                                             struct loam_error *error)
{
    LOAM_TRY(__real_loam_opencl_api_open(api, library, error));
    faults.real = *api;
#define CL_CALL(member, result, symbol, parameters, arguments) api->member = fault_##member;
#include "device/gpu/opencl/api_list.def"
#undef CL_CALL
    api->device_info = device_info;
    api->upload = upload;
    api->events_wait = events_wait;
    api->queue_wait = queue_wait;
    return LOAM_OK;
}

// ---- what the tests share ----

static bool no_device;

static struct loam_device *create(void)
{
    struct loam_error error;
    struct loam_device *device = NULL;
    if (no_device) skip();
    assert_ok(loam_device_create(&device, "opencl", 1, &error));
    return device;
}

// Some of everything: copies of each kind and an op.
static enum loam_status run(struct loam_device *device, struct loam_error *error)
{
    static const float values[] = {1, -2, 3, 0.5f, 0, 7, 8, 9};
    const size_t bytes = sizeof values;
    struct loam_arena arena;
    struct loam_stream stream;
    float back[8] = {0};
    LOAM_TRY(loam_device_arena_init(device, &arena, 4 * bytes, true, error));
    char *const at = loam_arena_alloc(&arena, 4 * bytes);
    enum loam_status status = loam_stream_init(&stream, device, 0, error);
    if (status == LOAM_OK) {
        loam_upload(&stream, at, values, bytes);
        loam_upload_as(&stream, at + bytes, LOAM_BF16, values, LOAM_F32, 8);
        loam_zero(&stream, at + 2 * bytes, bytes);
        const struct loam_tensor x = loam_tensor_2d(at, LOAM_F32, 2, 4);
        const struct loam_tensor y = loam_tensor_2d(at + 2 * bytes, LOAM_F32, 2, 4);
        loam_activation_forward(&stream,
                                &(struct loam_activation_forward_args){.kind = LOAM_RELU, .x = x, .y = y});
        if (stream.failure.status == LOAM_OK) device->memory->copy(&stream, at + 3 * bytes, y.data, bytes);
        loam_download(&stream, back, at + 3 * bytes, bytes);
        status = loam_stream_finish(&stream, error);
        loam_stream_deinit(&stream);
    }
    loam_device_arena_deinit(device, &arena);
    for (int i = 0; i < 8 && status == LOAM_OK; i++)
        assert_float_equal(back[i], values[i] > 0 ? values[i] : 0, 0);
    return status;
}

// ---- tests ----

static void test_loader(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_opencl_api api;
    assert_fails(__real_loam_opencl_api_open(&api, "libloam-nothing.so", &error), LOAM_ERROR_UNSUPPORTED,
                 "no OpenCL: libloam-nothing.so: ");
    assert_fails(__real_loam_opencl_api_open(&api, "libm.so.6", &error), LOAM_ERROR_UNSUPPORTED,
                 "libm.so.6 has no function clGetPlatformIDs: install a loader for OpenCL 1.2 or later");
    assert_null(api.library);
}

static void test_results(void **state)
{
    (void)state;
    char text[256];
    loam_opencl_describe(CL_DEVICE_NOT_AVAILABLE, text, sizeof text);
    assert_string_equal(text, "CL_DEVICE_NOT_AVAILABLE (-2): the device is not available now");
    loam_opencl_describe(CL_INVALID_ARG_SIZE, text, sizeof text);
    assert_string_equal(text, "CL_INVALID_ARG_SIZE (-51)");
    loam_opencl_describe(-9999, text, sizeof text);
    assert_string_equal(text, "an OpenCL error (-9999)");
}

static void test_run(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_device *device = create();
    assert_ok(run(device, &error));
    loam_device_destroy(device);
    assert_int_equal(faults.live, 0);
}

// Arenas come and go in any order, and each byte of one is found.
static void test_addresses(void **state)
{
    (void)state;
    enum { ARENAS = 5, BYTES = 4096 + 256 };
    struct loam_error error;
    struct loam_device *device = create();
    struct loam_arena arenas[ARENAS];
    struct loam_stream stream;
    assert_ok(loam_stream_init(&stream, device, 0, &error));
    for (int i = 0; i < ARENAS; i++)
        assert_ok(loam_device_arena_init(device, &arenas[i], BYTES, true, &error));
    loam_device_arena_deinit(device, &arenas[1]);
    loam_device_arena_deinit(device, &arenas[3]);
    assert_ok(loam_device_arena_init(device, &arenas[1], BYTES, true, &error));
    for (int i = 0; i < ARENAS; i += i == 2 ? 2 : 1) {
        const char first = (char)(i + 1), last = (char)(i + 100);
        loam_upload(&stream, arenas[i].base, &first, 1);
        loam_upload(&stream, arenas[i].base + BYTES - 1, &last, 1);
    }
    for (int i = 0; i < ARENAS; i += i == 2 ? 2 : 1) {
        char bytes[BYTES];
        loam_download(&stream, bytes, arenas[i].base, BYTES);
        assert_ok(loam_stream_finish(&stream, &error));
        assert_int_equal(bytes[0], i + 1);
        assert_int_equal(bytes[BYTES - 1], i + 100);
        for (int j = 1; j < BYTES - 1; j++)
            assert_int_equal(bytes[j], 0);
    }
    struct cl_memory *memory;
    uint64_t offset;
    const char *const wrong[] = {arenas[0].base - 1, arenas[0].base + BYTES + 1, arenas[4].base + BYTES + 1,
                                 (const char *)&error};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(loam_opencl_locate(&stream, wrong[i], &memory, &offset));
        assert_fails(loam_stream_finish(&stream, &error), LOAM_ERROR_INTERNAL,
                     "an address is not of the device's memory");
    }
    assert_true(loam_opencl_locate(&stream, arenas[4].base + BYTES, &memory, &offset));
    assert_int_equal(offset, BYTES);
    for (int i = 0; i < ARENAS; i += i == 2 ? 2 : 1)
        loam_device_arena_deinit(device, &arenas[i]);
    loam_stream_deinit(&stream);
    loam_device_destroy(device);
    assert_int_equal(faults.live, 0);
}

// More than the staging memory has room for. The caller changes its memory after each upload, and no upload waits for its own
// copy.
static void test_uploads_return_at_once(void **state)
{
    (void)state;
    enum { UPLOADS = 7, COUNT = (OPENCL_STAGING - 100) / sizeof(float) };
    struct loam_error error;
    struct loam_device *device = create();
    struct loam_arena arena;
    struct loam_stream stream;
    float *values = malloc(COUNT * sizeof *values);
    const size_t bytes = COUNT * sizeof *values;
    assert_non_null(values);
    assert_true(device->queues);
    assert_ok(loam_stream_init(&stream, device, 0, &error));
    assert_ok(loam_device_arena_init(device, &arena, UPLOADS * bytes, true, &error));
    late.on = true;
    late.waiting = 0;
    for (int i = 0; i < UPLOADS; i++) {
        for (size_t j = 0; j < COUNT; j++)
            values[j] = (float)((size_t)i + j % 1000);
        if (i % 2 == 0)
            loam_upload(&stream, arena.base + (size_t)i * bytes, values, bytes);
        else
            loam_upload_as(&stream, arena.base + (size_t)i * bytes, LOAM_F32, values, LOAM_F32, COUNT);
    }
    assert_ok(loam_stream_finish(&stream, &error));
    assert_int_equal(late.waiting, 0);
    assert_int_equal(late.count, 0);
    late.on = false;
    for (int i = 0; i < UPLOADS; i++) {
        loam_download(&stream, values, arena.base + (size_t)i * bytes, bytes);
        assert_ok(loam_stream_finish(&stream, &error));
        for (size_t j = 0; j < COUNT; j++)
            if (values[j] != (float)((size_t)i + j % 1000)) fail_msg("upload %d, value %zu", i, j);
    }
    loam_device_arena_deinit(device, &arena);
    loam_stream_deinit(&stream);
    loam_device_destroy(device);
    free(values);
    assert_int_equal(faults.live, 0);
}

static void test_too_large(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_arena arena;
    struct loam_device *device = create();
    const size_t most = device->largest_buffer;
    assert_true(most < SIZE_MAX);
    assert_fails(loam_device_arena_init(device, &arena, most + 1, false, &error), LOAM_ERROR_MEMORY,
                 "device opencl:0 takes at most ");
    assert_true(loam_device_free_memory(device).bytes > 0);
    faults.calls = 0;
    faults.at = 1;
    faults.result = CL_MEM_OBJECT_ALLOCATION_FAILURE;
    assert_fails(loam_device_arena_init(device, &arena, 1000, false, &error), LOAM_ERROR_MEMORY,
                 "1024 bytes in one buffer on device opencl:0: CL_MEM_OBJECT_ALLOCATION_FAILURE (-4): the "
                 "device has not "
                 "enough memory; ");
    faults.at = 0;
    loam_device_destroy(device);
}

// The status and the message of a run whose call number `at` fails.
static enum loam_status run_failing(int at, struct loam_error *error)
{
    struct loam_device *device = NULL;
    *error = (struct loam_error){0};
    faults.calls = 0;
    faults.at = at;
    enum loam_status status = loam_device_create(&device, "opencl", 1, error);
    if (status == LOAM_OK) status = run(device, error);
    loam_device_destroy(device);
    faults.at = 0;
    return status;
}

// A call that fails is one line that names the result, unless the run can do without it, and nothing is left.
static void test_each_call_fails(void **state)
{
    (void)state;
    struct loam_error error;
    if (no_device) skip();
    assert_ok(run_failing(0, &error));
    const int calls = faults.calls;
    int failed = 0;
    assert_true(calls > LOAM_KERNEL_COUNT);
    faults.result = CL_OUT_OF_RESOURCES;
    // Of the many calls that make the kernels a few are enough.
    for (int at = 1; at <= calls; at += at > 40 && at < calls - 40 ? 7 : 1) {
        const enum loam_status status = run_failing(at, &error);
        assert_int_equal(faults.live, 0);
        if (status == LOAM_OK) continue;
        failed++;
        if (strstr(error.message, "CL_OUT_OF_RESOURCES (-5)") == NULL &&
            strstr(error.message, "cannot be used") == NULL)
            fail_msg("call %d: %s", at, error.message);
        assert_null(strchr(error.message, '\n'));
    }
    assert_true(failed > 40);
}

static char cache[256]; // the directory

static int count_files(void)
{
    char path[300];
    int count = 0;
    snprintf(path, sizeof path, "%s/loam", cache);
    DIR *directory = opendir(path);
    for (const struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;)
        count += entry->d_name[0] != '.';
    if (directory != NULL) (void)closedir(directory);
    return count;
}

static void spoil_file(void)
{
    char command[400];
    snprintf(command, sizeof command,
             "printf x | dd of=$(echo %s/loam/kernels-opencl-*) bs=1 seek=200 conv=notrunc 2>/dev/null",
             cache);
    assert_int_equal(system(command), 0);
}

// The code of a GPU is kept. LOAM_OPENCL_CODE=1 runs it, since PoCL compiles every kernel once more.
static void test_code(void **state)
{
    (void)state;
    struct loam_error error;
    if (no_device || getenv("LOAM_OPENCL_CODE") == NULL) skip();
    assert_non_null(test_make_directory(cache));
    assert_int_equal(setenv("XDG_CACHE_HOME", cache, 1), 0);
    faults.is_gpu = true;
    static const char *const from[] = {"the driver's compiler", "the driver's compiler, cached",
                                       "the driver's compiler"};
    for (int i = 0; i < 3; i++) {
        if (i == 2) spoil_file();
        struct loam_device *device = create();
        assert_string_equal(device->code_from, from[i]);
        assert_int_equal(count_files(), 1);
        assert_ok(run(device, &error));
        loam_device_destroy(device);
    }
    faults.is_gpu = false;
    test_remove_directory(cache);
}

static int find_device(void **state)
{
    (void)state;
    struct loam_error error = {0};
    no_device = !loam_opencl_backend.exists(0, &error);
    if (no_device) print_message("some are skipped: %s\n", error.message);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loader),
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_run),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_uploads_return_at_once),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_each_call_fails),
        cmocka_unit_test(test_code),
    };
    return cmocka_run_group_tests(tests, find_device, NULL);
}
