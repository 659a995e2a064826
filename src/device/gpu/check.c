#include "device/gpu/check.h"

#include <math.h>
#include <stdio.h>

// T rows of H elements. One head of attention has H.
enum { T = 24, H = 64, RESULTS = 4, ARENA = 128 << 10 };

struct check {
    const struct loam_device *device;
    struct loam_stream stream;
    struct loam_arena arena;
    enum loam_dtype dtype;
    void *x, *w, *k;        // x, k [T, H]; w [H, H]
    void *results[RESULTS]; // [T, H]
    void *rows[2];          // [T] f32
    void *offsets;
};

// Element i of an input: exact in every dtype, without a period that tiles share.
static float value(int64_t i, int salt)
{
    return (float)((i * 7 + i / 13 * 3 + salt * 5) % 15 - 7) / 8.0f;
}

// ---- on the device ----

static void make_tensors(struct check *check)
{
    const size_t element = loam_dtype_size(check->dtype);
    check->x = loam_arena_alloc(&check->arena, T * H * element);
    check->w = loam_arena_alloc(&check->arena, H * H * element);
    check->k = loam_arena_alloc(&check->arena, T * H * element);
    for (int i = 0; i < RESULTS; i++)
        check->results[i] = loam_arena_alloc(&check->arena, T * H * element);
    for (int i = 0; i < 2; i++)
        check->rows[i] = loam_arena_alloc(&check->arena, T * sizeof(float));
    check->offsets = loam_arena_alloc(&check->arena, 2 * sizeof(int32_t));
}

static void upload_values(struct check *check, void *target, int64_t count, int salt)
{
    float values[H * H];
    for (int64_t i = 0; i < count; i++)
        values[i] = value(i, salt);
    loam_upload_as(&check->stream, target, check->dtype, values, LOAM_F32, (size_t)count);
}

static void upload_inputs(struct check *check)
{
    static const int32_t offsets[2] = {0, T};
    upload_values(check, check->x, T * H, 0);
    upload_values(check, check->w, H * H, 1);
    upload_values(check, check->k, T * H, 2);
    loam_upload(&check->stream, check->offsets, offsets, sizeof offsets);
}

// A product of each kind of operand, a norm and attention.
static void run_ops(const struct check *check, struct loam_stream *stream)
{
    const enum loam_dtype dtype = check->dtype;
    const struct loam_tensor x = loam_tensor_2d(check->x, dtype, T, H),
                             offsets = loam_tensor_1d(check->offsets, LOAM_I32, 2);
    const struct loam_weight w = {.tensor = loam_tensor_2d(check->w, dtype, H, H)};
    loam_linear_forward(stream, &(struct loam_linear_forward_args){
                                    .x = x, .w = w, .y = loam_tensor_2d(check->results[0], dtype, T, H)});
    loam_linear_backward_input(stream,
                               &(struct loam_linear_backward_input_args){
                                   .dy = x, .w = w, .dx = loam_tensor_2d(check->results[1], dtype, T, H)});
    loam_rmsnorm_forward(
        stream, &(struct loam_rmsnorm_forward_args){.x = x,
                                                    .w = loam_tensor_1d(check->w, dtype, H),
                                                    .eps = 1e-5f,
                                                    .y = loam_tensor_2d(check->results[2], dtype, T, H),
                                                    .rstd = loam_tensor_1d(check->rows[0], LOAM_F32, T)});
    loam_attention_forward(stream, &(struct loam_attention_forward_args){
                                       .q = loam_tensor_3d(check->x, dtype, T, 1, H),
                                       .k = loam_tensor_3d(check->k, dtype, T, 1, H),
                                       .v = loam_tensor_3d(check->w, dtype, T, 1, H),
                                       .shape = {.q_offsets = offsets,
                                                 .kv_offsets = offsets,
                                                 .max_q = T,
                                                 .max_kv = T,
                                                 .pairs = T * (T + 1) / 2,
                                                 .scale = 0.125f},
                                       .out = loam_tensor_3d(check->results[3], dtype, T, 1, H),
                                       .lse = loam_tensor_2d(check->rows[1], LOAM_F32, 1, T)});
}

