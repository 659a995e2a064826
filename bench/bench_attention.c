// bench_attention [TOKENS HEADS GROUPS SIZE [WINDOW [THREADS]]]: the rate of the CPU device's attention on causal
// sequences of one row of heads of SIZE numbers each, in bf16 and in f32: the best of several turns, in GFLOP/s and as a
// part of the peak of multiply-adds in registers. One thread by default, in processor time; more threads in time.
// Operations are counted as `loam bench` does: 4 SIZE for each head and each pair of a query and a key that it sees,
// 8 SIZE in the backward.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "device/device.h"
#include "device/probe.h"

enum { TURNS = 12 };

static double now(int threads)
{
    struct timespec time;
    clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

struct operands {
    int64_t tokens, heads, groups, size;
    int32_t window, offsets[2];
    int threads;
    struct loam_attention_forward_args forward;
    struct loam_attention_backward_args backward;
};

static struct loam_tensor make_tensor(struct loam_arena *arena, enum loam_dtype dtype, int64_t rows,
                                      int64_t heads, int64_t size, uint64_t stream)
{
    struct loam_tensor tensor = loam_tensor_3d(NULL, dtype, rows, heads, size);
    tensor.data = loam_arena_alloc(arena, loam_tensor_bytes(&tensor));
    for (int64_t i = 0; i < loam_tensor_count(&tensor); i++) {
        const float value = 4 * loam_rng_uniform(5, stream, (uint64_t)i) - 2;
        loam_convert((char *)tensor.data + (size_t)i * loam_dtype_size(dtype), dtype, &value, LOAM_F32, 1);
    }
    return tensor;
}

static int64_t count_pairs(const struct operands *o)
{
    int64_t pairs = 0;
    for (int64_t i = 1; i <= o->tokens; i++)
        pairs += o->window > 0 && i > o->window ? o->window : i;
    return pairs;
}

static void make_operands(struct operands *o, enum loam_dtype dtype, struct loam_arena *arena)
{
    const int64_t t = o->tokens, q = o->heads, kv = o->groups, d = o->size;
    o->offsets[0] = 0;
    o->offsets[1] = (int32_t)t;
    const struct loam_tensor offsets = loam_tensor_1d(o->offsets, LOAM_I32, 2);
    const struct loam_attention_shape shape = {.q_offsets = offsets,
                                               .kv_offsets = offsets,
                                               .max_q = (int32_t)t,
                                               .max_kv = (int32_t)t,
                                               .pairs = count_pairs(o),
                                               .scale = 1 / sqrtf((float)d),
                                               .window = o->window};
    struct loam_attention_forward_args *f = &o->forward;
    *f = (struct loam_attention_forward_args){.q = make_tensor(arena, dtype, t, q, d, 1),
                                              .k = make_tensor(arena, dtype, t, kv, d, 2),
                                              .v = make_tensor(arena, dtype, t, kv, d, 3),
                                              .shape = shape,
                                              .out = make_tensor(arena, dtype, t, q, d, 4)};
    f->lse = make_tensor(arena, LOAM_F32, 1, q, t, 5);
    f->lse = loam_tensor_2d(f->lse.data, LOAM_F32, q, t);
    o->backward = (struct loam_attention_backward_args){.q = f->q,
                                                        .k = f->k,
                                                        .v = f->v,
                                                        .shape = shape,
                                                        .out = f->out,
                                                        .lse = f->lse,
                                                        .dout = make_tensor(arena, dtype, t, q, d, 6),
                                                        .dq = make_tensor(arena, dtype, t, q, d, 7),
                                                        .dk = make_tensor(arena, dtype, t, kv, d, 8),
                                                        .dv = make_tensor(arena, dtype, t, kv, d, 9)};
}

static double measure_peak(const struct loam_device *device, enum loam_dtype dtype)
{
    const int threads = device->threads;
    const double start = now(threads), operations = device->ops.limits->multiply_add(threads, dtype, 128);
    return 1e-9 * operations / (now(threads) - start);
}

static enum loam_status measure(struct operands *o, enum loam_dtype dtype, struct loam_error *error)
{
    struct loam_device *device;
    struct loam_stream planning, stream;
    struct loam_arena arena;
    LOAM_TRY(loam_device_create(&device, "cpu", o->threads, error));
    const size_t bytes = (size_t)(o->tokens * (4 * o->heads + 4 * o->groups) * o->size) * sizeof(float) +
                         (size_t)(o->tokens * o->heads) * sizeof(float) + (1 << 20);
    LOAM_TRY(loam_device_arena_init(device, &arena, bytes, true, error));
    make_operands(o, dtype, &arena);
    loam_stream_init_planning(&planning, device);
    loam_attention_forward(&planning, &o->forward);
    loam_attention_backward(&planning, &o->backward);
    LOAM_TRY(loam_stream_init(&stream, device, planning.scratch_needed, error));
    double forward = 1e9, backward = 1e9, peak = 0;
    for (int turn = 0; turn < TURNS; turn++) {
        const double start = now(o->threads);
        loam_attention_forward(&stream, &o->forward);
        const double middle = now(o->threads);
        loam_attention_backward(&stream, &o->backward);
        const double end = now(o->threads), rate = measure_peak(device, dtype);
        forward = middle - start < forward ? middle - start : forward;
        backward = end - middle < backward ? end - middle : backward;
        peak = rate > peak ? rate : peak;
    }
    const double flops = 4e-9 * (double)(o->forward.shape.pairs * o->heads * o->size);
    printf("%s  forward %6.1f  backward %6.1f  both %6.1f GFLOP/s, %.3f of %.0f\n",
           dtype == LOAM_F32 ? "f32 " : "bf16", flops / forward, 2 * flops / backward,
           3 * flops / (forward + backward), 3 * flops / (forward + backward) / peak, peak);
    LOAM_TRY(loam_stream_finish(&stream, error));
    loam_stream_deinit(&stream);
    loam_device_arena_deinit(device, &arena);
    loam_device_destroy(device);
    return LOAM_OK;
}

int main(int argc, char **argv)
{
    struct operands o = {.tokens = 1024, .heads = 9, .groups = 3, .size = 64, .threads = 1};
    struct loam_error error;
    if (argc >= 5) {
        o.tokens = atol(argv[1]);
        o.heads = atol(argv[2]);
        o.groups = atol(argv[3]);
        o.size = atol(argv[4]);
    }
    if (argc >= 6) o.window = (int32_t)atol(argv[5]);
    if (argc == 7) o.threads = atoi(argv[6]);
    if ((argc != 1 && (argc < 5 || argc > 7)) || o.tokens < 1 || o.groups < 1 || o.heads % o.groups != 0 ||
        o.heads < 1 || o.size < 1 || o.window < 0 || o.threads < 1) {
        fprintf(stderr, "usage: bench_attention [TOKENS HEADS GROUPS SIZE [WINDOW [THREADS]]]\n");
        return 2;
    }
    if (measure(&o, LOAM_BF16, &error) == LOAM_OK && measure(&o, LOAM_F32, &error) == LOAM_OK) return 0;
    fprintf(stderr, "bench_attention: %s\n", error.message);
    return 1;
}
