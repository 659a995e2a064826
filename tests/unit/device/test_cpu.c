// What is the CPU backend's own: its cache of products, its rounding, sums that do not depend on the threads,
// and what an untrained adapter must leave alone. That its ops are right is for tests/op.
#include <math.h>

#include "isa.h"

#include "base/rng.h"
#include "device/cpu/cpu.h"

struct fixture {
    struct loam_device *device;
    struct loam_stream stream;
};

static void open_device(struct fixture *fixture, int threads)
{
    struct loam_error error = {0};
    assert_ok(loam_device_create(&fixture->device, "cpu", threads, &error));
    assert_ok(loam_stream_init(&fixture->stream, fixture->device, 64 << 20, &error));
}

static void close_device(struct fixture *fixture)
{
    struct loam_error error = {0};
    assert_ok(loam_stream_finish(&fixture->stream, &error));
    loam_stream_deinit(&fixture->stream);
    loam_device_destroy(fixture->device);
}

static struct loam_tensor matrix(enum loam_dtype dtype, int64_t rows, int64_t columns)
{
    const struct loam_tensor shape = loam_tensor_2d(NULL, dtype, rows, columns);
    struct loam_tensor tensor = shape;
    tensor.data = calloc(1, loam_tensor_bytes(&shape) + 1);
    assert_non_null(tensor.data);
    return tensor;
}

static void set(const struct loam_tensor *tensor, int64_t index, float value)
{
    if (tensor->dtype == LOAM_F32)
        ((float *)tensor->data)[index] = value;
    else
        ((uint16_t *)tensor->data)[index] = loam_f32_to_bf16(value);
}

static float get(const struct loam_tensor *tensor, int64_t index)
{
    if (tensor->dtype == LOAM_F32) return ((const float *)tensor->data)[index];
    return loam_bf16_to_f32(((const uint16_t *)tensor->data)[index]);
}

// Uniform in [-1, 1).
static struct loam_tensor noise(enum loam_dtype dtype, int64_t rows, int64_t columns)
{
    const struct loam_tensor tensor = matrix(dtype, rows, columns);
    for (int64_t i = 0; i < rows * columns; i++)
        set(&tensor, i, 2 * loam_rng_uniform(7, (uint64_t)columns, (uint64_t)i) - 1);
    return tensor;
}

static struct loam_tensor filled(enum loam_dtype dtype, int64_t rows, int64_t columns, float value)
{
    const struct loam_tensor tensor = matrix(dtype, rows, columns);
    for (int64_t i = 0; i < rows * columns; i++)
        set(&tensor, i, value);
    return tensor;
}

// ---- the cache of products ----

static float product_of_ones(struct matmul_cache *cache, int64_t m, int64_t n, int64_t k)
{
    static float ones[64 * 64], c[64 * 64];
    for (size_t i = 0; i < 64 * 64; i++)
        ones[i] = 1;
    const struct matmul_shape shape = {.m = m,
                                       .n = n,
                                       .k = k,
                                       .a_stride = {k, 1},
                                       .b_stride = {n, 1},
                                       .c_stride = n,
                                       .ab_dtype = LOAM_F32,
                                       .c_dtype = LOAM_F32};
    assert_null(loam_matmul_run(cache, &shape, ones, ones, NULL, c));
    return c[m * n - 1];
}

static void test_cache_keeps_products_and_is_bounded(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct matmul_cache *cache = NULL;
    assert_ok(loam_matmul_cache_create(&cache, 1, &error));
    for (int repeat = 0; repeat < 3; repeat++) {
        assert_true(product_of_ones(cache, 3, 5, 7) == 7.0f);
        assert_int_equal(loam_matmul_cache_count(cache), 1);
    }
    const int64_t side = 12; // cubed, more shapes than the cache takes
    assert_true((size_t)(side * side * side) > loam_matmul_cache_capacity());
    for (int64_t i = 0; i < side * side * side; i++) {
        const int64_t m = 1 + i % side, n = 1 + i / side % side, k = 1 + i / side / side;
        assert_true(product_of_ones(cache, m, n, k) == (float)k);
    }
    assert_true(loam_matmul_cache_count(cache) <= loam_matmul_cache_capacity());
    assert_true(loam_matmul_cache_count(cache) > loam_matmul_cache_capacity() / 2);
    assert_true(product_of_ones(cache, 3, 5, 7) == 7.0f);
    loam_matmul_cache_destroy(cache);
}

