// Activations, plain and gated: y = x s(u), where s is the logistic function and u = x for SiLU;
// 0.5 (1 + tanh(v)) = s(2 v) makes the tanh-GELU the same with u = 2 v.
#include "device/cpu/simd/level.h"
#include "device/cpu/simd/vector.h"

enum { CHUNK = 1024 }; // elements of a task: their f32 copies stay in the first cache

struct activation {
    vec value;      // f(x)
    vec derivative; // f'(x)
};

INLINE struct activation activate(vec x, bool gelu)
{
    const float two_root = 2 * 0.79788456f, cubic = 0.044715f; // 2 sqrt(2 / pi)
    const vec square = x * x;
    const vec u = gelu ? x * (square * (two_root * cubic) + two_root) : x;
    const vec slope = gelu ? square * (3 * two_root * cubic) + two_root : splat(1); // du/dx
    const vec e = exp_vec(-u), s = 1.0f / (1.0f + e);
    return (struct activation){x * s, s + x * slope * (e * s) * s};
}

// Elements [first, first + count) of an array in f32: as they are, or widened into `buffer`.
INLINE const float *read_chunk(const struct loam_tensor *tensor, int64_t first, int64_t count, float *buffer)
{
    if (tensor->dtype == LOAM_F32) return (const float *)tensor->data + first;
    widen(buffer, (const uint16_t *)tensor->data + first, count, true);
    return buffer;
}

// Where elements are to be written in f32; write_chunk puts them into the array when that is not it.
INLINE float *chunk_target(const struct loam_tensor *tensor, int64_t first, float *buffer)
{
    return tensor->dtype == LOAM_F32 ? (float *)tensor->data + first : buffer;
}
INLINE void write_chunk(const struct loam_tensor *tensor, int64_t first, int64_t count, const float *values)
{
    if (tensor->dtype == LOAM_F32) return;
    for (int64_t i = 0; i < count; i += LANES)
        store((uint16_t *)tensor->data + first, i, count, load(values, i, count, false), true);
}

static int64_t chunk_count(int64_t first, int64_t n)
{
    return first + CHUNK < n ? CHUNK : n - first;
}

static void forward_chunk(const struct loam_activation_forward_args *args, int64_t first, int64_t count)
{
    const bool gelu = args->kind == LOAM_GELU_TANH;
    float buffer[CHUNK];
    const float *x = read_chunk(&args->x, first, count, buffer);
    float *y = chunk_target(&args->y, first, buffer);
    for (int64_t i = 0; i < count; i += LANES)
        store(y, i, count, activate(load(x, i, count, false), gelu).value, false);
    write_chunk(&args->y, first, count, y);
}

static enum loam_status activation_forward(struct loam_stream *stream,
                                           const struct loam_activation_forward_args *args)
{
    (void)stream;
    const int64_t n = loam_tensor_count(&args->x);
#pragma omp parallel for schedule(static) if (n > CHUNK)
    for (int64_t first = 0; first < n; first += CHUNK)
        forward_chunk(args, first, chunk_count(first, n));
    return LOAM_OK;
}

static void backward_chunk(const struct loam_activation_backward_args *args, int64_t first, int64_t count)
{
    const bool gelu = args->kind == LOAM_GELU_TANH;
    float x_buffer[CHUNK], dy_buffer[CHUNK];
    const float *x = read_chunk(&args->x, first, count, x_buffer);
    const float *dy = read_chunk(&args->dy, first, count, dy_buffer);
    float *dx = chunk_target(&args->dx, first, dy_buffer);
    for (int64_t i = 0; i < count; i += LANES) {
        const vec slope = activate(load(x, i, count, false), gelu).derivative;
        store(dx, i, count, load(dy, i, count, false) * slope, false);
    }
    write_chunk(&args->dx, first, count, dx);
}

static enum loam_status activation_backward(struct loam_stream *stream,
                                            const struct loam_activation_backward_args *args)
{
    (void)stream;
    const int64_t n = loam_tensor_count(&args->x);
#pragma omp parallel for schedule(static) if (n > CHUNK)
    for (int64_t first = 0; first < n; first += CHUNK)
        backward_chunk(args, first, chunk_count(first, n));
    return LOAM_OK;
}

static void gated_forward_chunk(const struct loam_gated_activation_forward_args *args, int64_t first,
                                int64_t count)
{
    const bool gelu = args->kind == LOAM_GELU_TANH;
    float gate_buffer[CHUNK], up_buffer[CHUNK];
    const float *gate = read_chunk(&args->gate, first, count, gate_buffer);
    const float *up = read_chunk(&args->up, first, count, up_buffer);
    float *y = chunk_target(&args->y, first, gate_buffer);
    for (int64_t i = 0; i < count; i += LANES) {
        const vec value = activate(load(gate, i, count, false), gelu).value;
        store(y, i, count, value * load(up, i, count, false), false);
    }
    write_chunk(&args->y, first, count, y);
}

static enum loam_status gated_activation_forward(struct loam_stream *stream,
                                                 const struct loam_gated_activation_forward_args *args)
{
    (void)stream;
    const int64_t n = loam_tensor_count(&args->gate);
#pragma omp parallel for schedule(static) if (n > CHUNK)
    for (int64_t first = 0; first < n; first += CHUNK)
        gated_forward_chunk(args, first, chunk_count(first, n));
    return LOAM_OK;
}

static void gated_backward_chunk(const struct loam_gated_activation_backward_args *args, int64_t first,
                                 int64_t count)
{
    const bool gelu = args->kind == LOAM_GELU_TANH;
    float gate_buffer[CHUNK], up_buffer[CHUNK], dy_buffer[CHUNK];
    const float *gate = read_chunk(&args->gate, first, count, gate_buffer);
    const float *up = read_chunk(&args->up, first, count, up_buffer);
    const float *dy = read_chunk(&args->dy, first, count, dy_buffer);
    float *dgate = chunk_target(&args->dgate, first, dy_buffer);
    float *dup = chunk_target(&args->dup, first, up_buffer);
    for (int64_t i = 0; i < count; i += LANES) {
        const struct activation f = activate(load(gate, i, count, false), gelu);
        const vec gradient = load(dy, i, count, false), factor = load(up, i, count, false);
        store(dgate, i, count, gradient * factor * f.derivative, false);
        store(dup, i, count, gradient * f.value, false);
    }
    write_chunk(&args->dgate, first, count, dgate);
    write_chunk(&args->dup, first, count, dup);
}

static enum loam_status gated_activation_backward(struct loam_stream *stream,
                                                  const struct loam_gated_activation_backward_args *args)
{
    (void)stream;
    const int64_t n = loam_tensor_count(&args->gate);
#pragma omp parallel for schedule(static) if (n > CHUNK)
    for (int64_t first = 0; first < n; first += CHUNK)
        gated_backward_chunk(args, first, chunk_count(first, n));
    return LOAM_OK;
}

void CPU_OVERRIDES(activation)(struct loam_op_table *ops)
{
    ops->activation_forward.run = activation_forward;
    ops->activation_backward.run = activation_backward;
    ops->gated_activation_forward.run = gated_activation_forward;
    ops->gated_activation_backward.run = gated_activation_backward;
}
