// The OpenCL host against the reference over the case table, on the first device of OpenCL. Without one the tests are skipped.
//   LOAM_OPENCL_CASES=N       of each op the first N cases that are small (default 3)
//   LOAM_OPENCL_CASES=all     the whole table in every dtype
//   LOAM_OPENCL_OP=TEXT       only of ops whose name has the text
//   LOAM_OPENCL_BARRIER=FILE:N  without the N-th barrier of that source, so that a detector of races can show that it
//                             finds it
#include "device/gpu/opencl/host.h"
#include "op/device/common_op.h"

enum loam_status __real_loam_opencl_api_open(struct loam_opencl_api *api, const char *library,
                                             struct loam_error *error);
enum loam_status __wrap_loam_opencl_api_open(struct loam_opencl_api *api, const char *library,
                                             struct loam_error *error);

// ---- a missing barrier ----

static struct loam_opencl_api real;
static const char *missing_barrier; // NULL: none

// Leaves out the barrier in a text of all sources, where each begins after a line that names it.
static void leave_out_barrier(char *text)
{
    static const char BARRIER[] = " BARRIER();";
    char line[256];
    const char *number = strrchr(missing_barrier, ':');
    assert_non_null(number);
    snprintf(line, sizeof line, "#line 1 \"%.*s\"", (int)(number - missing_barrier), missing_barrier);
    char *at = strstr(text, line);
    for (int i = 0; at != NULL && i < atoi(number + 1); i++)
        at = strstr(at + 1, BARRIER);
    assert_non_null(at);
    memset(at, ' ', sizeof BARRIER - 2);
}

static struct cl_program *program_without_barrier(struct cl_context *context, cl_count count,
                                                  const char **texts, const size_t *bytes, cl_result *result)
{
    char *const text = strndup(texts[0], bytes[0]);
    assert_non_null(text);
    assert_int_equal(count, 1);
    leave_out_barrier(text);
    const char *changed = text;
    struct cl_program *program = real.program_from_source(context, 1, &changed, bytes, result);
    free(text);
    return program;
}

enum loam_status __wrap_loam_opencl_api_open(struct loam_opencl_api *api, const char *library,
                                             struct loam_error *error)
{
    LOAM_TRY(__real_loam_opencl_api_open(api, library, error));
    real = *api;
    if (missing_barrier != NULL) api->program_from_source = program_without_barrier;
    return LOAM_OK;
}

// ---- which kernels are launched ----

static enum loam_status (*queue_launch)(struct loam_stream *stream, const struct loam_launch *launch);
static long launches[LOAM_KERNEL_COUNT];

static enum loam_status count_launch(struct loam_stream *stream, const struct loam_launch *launch)
{
    launches[launch->kernel]++;
    return queue_launch(stream, launch);
}