// ---- rounding ----

// The product is 1 + 2^-8, halfway between two bf16 numbers, and the residual is too small to matter by
// itself: rounded in two steps the sum would be 1.
static void check_forward_rounds_once(int64_t tokens)
{
    struct fixture fixture;
    open_device(&fixture, 2);
    const int64_t k = 32, n = 24;
    const struct loam_tensor x = matrix(LOAM_BF16, tokens, k), w = matrix(LOAM_BF16, n, k);
    const struct loam_tensor y = filled(LOAM_BF16, tokens, n, 0x1p-12f);
    for (int64_t t = 0; t < tokens; t++) {
        set(&x, t * k, 1);
        set(&x, t * k + 1, 1);
    }
    for (int64_t i = 0; i < n; i++) {
        set(&w, i * k, 1);
        set(&w, i * k + 1, 0x1p-8f);
    }
    loam_linear_forward(&fixture.stream,
                        &(struct loam_linear_forward_args){.x = x, .w.tensor = w, .residual = y, .y = y});
    for (int64_t i = 0; i < tokens * n; i++)
        assert_true(get(&y, i) == 1 + 0x1p-7f);
    close_device(&fixture);
    free(x.data);
    free(w.data);
    free(y.data);
}

static void test_linear_rounds_once(void **state)
{
    (void)state;
    check_forward_rounds_once(1);
    check_forward_rounds_once(5);
    check_forward_rounds_once(40);
}

static void test_input_gradient_rounds_once(void **state)
{
    (void)state;
    struct fixture fixture;
    open_device(&fixture, 2);
    const int64_t tokens = 40, k = 32, n = 24;
    const struct loam_tensor dy = matrix(LOAM_BF16, tokens, n), w = filled(LOAM_BF16, n, k, 1);
    const struct loam_tensor dx = filled(LOAM_BF16, tokens, k, 0x1p-12f);
    for (int64_t t = 0; t < tokens; t++) {
        set(&dy, t * n, 1);
        set(&dy, t * n + 1, 0x1p-8f);
    }
    loam_linear_backward_input(&fixture.stream, &(struct loam_linear_backward_input_args){
                                                    .dy = dy, .w.tensor = w, .dx = dx, .accumulate = true});
    for (int64_t i = 0; i < tokens * k; i++)
        assert_true(get(&dx, i) == 1 + 0x1p-7f);
    close_device(&fixture);
    free(dy.data);
    free(w.data);
    free(dx.data);
}

// ---- LoRA ----

