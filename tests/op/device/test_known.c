// Forward ops, the loss and the optimiser of every device against what PyTorch and transformers compute
// (known.h), so that a misreading of a formula that forward and backward share cannot hide.
#include "test.h"

#include <math.h>

#include "base/rng.h"
#include "device/device.h"
#include "hidden_device.h"
#include "isa.h"
#include "op/device/common_op.h"
#include "op/device/known.h"

enum { ROOM = 4096 }; // bytes of each tensor, more than any here needs

struct bench {
    const struct loam_device *device;
    double memory[24][ROOM / sizeof(double)];
    size_t used;
};

static void *room(struct bench *bench)
{
    assert_true(bench->used < sizeof bench->memory / sizeof bench->memory[0]);
    return bench->memory[bench->used++];
}

// The inputs of make_known.py.
static struct loam_tensor numbers(struct bench *bench, int salt, int64_t count)
{
    float *values = room(bench);
    for (int i = 0; i < (int)count; i++)
        values[i] = (float)((7 * i * i + 29 * i + 17 * salt) % 61 - 30) / 16.0f;
    return loam_tensor_1d(values, LOAM_F32, count);
}

static struct loam_tensor shaped(struct loam_tensor tensor, int64_t a, int64_t b, int64_t c)
{
    return c > 0 ? loam_tensor_3d(tensor.data, tensor.dtype, a, b, c)
                 : loam_tensor_2d(tensor.data, tensor.dtype, a, b);
}

static struct loam_tensor matrix(struct bench *bench, int salt, int64_t rows, int64_t columns)
{
    return shaped(numbers(bench, salt, rows * columns), rows, columns, 0);
}

static struct loam_tensor heads(struct bench *bench, int salt, int64_t rows, int64_t count, int64_t size)
{
    return shaped(numbers(bench, salt, rows * count * size), rows, count, size);
}

static struct loam_tensor zeros(struct bench *bench, enum loam_dtype dtype, int64_t count)
{
    return loam_tensor_1d(room(bench), dtype, count);
}

static struct loam_tensor zero_matrix(struct bench *bench, int64_t rows, int64_t columns)
{
    return shaped(zeros(bench, LOAM_F32, rows * columns), rows, columns, 0);
}

static struct loam_tensor integers(struct bench *bench, const int32_t *values, size_t count)
{
    struct loam_tensor tensor = zeros(bench, LOAM_I32, (int64_t)count);
    memcpy(tensor.data, values, count * sizeof *values);
    return tensor;
}

// Runs an op on the device, whose memory has a copy of the bench's meanwhile.
static void run(struct bench *bench, enum op op, const union op_args *args)
{
    const struct op_block block = {.memory = (char *)bench->memory, .bytes = sizeof bench->memory};
    op_run_blocks(bench->device, op, args, &block, 1);
}
#define RUN(bench, name, ...) run(bench, OP_##name, &(union op_args){.name = *(__VA_ARGS__)})

// A handful of roundings of f32, relative to values of a few units.
static void check(struct bench *bench, const char *name, const struct loam_tensor *have, const double *want,
                  size_t count)
{
    assert_int_equal(loam_tensor_count(have), count);
    for (size_t i = 0; i < count; i++) {
        double value =
            have->dtype == LOAM_F64 ? ((const double *)have->data)[i] : ((const float *)have->data)[i];
        if (fabs(value - want[i]) <= 2e-6 * (1.0 + fabs(want[i]))) continue;
        fail_msg("%s on %s: element %zu is %.9g, PyTorch says %.9g", name, bench->device->name, i, value,
                 want[i]);
    }
}
#define CHECK(name, tensor) check(bench, #name, &(tensor), known_##name, sizeof known_##name / sizeof(double))

