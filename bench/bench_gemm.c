// bench_gemm [ROWS K N]: the rate of the CPU device's linears on one thread, in GFLOP/s of processor
// time, the best of several turns. The weight w is [N, K], in f32 and in bf16. Forward is x wᵀ, backward
// is dy w.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "device/device.h"

enum { TURNS = 12 };

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

struct operands {
    int64_t rows, k, n;
    struct loam_tensor x, dx; // [rows, K]
    struct loam_tensor y, dy; // [rows, N]
    struct loam_tensor w[2];  // [N, K] f32, bf16
};

static struct loam_tensor allocate_tensor(struct loam_arena *arena, enum loam_dtype dtype, int64_t rows,
                                          int64_t columns)
{
    struct loam_tensor tensor = loam_tensor_2d(NULL, dtype, rows, columns);
    tensor.data = loam_arena_alloc(arena, loam_tensor_bytes(&tensor));
    return tensor;
}

// Fills the tensor with values that bf16 represents exactly, so that both weights are equal.
static void fill(const struct loam_tensor *tensor)
{
    for (int64_t i = 0; i < loam_tensor_count(tensor); i++) {
        const float value = (float)((i * 37) % 255 - 127) / 128.0f;
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        if (tensor->dtype == LOAM_BF16)
            ((uint16_t *)tensor->data)[i] = (uint16_t)(bits >> 16);
        else
            ((float *)tensor->data)[i] = value;
    }
}

static void allocate_operands(struct operands *o, struct loam_arena *arena)
{
    o->x = allocate_tensor(arena, LOAM_F32, o->rows, o->k);
    o->dx = allocate_tensor(arena, LOAM_F32, o->rows, o->k);
    o->dy = allocate_tensor(arena, LOAM_F32, o->rows, o->n);
    o->y = allocate_tensor(arena, LOAM_F32, o->rows, o->n);
    o->w[0] = allocate_tensor(arena, LOAM_F32, o->n, o->k);
    o->w[1] = allocate_tensor(arena, LOAM_BF16, o->n, o->k);
}

// Activations have the weight's dtype. The memory of the f32 tensors also serves for bf16.
static void run_op(struct loam_stream *stream, const struct operands *o, bool backward, int weight)
{
    struct loam_tensor x = o->x, y = o->y, dy = o->dy, dx = o->dx;
    x.dtype = y.dtype = dy.dtype = dx.dtype = o->w[weight].dtype;
    if (backward)
        loam_linear_backward_input(
            stream, &(struct loam_linear_backward_input_args){.dy = dy, .w.tensor = o->w[weight], .dx = dx});
    else
        loam_linear_forward(stream,
                            &(struct loam_linear_forward_args){.x = x, .w.tensor = o->w[weight], .y = y});
}

static double measure_rate(struct loam_stream *stream, const struct operands *o, bool backward, int weight)
{
    double best = 0;
    for (int turn = 0; turn < TURNS; turn++) {
        const double start = now();
        run_op(stream, o, backward, weight);
        const double rate = 2e-9 * (double)o->rows * (double)o->k * (double)o->n / (now() - start);
        if (rate > best) best = rate;
    }
    return best;
}

static enum loam_status measure(struct operands *o, struct loam_error *error)
{
    struct loam_device *device;
    struct loam_stream planning, stream;
    struct loam_arena arena;
    LOAM_TRY(loam_device_create(&device, "cpu", 1, error));
    const size_t bytes = (size_t)(2 * o->rows * (o->k + o->n) + 2 * o->n * o->k) * sizeof(float) + (1 << 20);
    LOAM_TRY(loam_device_arena_init(device, &arena, bytes, true, error));
    allocate_operands(o, &arena);
    loam_stream_init_planning(&planning, device);
    for (int i = 0; i < 4; i++)
        run_op(&planning, o, i % 2 == 1, i / 2);
    LOAM_TRY(loam_stream_init(&stream, device, planning.scratch_needed, error));
    for (int weight = 0; weight < 2; weight++) {
        fill(&o->w[weight]);
        for (int backward = 0; backward < 2; backward++) {
            struct loam_tensor input = backward == 1 ? o->dy : o->x;
            input.dtype = o->w[weight].dtype;
            fill(&input);
            printf("%s  %-8s  %6.1f GFLOP/s\n", weight == 0 ? "f32 " : "bf16",
                   backward == 1 ? "backward" : "forward", measure_rate(&stream, o, backward == 1, weight));
        }
    }
    LOAM_TRY(loam_stream_finish(&stream, error));
    loam_stream_deinit(&stream);
    loam_device_arena_deinit(device, &arena);
    loam_device_destroy(device);
    return LOAM_OK;
}

int main(int argc, char **argv)
{
    struct operands o = {.rows = 870, .k = 1024, .n = 4096};
    struct loam_error error;
    if (argc == 4) {
        o.rows = atol(argv[1]);
        o.k = atol(argv[2]);
        o.n = atol(argv[3]);
    }
    if ((argc != 1 && argc != 4) || o.rows < 1 || o.k < 1 || o.n < 1) {
        fprintf(stderr, "usage: bench_gemm [ROWS K N]\n");
        return 2;
    }
    if (measure(&o, &error) == LOAM_OK) return 0;
    fprintf(stderr, "bench_gemm: %s\n", error.message);
    return 1;
}