static void check_untrained_adapter(enum loam_dtype dtype, float dropout)
{
    struct fixture fixture;
    open_device(&fixture, 2);
    const int64_t tokens = 37, k = 50, n = 41, r = 8;
    const struct loam_tensor x = noise(dtype, tokens, k), y = noise(dtype, tokens, n),
                             dx = noise(dtype, tokens, k);
    const struct loam_tensor a = noise(LOAM_F32, r, k), b = matrix(LOAM_F32, n, r),
                             t = matrix(LOAM_F32, tokens, r);
    const struct loam_tensor da = matrix(LOAM_F32, r, k), db = matrix(LOAM_F32, n, r);
    for (int64_t i = 0; i < tokens; i++) {
        set(&y, i * n + i % n, -0.0f);
        set(&dx, i * k + i % k, -0.0f);
    }
    const size_t y_bytes = loam_tensor_bytes(&y), dx_bytes = loam_tensor_bytes(&dx);
    void *y_before = malloc(y_bytes), *dx_before = malloc(dx_bytes);
    assert_non_null(y_before);
    assert_non_null(dx_before);
    memcpy(y_before, y.data, y_bytes);
    memcpy(dx_before, dx.data, dx_bytes);
    const struct loam_dropout drop = {.p = dropout, .seed = 3, .stream = 4, .counter = 5};
    loam_lora_forward(&fixture.stream,
                      &(struct loam_lora_forward_args){
                          .x = x, .a = a, .b = b, .scale = 2, .dropout = drop, .t = t, .y = y});
    loam_lora_backward(&fixture.stream, &(struct loam_lora_backward_args){.dy = y,
                                                                          .x = x,
                                                                          .a = a,
                                                                          .b = b,
                                                                          .t = t,
                                                                          .scale = 2,
                                                                          .dropout = drop,
                                                                          .da = da,
                                                                          .db = db,
                                                                          .dx = dx});
    assert_memory_equal(y.data, y_before, y_bytes);
    assert_memory_equal(dx.data, dx_before, dx_bytes);
    float largest_t = 0, largest_db = 0;
    for (int64_t i = 0; i < tokens * r; i++)
        largest_t = fmaxf(largest_t, fabsf(get(&t, i)));
    for (int64_t i = 0; i < n * r; i++)
        largest_db = fmaxf(largest_db, fabsf(get(&db, i)));
    assert_true(largest_t > 0.1f && largest_db > 0.1f); // it did its work nevertheless
    close_device(&fixture);
    void *data[] = {x.data, y.data, dx.data, a.data, b.data, t.data, da.data, db.data, y_before, dx_before};
    for (size_t i = 0; i < sizeof data / sizeof data[0]; i++)
        free(data[i]);
}

static void test_an_untrained_adapter_changes_no_bit(void **state)
{
    (void)state;
    check_untrained_adapter(LOAM_F32, 0);
    check_untrained_adapter(LOAM_F32, 0.3f);
    check_untrained_adapter(LOAM_BF16, 0);
    check_untrained_adapter(LOAM_BF16, 0.3f);
}

// ---- conversion ----

// Both NaN, or the same bits.
static bool same_value(enum loam_dtype dtype, const void *a, const void *b, size_t i)
{
    float x[2];
    const size_t size = loam_dtype_size(dtype);
    loam_convert(&x[0], LOAM_F32, (const char *)a + i * size, dtype, 1);
    loam_convert(&x[1], LOAM_F32, (const char *)b + i * size, dtype, 1);
    return (isnan(x[0]) && isnan(x[1])) || memcmp(&x[0], &x[1], sizeof x[0]) == 0;
}

// Every half there is, several times, from an address that is odd and with a tail that fills no vector.
static void test_conversion_is_that_of_tensor(void **state)
{
    (void)state;
    enum { COUNT = 3 * 65536 + 13 };
    static const enum loam_dtype dtypes[] = {LOAM_F32, LOAM_F16, LOAM_BF16};
    struct fixture fixture;
    open_device(&fixture, 2);
    unsigned char *source = malloc(COUNT * sizeof(float) + 1);
    void *target = malloc(COUNT * sizeof(float)), *expected = malloc(COUNT * sizeof(float));
    assert_non_null(source);
    assert_non_null(target);
    assert_non_null(expected);
    for (size_t f = 0; f < 3; f++) {
        for (uint32_t i = 0; i < COUNT; i++) {
            const uint32_t bits = i << 16 | (i * 40503u & 0xffffu); // of f32: every upper half
            const uint16_t half = (uint16_t)i;
            const bool wide = dtypes[f] == LOAM_F32;
            memcpy(source + 1 + (size_t)i * loam_dtype_size(dtypes[f]),
                   wide ? (const void *)&bits : (const void *)&half, loam_dtype_size(dtypes[f]));
        }
        for (size_t t = 0; t < 3; t++) {
            loam_upload_as(&fixture.stream, target, dtypes[t], source + 1, dtypes[f], COUNT);
            loam_convert(expected, dtypes[t], source + 1, dtypes[f], COUNT);
            for (size_t i = 0; i < COUNT; i++)
                if (!same_value(dtypes[t], target, expected, i))
                    fail_msg("element %zu from %s to %s", i, loam_dtype_name(dtypes[f]),
                             loam_dtype_name(dtypes[t]));
        }
    }
    close_device(&fixture);
    free(source);
    free(target);
    free(expected);
}