// ---- on the host ----

static float expect_forward(int64_t t, int64_t n)
{
    float sum = 0;
    for (int64_t k = 0; k < H; k++)
        sum += value(t * H + k, 0) * value(n * H + k, 1);
    return sum;
}

static float expect_backward(int64_t t, int64_t k)
{
    float sum = 0;
    for (int64_t n = 0; n < H; n++)
        sum += value(t * H + n, 0) * value(n * H + k, 1);
    return sum;
}

static float expect_norm(int64_t t, int64_t h)
{
    float squares = 0;
    for (int64_t i = 0; i < H; i++)
        squares += value(t * H + i, 0) * value(t * H + i, 0);
    return value(t * H + h, 0) / sqrtf(squares / (float)H + 1e-5f) * value(h, 1);
}

static float expect_attention(int64_t t, int64_t d)
{
    float weights = 0, sum = 0;
    for (int64_t j = 0; j <= t; j++) {
        float score = 0;
        for (int64_t i = 0; i < H; i++)
            score += value(t * H + i, 0) * value(j * H + i, 2);
        const float weight = expf(score * 0.125f);
        weights += weight;
        sum += weight * value(j * H + d, 1);
    }
    return sum / weights;
}

static const struct {
    const char *op;
    float (*expect)(int64_t row, int64_t column);
} results[RESULTS] = {{"linear_forward", expect_forward},
                      {"linear_backward_input", expect_backward},
                      {"rmsnorm_forward", expect_norm},
                      {"attention_forward", expect_attention}};

// A result is rounded to 8 bits at least, and attention rounds its weights as well.
static bool is_near(float got, float expected)
{
    return fabsf(got - expected) <= 0.02f + 0.01f * fabsf(expected);
}

static enum loam_status compare(const struct check *check, int result, const void *data,
                                struct loam_error *error)
{
    float got[T * H];
    loam_convert(got, LOAM_F32, data, check->dtype, T * H);
    for (int64_t i = 0; i < T * H; i++) {
        const float expected = results[result].expect(i / H, i % H);
        if (!is_near(got[i], expected))
            return loam_fail(
                error, LOAM_ERROR_UNSUPPORTED,
                "device %s computes wrongly: %s gives %g where %g is right; update its driver, or use "
                "--device cpu",
                check->device->name, results[result].op, (double)got[i], (double)expected);
    }
    return LOAM_OK;
}

// ---- the check ----

static enum loam_status run(struct check *check, struct loam_error *error)
{
    const size_t bytes = T * H * loam_dtype_size(check->dtype);
    char data[RESULTS][T * H * sizeof(float)];
    upload_inputs(check);
    run_ops(check, &check->stream);
    for (int i = 0; i < RESULTS; i++)
        loam_download(&check->stream, data[i], check->results[i], bytes);
    LOAM_TRY(loam_stream_finish(&check->stream, error));
    for (int i = 0; i < RESULTS; i++)
        LOAM_TRY(compare(check, i, data[i], error));
    return LOAM_OK;
}

static enum loam_status run_planned(struct check *check, struct loam_error *error)
{
    struct loam_stream planning;
    make_tensors(check);
    loam_stream_init_planning(&planning, check->device);
    run_ops(check, &planning);
    LOAM_TRY(loam_stream_finish(&planning, error));
    LOAM_TRY(loam_stream_init(&check->stream, check->device, planning.scratch_needed, error));
    const enum loam_status status = run(check, error);
    loam_stream_deinit(&check->stream);
    return status;
}

enum loam_status loam_gpu_check(const struct loam_device *device, struct loam_error *error)
{
    struct check check = {.device = device, .dtype = loam_device_default_dtype(device)};
    LOAM_TRY(loam_device_arena_init(device, &check.arena, ARENA, true, error));
    const enum loam_status status = run_planned(&check, error);
    loam_device_arena_deinit(device, &check.arena);
    return status;
}