static void known_linears(struct bench *bench)
{
    struct loam_linear_forward_args linear = {.x = matrix(bench, 1, 3, 5),
                                              .w.tensor = matrix(bench, 2, 4, 5),
                                              .bias = numbers(bench, 3, 4),
                                              .residual = matrix(bench, 4, 3, 4),
                                              .y = zero_matrix(bench, 3, 4)};
    RUN(bench, linear_forward, &linear);
    CHECK(linear, linear.y);
    struct loam_lora_forward_args lora = {.x = matrix(bench, 1, 3, 5),
                                          .a = matrix(bench, 2, 2, 5),
                                          .b = matrix(bench, 3, 4, 2),
                                          .scale = 0.5f,
                                          .t = zero_matrix(bench, 3, 2),
                                          .y = matrix(bench, 4, 3, 4)};
    RUN(bench, lora_forward, &lora);
    CHECK(lora_t, lora.t);
    CHECK(lora_y, lora.y);
    lora.bias = numbers(bench, 5, 4);
    lora.y = matrix(bench, 4, 3, 4);
    RUN(bench, lora_forward, &lora);
    CHECK(lora_biased_y, lora.y);
}

// The adapter of an embedding.
static void known_lora_embedding_rows(struct bench *bench)
{
    static const int32_t tokens[] = {4, 0, 4, 2};
    const struct loam_tensor ids = integers(bench, tokens, 4), a = matrix(bench, 2, 2, 3),
                             b = matrix(bench, 3, 5, 2);
    struct loam_embedding_forward_args base = {
        .ids = ids, .table = matrix(bench, 1, 5, 3), .y = zero_matrix(bench, 4, 3)};
    RUN(bench, embedding_forward, &base);
    struct loam_lora_embedding_forward_args forward = {
        .ids = ids, .a = a, .b = b, .scale = 0.5f, .y = base.y};
    RUN(bench, lora_embedding_forward, &forward);
    CHECK(lora_embedding, forward.y);
    struct loam_lora_embedding_backward_args backward = {.ids = ids,
                                                         .dy = matrix(bench, 6, 4, 3),
                                                         .a = a,
                                                         .b = b,
                                                         .scale = 0.5f,
                                                         .da = zero_matrix(bench, 2, 3),
                                                         .db = zero_matrix(bench, 5, 2)};
    RUN(bench, lora_embedding_backward, &backward);
    CHECK(lora_embedding_da, backward.da);
    CHECK(lora_embedding_db, backward.db);
}

// Tokens with a row of their own, in the embedding and in a head that is tied to it.
static void known_trained_tokens(struct bench *bench)
{
    static const int32_t in[] = {4, 0, 4, 2}, trained[] = {2, 4};
    const struct loam_tensor ids = integers(bench, in, 4), tokens = integers(bench, trained, 2),
                             table = matrix(bench, 1, 5, 3), rows = matrix(bench, 4, 2, 3);
    struct loam_embedding_forward_args base = {.ids = ids, .table = table, .y = zero_matrix(bench, 4, 3)};
    RUN(bench, embedding_forward, &base);
    struct loam_replace_rows_forward_args forward = {
        .ids = ids, .tokens = tokens, .rows = rows, .factor = 1, .y = base.y};
    RUN(bench, replace_rows_forward, &forward);
    CHECK(trained_rows, forward.y);
    struct loam_replace_rows_backward_args backward = {.ids = ids,
                                                       .tokens = tokens,
                                                       .factor = 1,
                                                       .drows = zero_matrix(bench, 2, 3),
                                                       .dy = matrix(bench, 6, 4, 3)};
    RUN(bench, replace_rows_backward, &backward);
    CHECK(trained_rows_drows, backward.drows);

    const struct loam_tensor h = matrix(bench, 5, 4, 3), dh = zero_matrix(bench, 4, 3);
    struct loam_linear_forward_args head = {.x = h, .w.tensor = table, .y = zero_matrix(bench, 4, 5)};
    struct loam_linear_forward_args own = {.x = h, .w.tensor = rows, .y = zero_matrix(bench, 4, 2)};
    RUN(bench, linear_forward, &head);
    RUN(bench, linear_forward, &own);
    struct loam_replace_columns_forward_args columns = {
        .x = own.y, .tokens = tokens, .factor = 1, .y = head.y};
    RUN(bench, replace_columns_forward, &columns);
    CHECK(trained_logits, head.y);
    struct loam_replace_columns_backward_args taken = {
        .tokens = tokens, .factor = 1, .dx = zero_matrix(bench, 4, 2), .dy = matrix(bench, 7, 4, 5)};
    RUN(bench, replace_columns_backward, &taken);
    struct loam_linear_backward_weight_args of_rows = {
        .dy = taken.dx, .x = h, .dw = zero_matrix(bench, 2, 3)};
    RUN(bench, linear_backward_weight, &of_rows);
    CHECK(trained_logits_drows, of_rows.dw);
    struct loam_linear_backward_input_args to_h = {.dy = taken.dx, .w.tensor = rows, .dx = dh};
    RUN(bench, linear_backward_input, &to_h);
    to_h = (struct loam_linear_backward_input_args){
        .dy = taken.dy, .w.tensor = table, .dx = dh, .accumulate = true};
    RUN(bench, linear_backward_input, &to_h);
    CHECK(trained_logits_dh, dh);
}