// ---- threads ----

enum { TOKENS = 150, HEADS = 3, SIZE = 16, WIDTH = 3 * HEADS * SIZE, RANK = 4 };

struct gradients {
    struct loam_tensor dqkv, dw, db, da, norm;
};

// Ops that sum over tokens, whose sums are not to depend on how tokens are shared out.
static void sum_over_tokens(int threads, struct gradients *result)
{
    struct fixture fixture;
    open_device(&fixture, threads);
    struct loam_stream *stream = &fixture.stream;
    int32_t offsets[3] = {0, 100, TOKENS};
    const struct loam_tensor qkv = noise(LOAM_F32, TOKENS, WIDTH),
                             dout = noise(LOAM_F32, TOKENS, HEADS * SIZE);
    const struct loam_tensor out = matrix(LOAM_F32, TOKENS, HEADS * SIZE),
                             lse = matrix(LOAM_F32, HEADS, TOKENS);
    const struct loam_tensor mean = matrix(LOAM_F32, 1, TOKENS), rstd = matrix(LOAM_F32, 1, TOKENS);
    const struct loam_tensor w = filled(LOAM_F32, 1, WIDTH, 1), dx = matrix(LOAM_F32, TOKENS, WIDTH);
    const struct loam_tensor a = noise(LOAM_F32, RANK, WIDTH), b = noise(LOAM_F32, WIDTH, RANK);
    const struct loam_tensor t = noise(LOAM_F32, TOKENS, RANK);
    *result = (struct gradients){matrix(LOAM_F32, TOKENS, WIDTH), matrix(LOAM_F32, 1, WIDTH),
                                 matrix(LOAM_F32, WIDTH, RANK), matrix(LOAM_F32, RANK, WIDTH),
                                 loam_tensor_1d(calloc(1, sizeof(double)), LOAM_F64, 1)};
    struct loam_tensor part[3], gradient[3];
    for (int i = 0; i < 3; i++) {
        part[i] = loam_tensor_3d((float *)qkv.data + i * HEADS * SIZE, LOAM_F32, TOKENS, HEADS, SIZE);
        gradient[i] =
            loam_tensor_3d((float *)result->dqkv.data + i * HEADS * SIZE, LOAM_F32, TOKENS, HEADS, SIZE);
        part[i].stride[0] = gradient[i].stride[0] = WIDTH;
    }
    const struct loam_attention_shape shape = {.q_offsets = loam_tensor_1d(offsets, LOAM_I32, 3),
                                               .kv_offsets = loam_tensor_1d(offsets, LOAM_I32, 3),
                                               .max_q = 100,
                                               .max_kv = 100,
                                               .scale = 0.25f};
    const struct loam_tensor out3 = loam_tensor_3d(out.data, LOAM_F32, TOKENS, HEADS, SIZE);
    const struct loam_tensor dout3 = loam_tensor_3d(dout.data, LOAM_F32, TOKENS, HEADS, SIZE);
    loam_attention_forward(
        stream, &(struct loam_attention_forward_args){
                    .q = part[0], .k = part[1], .v = part[2], .shape = shape, .out = out3, .lse = lse});
    loam_attention_backward(stream, &(struct loam_attention_backward_args){.q = part[0],
                                                                           .k = part[1],
                                                                           .v = part[2],
                                                                           .shape = shape,
                                                                           .out = out3,
                                                                           .lse = lse,
                                                                           .dout = dout3,
                                                                           .dq = gradient[0],
                                                                           .dk = gradient[1],
                                                                           .dv = gradient[2]});
    loam_layernorm_forward(stream,
                           &(struct loam_layernorm_forward_args){
                               .x = qkv, .w = w, .b = w, .eps = 1e-5f, .y = dx, .mean = mean, .rstd = rstd});
    loam_layernorm_backward(
        stream,
        &(struct loam_layernorm_backward_args){
            .dy = result->dqkv, .x = qkv, .w = w, .mean = mean, .rstd = rstd, .dx = dx, .dw = result->dw});
    loam_lora_backward(stream, &(struct loam_lora_backward_args){.dy = result->dqkv,
                                                                 .x = qkv,
                                                                 .a = a,
                                                                 .b = b,
                                                                 .t = t,
                                                                 .scale = 2,
                                                                 .da = result->da,
                                                                 .db = result->db});
    const struct loam_tensor flat = loam_tensor_1d(qkv.data, LOAM_F32, TOKENS * WIDTH);
    loam_squared_norm(stream, &(struct loam_squared_norm_args){.x = flat, .result = result->norm});
    close_device(&fixture);
    void *data[] = {qkv.data, dout.data, out.data, lse.data, mean.data, rstd.data,
                    w.data,   dx.data,   a.data,   b.data,   t.data};
    for (size_t i = 0; i < sizeof data / sizeof data[0]; i++)
        free(data[i]);
}