static void check_all_launched(void)
{
#define LOAM_KERNEL(name, buffers)                                                                           \
    if (launches[LOAM_KERNEL_##name] == 0) fail_msg("no case launches kernel %s", #name);
#define LOAM_WARP_KERNEL(name, buffers)                                                                      \
    if (launches[LOAM_KERNEL_##name] != 0) fail_msg("OpenCL does not have kernel %s", #name);
#include "device/gpu/kernels/kernel_list.def"
#undef LOAM_KERNEL
}

// ---- the cases ----

enum { SMALL = 100000 }; // the terms of a case that a simulator of a device can run

static int64_t at_least_one(int64_t value)
{
    return value > 0 ? value : 1;
}

static bool is_small(const struct op_case *c)
{
    int64_t tokens = at_least_one(c->t);
    for (int i = 0; i < OP_MAX_SEQUENCES; i++)
        tokens += c->q_lengths[i] * (c->q_lengths[i] + c->kv_extra);
    return tokens * at_least_one(c->k) * at_least_one(c->n) * at_least_one(c->r) * at_least_one(c->heads) *
               at_least_one(c->size) <=
           SMALL;
}

static void check_small(const struct loam_device *device, int most, const char *only)
{
    struct loam_error error = {0};
    struct loam_device *ref = NULL;
    int taken[OP_COUNT] = {0};
    assert_ok(loam_device_create(&ref, "ref", 1, &error));
    for (size_t i = 0; i < op_case_count; i++) {
        const struct op_case *c = &op_cases[i];
        if (taken[c->op] == most || !is_small(c) || (only != NULL && strstr(op_name(c->op), only) == NULL))
            continue;
        op_check_case_once(c, taken[c->op]++ % 2 == 0 ? LOAM_F32 : LOAM_BF16, ref, device);
    }
    loam_device_destroy(ref);
}

static struct loam_device *device; // of all tests: Oclgrind empties its log where another context is made

static void open_device(void)
{
    struct loam_error error = {0};
    if (device != NULL) return;
    missing_barrier = getenv("LOAM_OPENCL_BARRIER");
    if (loam_device_create(&device, "opencl", 1, &error) != LOAM_OK) {
        print_message("skipped: %s\n", error.message);
        skip();
    }
}

static int close_device(void **state)
{
    (void)state;
    if (device != NULL) loam_device_destroy(device);
    return 0;
}

static void test_cases(void **state)
{
    open_device();
    const char *cases = getenv("LOAM_OPENCL_CASES"), *only = getenv("LOAM_OPENCL_OP");
    struct loam_gpu *gpu = &opencl_device(device)->gpu;
    queue_launch = gpu->launch;
    gpu->launch = count_launch;
    if (cases != NULL && strcmp(cases, "all") == 0)
        op_check_device(device, device->formats.compute);
    else
        check_small(device, cases != NULL ? atoi(cases) : 3, only);
    if (only == NULL) check_all_launched();
    (void)state;
}

// ---- gradients of logits in 16 bits ----

// Tensor cores multiply these, so no op asks OpenCL for them; races are detected here alone.
enum { ROWS = 2, COLUMNS = 600 }; // columns: more than twice the threads of a block

struct gradient {
    float x[ROWS][COLUMNS]; // logits, then their gradients in the place of their rows
    int32_t targets[ROWS];
    float factors[ROWS];
    float states[ROWS][LOSS_STATE];
};

// Turns the logits into their gradients.
static void differentiate(enum loam_dtype dtype, struct gradient *g)
{
    struct loam_error error = {0};
    struct loam_arena arena;
    struct loam_stream stream;
    assert_ok(loam_device_arena_init(device, &arena, sizeof *g + device->alignment, false, &error));
    assert_ok(loam_stream_init(&stream, device, 0, &error));
    struct gradient *const copy = loam_arena_alloc(&arena, sizeof *g);
    assert_non_null(copy);
    loam_upload(&stream, copy, g, sizeof *g);
    const struct loss_params p = {
        .columns = COLUMNS, .x_row = COLUMNS, .logit_factor = 1.0f, .gradient_dtype = (i32)dtype};
    assert_int_equal(loam_gpu_launch(&stream, &(struct loam_launch){.kernel = LOAM_KERNEL_loss_gradient,
                                                                    .grid = {ROWS},
                                                                    .buffers = {copy->x, copy->targets,
                                                                                copy->factors, copy->states},
                                                                    LOAM_PARAMS(p)}),
                     LOAM_OK);
    loam_download(&stream, g, copy, sizeof *g);
    assert_ok(loam_stream_finish(&stream, &error));
    loam_stream_deinit(&stream);
    loam_device_arena_deinit(device, &arena);
}

static void test_gradients_in_16_bits(void **state)
{
    open_device();
    static struct gradient exact, rounded;
    for (int t = 0; t < ROWS; t++) {
        for (int v = 0; v < COLUMNS; v++)
            exact.x[t][v] = (float)((v * 37 + t) % 101) / 101;
        exact.targets[t] = 299 * t;
        exact.factors[t] = 0.5f;
        exact.states[t][0] = 1.0f;          // the largest
        exact.states[t][1] = COLUMNS / 2.f; // the sum of the others
        exact.states[t][2] = exact.x[t][exact.targets[t]];
    }
    rounded = exact;
    differentiate(LOAM_F32, &exact);
    differentiate(LOAM_BF16, &rounded);
    for (int t = 0; t < ROWS; t++) {
        const uint16_t *row = (const uint16_t *)(const void *)rounded.x[t];
        for (int v = 0; v < COLUMNS; v++)
            assert_int_equal(row[v], loam_f32_to_bf16(exact.x[t][v]));
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases),
                                       cmocka_unit_test(test_gradients_in_16_bits)};
    return cmocka_run_group_tests(tests, NULL, close_device);
}