// A weight [K, N], as transformers' Conv1D stores it.
static void known_transposed_linear(struct bench *bench)
{
    const struct loam_weight w = {.tensor = matrix(bench, 5, 5, 4), .transposed = true};
    struct loam_linear_forward_args forward = {.x = matrix(bench, 1, 3, 5),
                                               .w = w,
                                               .bias = numbers(bench, 3, 4),
                                               .residual = matrix(bench, 4, 3, 4),
                                               .y = zero_matrix(bench, 3, 4)};
    RUN(bench, linear_forward, &forward);
    CHECK(transposed, forward.y);
    const struct loam_tensor dy = matrix(bench, 6, 3, 4);
    struct loam_linear_backward_input_args input = {.dy = dy, .w = w, .dx = zero_matrix(bench, 3, 5)};
    RUN(bench, linear_backward_input, &input);
    CHECK(transposed_dx, input.dx);
    struct loam_linear_backward_weight_args weight = {
        .dy = dy, .x = forward.x, .dw = zero_matrix(bench, 5, 4), .transposed = true};
    RUN(bench, linear_backward_weight, &weight);
    CHECK(transposed_dw, weight.dw);
}

// With the identity as A, t is the dropped x: each element zero or scaled up, as its own random number decides.
static void known_dropout(struct bench *bench)
{
    enum { TOKENS = 9, SIZE = 7 };
    const struct loam_dropout dropout = {
        .p = 0.3f, .seed = 5, .stream = 2ull << 32 | 1, .counter = 1ull << 40 | 3};
    struct loam_lora_forward_args lora = {.x = matrix(bench, 1, TOKENS, SIZE),
                                          .a = zero_matrix(bench, SIZE, SIZE),
                                          .b = zero_matrix(bench, 2, SIZE),
                                          .scale = 1.0f,
                                          .dropout = dropout,
                                          .t = zero_matrix(bench, TOKENS, SIZE),
                                          .y = zero_matrix(bench, TOKENS, 2)};
    for (int i = 0; i < SIZE; i++)
        ((float *)lora.a.data)[i * SIZE + i] = 1.0f;
    RUN(bench, lora_forward, &lora);
    double want[TOKENS * SIZE];
    int kept = 0;
    for (int i = 0; i < TOKENS * SIZE; i++) {
        bool keep =
            loam_rng_uniform(dropout.seed, dropout.stream, dropout.counter + (uint64_t)i) >= dropout.p;
        want[i] = keep ? ((const float *)lora.x.data)[i] / 0.7 : 0.0;
        kept += keep;
    }
    assert_in_range(kept, TOKENS * SIZE / 2, TOKENS * SIZE - 9);
    check(bench, "dropout", &lora.t, want, TOKENS * SIZE);
}

static void known_embedding(struct bench *bench)
{
    static const int32_t ids[] = {2, 0, 2};
    struct loam_embedding_forward_args embedding = {
        .ids = integers(bench, ids, 3), .table = matrix(bench, 1, 3, 4), .y = zero_matrix(bench, 3, 4)};
    RUN(bench, embedding_forward, &embedding);
    const float *table = embedding.table.data, *y = embedding.y.data;
    for (int t = 0; t < 3; t++)
        assert_memory_equal(y + t * 4, table + ids[t] * 4, 4 * sizeof *y);
}

static void known_gather_rows(struct bench *bench)
{
    static const int32_t rows[] = {1, 2, 1, 0};
    const struct loam_tensor wide = matrix(bench, 1, 3, 5);
    struct loam_tensor x = wide; // [3, 4] with rows of 5
    x.shape[1] = 4;
    struct loam_gather_rows_args gather = {
        .x = x, .rows = integers(bench, rows, 4), .y = zero_matrix(bench, 4, 4)};
    RUN(bench, gather_rows, &gather);
    const float *source = x.data, *y = gather.y.data;
    for (int i = 0; i < 4; i++)
        assert_memory_equal(y + i * 4, source + rows[i] * 5, 4 * sizeof *y);
}