static void test_sums_do_not_depend_on_threads(void **state)
{
    (void)state;
    struct gradients one, three;
    sum_over_tokens(1, &one);
    sum_over_tokens(3, &three);
    const struct loam_tensor *left[] = {&one.dqkv, &one.dw, &one.db, &one.da, &one.norm};
    const struct loam_tensor *right[] = {&three.dqkv, &three.dw, &three.db, &three.da, &three.norm};
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        assert_memory_equal(left[i]->data, right[i]->data, loam_tensor_bytes(left[i]));
        free(left[i]->data);
        free(right[i]->data);
    }
}

// A query after many keys: [HEADS, SIZE] and then lse [HEADS].
static void attend(int threads, float *result)
{
    struct fixture fixture;
    open_device(&fixture, threads);
    int32_t q_offsets[2] = {0, 1}, kv_offsets[2] = {0, TOKENS};
    const struct loam_tensor kv = noise(LOAM_F32, TOKENS, WIDTH);
    struct loam_tensor part[3];
    for (int i = 0; i < 3; i++) {
        part[i] = loam_tensor_3d((float *)kv.data + i * HEADS * SIZE, LOAM_F32, TOKENS, HEADS, SIZE);
        part[i].stride[0] = WIDTH;
    }
    part[0].shape[0] = 1;
    loam_attention_forward(&fixture.stream,
                           &(struct loam_attention_forward_args){
                               .q = part[0],
                               .k = part[1],
                               .v = part[2],
                               .shape = {.q_offsets = loam_tensor_1d(q_offsets, LOAM_I32, 2),
                                         .kv_offsets = loam_tensor_1d(kv_offsets, LOAM_I32, 2),
                                         .max_q = 1,
                                         .max_kv = TOKENS,
                                         .scale = 0.25f},
                               .out = loam_tensor_3d(result, LOAM_F32, 1, HEADS, SIZE),
                               .lse = loam_tensor_2d(result + HEADS * SIZE, LOAM_F32, HEADS, 1)});
    close_device(&fixture);
    free(kv.data);
}

static void test_attention_of_one_query_does_not_depend_on_threads(void **state)
{
    (void)state;
    float one[HEADS * (SIZE + 1)] = {0}, three[HEADS * (SIZE + 1)] = {0};
    attend(1, one);
    attend(3, three);
    assert_memory_equal(one, three, sizeof one);
    assert_true(one[HEADS * SIZE] > 4); // about the logarithm of the number of keys
}

// ---- the loss ----