static void known_add_scaled(struct bench *bench)
{
    struct loam_add_scaled_args add = {.x = matrix(bench, 1, 3, 4),
                                       .residual = matrix(bench, 2, 3, 4),
                                       .factor = 0.5f,
                                       .y = zero_matrix(bench, 3, 4)};
    const float *x = add.x.data, *residual = add.residual.data, *y = add.y.data;
    RUN(bench, add_scaled, &add);
    for (int i = 0; i < 12; i++)
        assert_true(fabsf(y[i] - (residual[i] + 0.5f * x[i])) <= 1e-6f);
}

// Rows that are further apart than they are long.
static void known_add_scaled_of_columns(struct bench *bench)
{
    struct loam_tensor x = matrix(bench, 1, 3, 7), residual = matrix(bench, 2, 3, 5),
                       y = zero_matrix(bench, 3, 6);
    x.shape[1] = residual.shape[1] = y.shape[1] = 4;
    RUN(bench, add_scaled,
        &(struct loam_add_scaled_args){.x = x, .residual = residual, .factor = 0.5f, .y = y});
    const float *have = y.data;
    for (int t = 0; t < 3; t++)
        for (int i = 0; i < 6; i++) {
            const float sum = ((float *)residual.data)[t * 5 + i] + 0.5f * ((float *)x.data)[t * 7 + i];
            assert_true(fabsf(have[t * 6 + i] - (i < 4 ? sum : 0)) <= 1e-6f);
        }
}

static void known_norms(struct bench *bench)
{
    struct loam_layernorm_forward_args layer = {.x = matrix(bench, 1, 2, 7),
                                                .w = numbers(bench, 2, 7),
                                                .b = numbers(bench, 3, 7),
                                                .eps = 1e-5f,
                                                .y = zero_matrix(bench, 2, 7),
                                                .mean = zeros(bench, LOAM_F32, 2),
                                                .rstd = zeros(bench, LOAM_F32, 2)};
    RUN(bench, layernorm_forward, &layer);
    CHECK(layernorm, layer.y);
    CHECK(layernorm_mean, layer.mean);
    CHECK(layernorm_rstd, layer.rstd);
    struct loam_rmsnorm_forward_args rms = {.x = layer.x,
                                            .w = layer.w,
                                            .eps = 1e-6f,
                                            .y = zero_matrix(bench, 2, 7),
                                            .rstd = zeros(bench, LOAM_F32, 2)};
    RUN(bench, rmsnorm_forward, &rms);
    CHECK(rmsnorm, rms.y);
    CHECK(rmsnorm_rstd, rms.rstd);
}

// 1 + w, as in Gemma.
static void known_offset_norm(struct bench *bench)
{
    struct loam_rmsnorm_forward_args forward = {.x = matrix(bench, 1, 2, 7),
                                                .w = numbers(bench, 2, 7),
                                                .offset = 1,
                                                .eps = 1e-6f,
                                                .y = zero_matrix(bench, 2, 7),
                                                .rstd = zeros(bench, LOAM_F32, 2)};
    RUN(bench, rmsnorm_forward, &forward);
    CHECK(rmsnorm_offset, forward.y);
    struct loam_rmsnorm_backward_args backward = {.dy = matrix(bench, 3, 2, 7),
                                                  .x = forward.x,
                                                  .w = forward.w,
                                                  .offset = 1,
                                                  .rstd = forward.rstd,
                                                  .dx = zero_matrix(bench, 2, 7),
                                                  .dw = zeros(bench, LOAM_F32, 7)};
    RUN(bench, rmsnorm_backward, &backward);
    CHECK(rmsnorm_offset_dx, backward.dx);
    CHECK(rmsnorm_offset_dw, backward.dw);
}

static void known_rotations(struct bench *bench)
{
    static const int32_t positions[] = {0, 1, 700};
    struct loam_rope_table_args table = {.positions = integers(bench, positions, 3),
                                         .frequencies = zeros(bench, LOAM_F32, 3),
                                         .factor = 1,
                                         .table = zero_matrix(bench, 3, 6)};
    for (int i = 0; i < 3; i++)
        ((float *)table.frequencies.data)[i] = (float)known_rope_frequencies[i];
    RUN(bench, rope_table, &table);
    CHECK(rope_table, table.table);
    struct loam_rope_args rope = {.x = heads(bench, 1, 3, 2, 6), .table = table.table};
    RUN(bench, rope, &rope);
    CHECK(rope, rope.x);
    // The inverse undoes it.
    rope.inverse = true;
    RUN(bench, rope, &rope);
    struct loam_tensor before = heads(bench, 1, 3, 2, 6);
    for (int i = 0; i < 36; i++) {
        assert_true(fabsf(((float *)rope.x.data)[i] - ((float *)before.data)[i]) <= 1e-6f);
    }
}

// Neighbours in pairs, of the first four elements of six: the table has the first two frequencies.
static void known_partial_rotation(struct bench *bench)
{
    static const int32_t positions[] = {0, 1, 700};
    struct loam_rope_table_args table = {.positions = integers(bench, positions, 3),
                                         .frequencies = zeros(bench, LOAM_F32, 2),
                                         .factor = 1,
                                         .table = zero_matrix(bench, 3, 4)};
    for (int i = 0; i < 2; i++)
        ((float *)table.frequencies.data)[i] = (float)known_rope_frequencies[i];
    RUN(bench, rope_table, &table);
    struct loam_tensor x = heads(bench, 1, 3, 2, 6), part = x;
    part.shape[2] = 4;
    RUN(bench, rope, &(struct loam_rope_args){.x = part, .table = table.table, .interleaved = true});
    CHECK(rope_interleaved, x);
}

static void known_scaled_table(struct bench *bench)
{
    static const int32_t positions[] = {0, 1, 700};
    struct loam_rope_table_args table = {.positions = integers(bench, positions, 3),
                                         .frequencies = zeros(bench, LOAM_F32, 3),
                                         .factor = 1.25f,
                                         .query_beta = 0.1f,
                                         .query_context = 64,
                                         .table = zero_matrix(bench, 3, 6)};
    for (int i = 0; i < 3; i++)
        ((float *)table.frequencies.data)[i] = (float)known_rope_frequencies[i];
    RUN(bench, rope_table, &table);
    CHECK(rope_table_scaled, table.table);
}

static void known_grouped_attention(struct bench *bench)
{
    static const int32_t offsets[] = {0, 4, 5};
    struct loam_attention_shape shape = {.q_offsets = integers(bench, offsets, 3),
                                         .kv_offsets = integers(bench, offsets, 3),
                                         .max_q = 4,
                                         .max_kv = 4,
                                         .scale = (float)(1.0 / sqrt(2.0))};
    struct loam_attention_forward_args attention = {.q = heads(bench, 1, 5, 6, 2),
                                                    .k = heads(bench, 2, 5, 2, 2),
                                                    .v = heads(bench, 3, 5, 2, 2),
                                                    .shape = shape,
                                                    .out = shaped(zeros(bench, LOAM_F32, 60), 5, 6, 2),
                                                    .lse = zero_matrix(bench, 6, 5)};
    RUN(bench, attention_forward, &attention);
    CHECK(attention_grouped, attention.out);
    CHECK(attention_grouped_lse, attention.lse);
}