// More rows than are worked on at a time, every third without a target, against the plain formula.
static void test_loss_of_many_rows(void **state)
{
    (void)state;
    struct fixture fixture;
    open_device(&fixture, 2);
    const int64_t tokens = 3400, size = 6, vocabulary = 19;
    const struct loam_tensor h = noise(LOAM_F32, tokens, size), w = noise(LOAM_F32, vocabulary, size);
    const struct loam_tensor factors = noise(LOAM_F32, 1, tokens), losses = matrix(LOAM_F32, 1, tokens);
    const struct loam_tensor dh = matrix(LOAM_F32, tokens, size);
    const struct loam_tensor targets =
        loam_tensor_1d(calloc((size_t)tokens, sizeof(int32_t)), LOAM_I32, tokens);
    for (int64_t i = 0; i < tokens; i++) {
        ((int32_t *)targets.data)[i] = i % 3 == 0 ? LOAM_NO_TARGET : (int32_t)(i % vocabulary);
        set(&losses, i, NAN);
    }
    loam_linear_cross_entropy(&fixture.stream, &(struct loam_linear_cross_entropy_args){
                                                   .h = h,
                                                   .w.tensor = w,
                                                   .logit_factor = 1,
                                                   .targets = targets,
                                                   .factors = loam_tensor_1d(factors.data, LOAM_F32, tokens),
                                                   .losses = loam_tensor_1d(losses.data, LOAM_F32, tokens),
                                                   .dh = dh});
    for (int64_t t = 0; t < tokens; t++) {
        double logits[19], total = 0;
        const int32_t target = ((const int32_t *)targets.data)[t];
        const double factor = (double)get(&factors, t);
        for (int64_t v = 0; v < vocabulary; v++) {
            logits[v] = 0;
            for (int64_t i = 0; i < size; i++)
                logits[v] += (double)get(&h, t * size + i) * (double)get(&w, v * size + i);
            total += exp(logits[v]);
        }
        const double loss = target >= 0 ? log(total) - logits[target] : 0;
        assert_true(fabs((double)get(&losses, t) - loss) <= 1e-6 * loss);
        for (int64_t i = 0; i < size; i++) {
            double gradient = 0;
            for (int64_t v = 0; v < vocabulary && target >= 0; v++)
                gradient += factor * (exp(logits[v]) / total - (v == target)) * (double)get(&w, v * size + i);
            assert_true(fabs(gradient - (double)get(&dh, t * size + i)) < 1e-6);
        }
    }
    close_device(&fixture);
    void *data[] = {h.data, w.data, dh.data, targets.data, factors.data, losses.data};
    for (size_t i = 0; i < sizeof data / sizeof data[0]; i++)
        free(data[i]);
}

// A model that is sure: the gradient is as small as the probability of all other tokens, and as exact.
static void test_loss_of_a_sure_model(void **state)
{
    (void)state;
    struct fixture fixture;
    open_device(&fixture, 1);
    const struct loam_tensor h = filled(LOAM_F32, 1, 1, 1), w = matrix(LOAM_F32, 2, 1),
                             dh = matrix(LOAM_F32, 1, 1);
    int32_t target = 0;
    float factor = 1, loss = 0;
    set(&w, 0, 30);
    loam_linear_cross_entropy(&fixture.stream, &(struct loam_linear_cross_entropy_args){
                                                   .h = h,
                                                   .w.tensor = w,
                                                   .logit_factor = 1,
                                                   .targets = loam_tensor_1d(&target, LOAM_I32, 1),
                                                   .factors = loam_tensor_1d(&factor, LOAM_F32, 1),
                                                   .losses = loam_tensor_1d(&loss, LOAM_F32, 1),
                                                   .dh = dh});
    const double expected = -30 * exp(-30.0) / (1 + exp(-30.0));
    assert_true(fabs((double)get(&dh, 0) - expected) < 1e-5 * fabs(expected));
    close_device(&fixture);
    free(h.data);
    free(w.data);
    free(dh.data);
}