static void known_attention_within_a_window(struct bench *bench)
{
    static const int32_t q_offsets[] = {0, 4, 7}, kv_offsets[] = {0, 7, 10};
    const struct loam_attention_shape shape = {.q_offsets = integers(bench, q_offsets, 3),
                                               .kv_offsets = integers(bench, kv_offsets, 3),
                                               .max_q = 4,
                                               .max_kv = 7,
                                               .scale = (float)(1.0 / sqrt(2.0)),
                                               .window = 3,
                                               .softcap = 1.5f};
    const struct loam_attention_forward_args forward = {.q = heads(bench, 7, 7, 4, 2),
                                                        .k = heads(bench, 8, 10, 2, 2),
                                                        .v = heads(bench, 9, 10, 2, 2),
                                                        .shape = shape,
                                                        .out = shaped(zeros(bench, LOAM_F32, 56), 7, 4, 2),
                                                        .lse = zero_matrix(bench, 4, 7)};
    RUN(bench, attention_forward, &forward);
    CHECK(attention_window, forward.out);
    CHECK(attention_window_lse, forward.lse);
    const struct loam_attention_backward_args backward = {.q = forward.q,
                                                          .k = forward.k,
                                                          .v = forward.v,
                                                          .shape = shape,
                                                          .out = forward.out,
                                                          .lse = forward.lse,
                                                          .dout = heads(bench, 10, 7, 4, 2),
                                                          .dq = shaped(zeros(bench, LOAM_F32, 56), 7, 4, 2),
                                                          .dk = shaped(zeros(bench, LOAM_F32, 40), 10, 2, 2),
                                                          .dv = shaped(zeros(bench, LOAM_F32, 40), 10, 2, 2)};
    RUN(bench, attention_backward, &backward);
    CHECK(attention_window_dq, backward.dq);
    CHECK(attention_window_dk, backward.dk);
    CHECK(attention_window_dv, backward.dv);
}

// Keys and values come by way of a cache.
static void known_cached_attention(struct bench *bench)
{
    static const int32_t q_offsets[] = {0, 2, 3}, kv_offsets[] = {0, 5, 8};
    struct loam_tensor k = heads(bench, 5, 8, 3, 2), cache = shaped(zeros(bench, LOAM_F32, 48), 8, 3, 2);
    struct loam_kv_append_args first = {.x = loam_tensor_rows(&k, 0, 3), .cache = cache, .first = 0};
    struct loam_kv_append_args rest = {.x = loam_tensor_rows(&k, 3, 5), .cache = cache, .first = 3};
    RUN(bench, kv_append, &first);
    RUN(bench, kv_append, &rest);
    struct loam_attention_shape shape = {.q_offsets = integers(bench, q_offsets, 3),
                                         .kv_offsets = integers(bench, kv_offsets, 3),
                                         .slopes = zeros(bench, LOAM_F32, 3),
                                         .max_q = 2,
                                         .max_kv = 5,
                                         .scale = (float)(1.0 / sqrt(2.0))};
    for (int h = 0; h < 3; h++)
        ((float *)shape.slopes.data)[h] = (float)known_slopes[h];
    struct loam_attention_forward_args attention = {.q = heads(bench, 4, 3, 3, 2),
                                                    .k = cache,
                                                    .v = heads(bench, 6, 8, 3, 2),
                                                    .shape = shape,
                                                    .out = shaped(zeros(bench, LOAM_F32, 18), 3, 3, 2),
                                                    .lse = zero_matrix(bench, 3, 3)};
    RUN(bench, attention_forward, &attention);
    CHECK(attention_cached, attention.out);
    CHECK(attention_cached_lse, attention.lse);
}

static void known_activations(struct bench *bench)
{
    struct loam_tensor x = numbers(bench, 1, 11), up = numbers(bench, 2, 11), y = zeros(bench, LOAM_F32, 11);
    for (int i = 0; i < 11; i++)
        ((float *)x.data)[i] *= 3.0f;
    struct loam_activation_forward_args activation = {.kind = LOAM_GELU_TANH, .x = x, .y = y};
    RUN(bench, activation_forward, &activation);
    CHECK(gelu_tanh, y);
    activation.kind = LOAM_SILU;
    RUN(bench, activation_forward, &activation);
    CHECK(silu, y);
    struct loam_gated_activation_forward_args gated = {
        .kind = LOAM_SILU, .gate = shaped(x, 1, 11, 0), .up = shaped(up, 1, 11, 0), .y = shaped(y, 1, 11, 0)};
    RUN(bench, gated_activation_forward, &gated);
    CHECK(gated_silu, y);
    // gate and up are halves of each row.
    struct loam_tensor gate = matrix(bench, 1, 3, 10), fused_up = gate, of_fused = zero_matrix(bench, 3, 5);
    gate.shape[1] = fused_up.shape[1] = 5;
    fused_up.data = (float *)gate.data + 5;
    gated = (struct loam_gated_activation_forward_args){
        .kind = LOAM_SILU, .gate = gate, .up = fused_up, .y = of_fused};
    RUN(bench, gated_activation_forward, &gated);
    CHECK(gated_fused, of_fused);
}

static void known_activation(struct bench *bench, enum loam_activation kind, const char *name,
                             const double *value, const double *gradient)
{
    struct loam_tensor x = numbers(bench, 1, 11), y = zeros(bench, LOAM_F32, 11);
    for (int i = 0; i < 11; i++)
        ((float *)x.data)[i] *= 3.0f;
    RUN(bench, activation_forward, &(struct loam_activation_forward_args){.kind = kind, .x = x, .y = y});
    check(bench, name, &y, value, 11);
    struct loam_activation_backward_args backward = {
        .kind = kind, .x = x, .dy = numbers(bench, 2, 11), .dx = y};
    RUN(bench, activation_backward, &backward);
    check(bench, name, &y, gradient, 11);
}
#define KNOWN_ACTIVATION(kind, name)                                                                         \
    known_activation(bench, kind, #name, known_activation_##name, known_activation_##name##_dx)

static void known_more_activations(struct bench *bench)
{
    KNOWN_ACTIVATION(LOAM_GELU, gelu);
    KNOWN_ACTIVATION(LOAM_RELU, relu);
    KNOWN_ACTIVATION(LOAM_RELU2, relu2);
    KNOWN_ACTIVATION(LOAM_QUICK_GELU, quick_gelu);
}

static void known_loss_and_gradients(struct bench *bench)
{
    static const int32_t targets[] = {5, LOAM_NO_TARGET, 0, 2};
    struct loam_linear_cross_entropy_args loss = {.h = matrix(bench, 1, 4, 3),
                                                  .w.tensor = matrix(bench, 2, 6, 3),
                                                  .logit_factor = 1,
                                                  .targets = integers(bench, targets, 4),
                                                  .factors = zeros(bench, LOAM_F32, 4),
                                                  .losses = zeros(bench, LOAM_F32, 4),
                                                  .dh = zero_matrix(bench, 4, 3),
                                                  .dw = zero_matrix(bench, 6, 3)};
    struct loam_tensor sum = zeros(bench, LOAM_F64, 1);
    for (int t = 0; t < 4; t++)
        ((float *)loss.factors.data)[t] = 0.25f;
    RUN(bench, linear_cross_entropy, &loss);
    for (int t = 0; t < 4; t++)
        *(double *)sum.data += (double)((const float *)loss.losses.data)[t];
    CHECK(loss, sum);
    CHECK(loss_dh, loss.dh);
    CHECK(loss_dw, loss.dw);
}

// A bias, a factor and a cap between the head and the softmax.
static void known_capped_loss_and_gradients(struct bench *bench)
{
    static const int32_t targets[] = {5, LOAM_NO_TARGET, 0, 2};
    struct loam_linear_cross_entropy_args loss = {.h = matrix(bench, 1, 4, 3),
                                                  .w.tensor = matrix(bench, 2, 6, 3),
                                                  .bias = numbers(bench, 3, 6),
                                                  .logit_factor = 0.75f,
                                                  .logit_softcap = 3,
                                                  .targets = integers(bench, targets, 4),
                                                  .factors = zeros(bench, LOAM_F32, 4),
                                                  .losses = zeros(bench, LOAM_F32, 4),
                                                  .dh = zero_matrix(bench, 4, 3),
                                                  .dw = zero_matrix(bench, 6, 3),
                                                  .dbias = zeros(bench, LOAM_F32, 6)};
    struct loam_tensor sum = zeros(bench, LOAM_F64, 1);
    for (int t = 0; t < 4; t++)
        ((float *)loss.factors.data)[t] = 0.25f;
    RUN(bench, linear_cross_entropy, &loss);
    for (int t = 0; t < 4; t++)
        *(double *)sum.data += (double)((const float *)loss.losses.data)[t];
    CHECK(capped_loss, sum);
    CHECK(capped_loss_dh, loss.dh);
    CHECK(capped_loss_dw, loss.dw);
    CHECK(capped_loss_dbias, loss.dbias);
    struct loam_cross_entropy_args held = {.products = matrix(bench, 1, 4, 6),
                                           .logit_factor = 0.75f,
                                           .logit_softcap = 3,
                                           .targets = loss.targets,
                                           .factors = numbers(bench, 2, 4),
                                           .losses = zeros(bench, LOAM_F32, 4)};
    RUN(bench, cross_entropy, &held);
    CHECK(cross_entropy, held.losses);
    CHECK(cross_entropy_dproducts, held.products);
    struct loam_cap_logits_args cap = {.x = matrix(bench, 1, 2, 7), .factor = 0.75f, .softcap = 3};
    for (int i = 0; i < 14; i++)
        ((float *)cap.x.data)[i] *= 3.0f;
    RUN(bench, cap_logits, &cap);
    CHECK(cap_logits, cap.x);
}

static void known_optimiser(struct bench *bench)
{
    struct loam_adamw_args adamw = {.param = numbers(bench, 1, 5),
                                    .m = zeros(bench, LOAM_F32, 5),
                                    .v = zeros(bench, LOAM_F32, 5),
                                    .rates = {{.learning_rate = 0.01f, .weight_decay = 0.1f}},
                                    .grad_factor = 1,
                                    .max_norm = 1.0f,
                                    .beta1 = 0.9f,
                                    .beta2 = 0.999f,
                                    .eps = 1e-3f};
    double norms[3];
    for (int step = 0; step < 3; step++) {
        adamw.grad = numbers(bench, 2 + step, 5);
        for (int i = 0; i < 5; i++)
            ((float *)adamw.grad.data)[i] *= (float)pow(10.0, -step);
        adamw.squared_norm = zeros(bench, LOAM_F64, 1);
        adamw.step = step + 1;
        RUN(bench, squared_norm,
            &(struct loam_squared_norm_args){.x = adamw.grad, .result = adamw.squared_norm});
        RUN(bench, adamw, &adamw);
        norms[step] = *(const double *)adamw.squared_norm.data;
    }
    struct loam_tensor all = loam_tensor_1d(norms, LOAM_F64, 3);
    CHECK(adamw_squared_norms, all);
    CHECK(adamw_param, adamw.param);
    CHECK(adamw_m, adamw.m);
    CHECK(adamw_v, adamw.v);
}

// One value that is not finite shows, wherever it stands.
static void known_not_finite(struct bench *bench)
{
    static const float bad[] = {INFINITY, -INFINITY, NAN};
    for (int64_t i = 0; i < 21; i++) {
        bench->used = 0;
        struct loam_squared_norm_args norm = {.x = numbers(bench, 1, 21),
                                              .result = zeros(bench, LOAM_F64, 1)};
        ((float *)norm.x.data)[i] = bad[i % 3];
        *(double *)norm.result.data = 0.0;
        RUN(bench, squared_norm, &norm);
        double result = *(const double *)norm.result.data;
        if (isfinite(result))
            fail_msg("element %d is %g, the squared norm %g", (int)i, (double)bad[i % 3], result);
    }
}

static void (*const groups[])(struct bench *bench) = {
    known_linears,
    known_transposed_linear,
    known_dropout,
    known_lora_embedding_rows,
    known_trained_tokens,
    known_embedding,
    known_gather_rows,
    known_add_scaled_of_columns,
    known_offset_norm,
    known_partial_rotation,
    known_scaled_table,
    known_more_activations,
    known_capped_loss_and_gradients,
    known_add_scaled,
    known_norms,
    known_rotations,
    known_grouped_attention,
    known_cached_attention,
    known_attention_within_a_window,
    known_activations,
    known_loss_and_gradients,
    known_optimiser,
    known_not_finite,
};

static void check_device(const struct loam_device *device)
{
    for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++) {
        struct bench *bench = calloc(1, sizeof *bench);
        assert_non_null(bench);
        bench->device = device;
        groups[g](bench);
        free(bench);
    }
}

static void test_known_values(void **state)
{
    (void)state;
    struct loam_error error = {0};
    for (size_t i = 0; loam_device_name(i) != NULL; i++) {
        struct loam_device *device = NULL;
        assert_ok(loam_device_create(&device, loam_device_name(i), 2, &error));
        check_device(device);
        loam_device_destroy(device);
    }
    struct loam_device *hidden = hidden_device_create();
    check_device(hidden);
    loam_device_destroy(hidden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_known_values)};
    const int missing = test_level_is_missing();
    return missing != 0 ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