// What is not finite shows in the loss of its row.
static void test_loss_shows_what_is_not_finite(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY};
    for (size_t i = 0; i < 2; i++) {
        struct fixture fixture;
        open_device(&fixture, 1);
        const struct loam_tensor h = filled(LOAM_F32, 2, 3, 1), w = noise(LOAM_F32, 70, 3);
        int32_t targets[2] = {5, 6};
        float losses[2] = {0};
        set(&h, 4, bad[i]);
        loam_linear_cross_entropy(&fixture.stream, &(struct loam_linear_cross_entropy_args){
                                                       .h = h,
                                                       .w.tensor = w,
                                                       .logit_factor = 1,
                                                       .targets = loam_tensor_1d(targets, LOAM_I32, 2),
                                                       .losses = loam_tensor_1d(losses, LOAM_F32, 2)});
        assert_true(isfinite(losses[0]) && !isfinite(losses[1]));
        close_device(&fixture);
        free(h.data);
        free(w.data);
    }
}

// ---- activations ----

static void test_gelu_is_accurate_in_its_tail(void **state)
{
    (void)state;
    struct fixture fixture;
    open_device(&fixture, 1);
    const int64_t n = 4001;
    const struct loam_tensor x = matrix(LOAM_F32, 1, n), y = matrix(LOAM_F32, 1, n);
    for (int64_t i = 0; i < n; i++)
        set(&x, i, -5 + 15 * (float)i / (float)(n - 1));
    loam_activation_forward(&fixture.stream,
                            &(struct loam_activation_forward_args){.kind = LOAM_GELU_TANH, .x = x, .y = y});
    for (int64_t i = 0; i < n; i++) {
        const double v = (double)get(&x, i), u = 2 * 0.79788456 * v * (1 + 0.044715 * v * v);
        assert_true(fabs((double)get(&y, i) - v / (1 + exp(-u))) <= 2e-6 * fabs(v / (1 + exp(-u))));
    }
    close_device(&fixture);
    free(x.data);
    free(y.data);
}

// ---- attention ----

static void test_attention_refuses_longer_sequences(void **state)
{
    (void)state;
    struct fixture fixture;
    struct loam_error error = {0};
    open_device(&fixture, 1);
    int32_t offsets[2] = {0, 5};
    const struct loam_tensor data = noise(LOAM_F32, 5, 8), out = matrix(LOAM_F32, 5, 8),
                             lse = matrix(LOAM_F32, 1, 5);
    const struct loam_tensor heads = loam_tensor_3d(data.data, LOAM_F32, 5, 1, 8);
    const struct loam_attention_shape shape = {.q_offsets = loam_tensor_1d(offsets, LOAM_I32, 2),
                                               .kv_offsets = loam_tensor_1d(offsets, LOAM_I32, 2),
                                               .max_q = 4,
                                               .max_kv = 4,
                                               .scale = 1};
    loam_attention_forward(&fixture.stream, &(struct loam_attention_forward_args){
                                                .q = heads,
                                                .k = heads,
                                                .v = heads,
                                                .shape = shape,
                                                .out = loam_tensor_3d(out.data, LOAM_F32, 5, 1, 8),
                                                .lse = lse});
    assert_fails(loam_stream_finish(&fixture.stream, &error), LOAM_ERROR_ARGUMENT, "max_kv");
    close_device(&fixture);
    free(data.data);
    free(out.data);
    free(lse.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cache_keeps_products_and_is_bounded),
        cmocka_unit_test(test_linear_rounds_once),
        cmocka_unit_test(test_input_gradient_rounds_once),
        cmocka_unit_test(test_an_untrained_adapter_changes_no_bit),
        cmocka_unit_test(test_conversion_is_that_of_tensor),
        cmocka_unit_test(test_sums_do_not_depend_on_threads),
        cmocka_unit_test(test_attention_of_one_query_does_not_depend_on_threads),
        cmocka_unit_test(test_loss_of_many_rows),
        cmocka_unit_test(test_loss_of_a_sure_model),
        cmocka_unit_test(test_loss_shows_what_is_not_finite),
        cmocka_unit_test(test_gelu_is_accurate_in_its_tail),
        cmocka_unit_test(test_attention_refuses_longer_sequences),
    };
    const int missing = test_level_is_missing();
    return missing != 0 ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
