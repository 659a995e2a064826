// Activations, plain and gated: y = x s(u), where s is the logistic function and u = x for SiLU;
// 0.5 (1 + tanh(v)) = s(2 v) makes the tanh-GELU the same with u = 2 v.
#include "device/cpu/kernels/vector.h"

enum { CHUNK = 4096 }; // elements of a task

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

// Each op is a loop over elements [first, last) that knows dtype and kind when it is compiled.
#define CHOOSE(span, args, first, last, bf16)                                                                \
    do {                                                                                                     \
        if ((bf16) && (args)->kind == LOAM_GELU_TANH)                                                        \
            span(args, first, last, true, true);                                                             \
        else if (bf16)                                                                                       \
            span(args, first, last, true, false);                                                            \
        else if ((args)->kind == LOAM_GELU_TANH)                                                             \
            span(args, first, last, false, true);                                                            \
        else                                                                                                 \
            span(args, first, last, false, false);                                                           \
    } while (0)

static int64_t chunk_end(int64_t first, int64_t n)
{
    return first + CHUNK < n ? first + CHUNK : n;
}

INLINE void activation_forward_span(const struct loam_activation_forward_args *args, int64_t first,
                                    int64_t last, bool bf16, bool gelu)
{
    for (int64_t i = first; i < last; i += LANES) {
        const vec value = activate(load(args->x.data, i, last, bf16), gelu).value;
        store(args->y.data, i, last, value, bf16);
    }
}

static enum loam_status activation_forward(struct loam_stream *stream,
                                           const struct loam_activation_forward_args *args)
{
    const int64_t n = loam_tensor_count(&args->x);
    const bool bf16 = args->x.dtype == LOAM_BF16;
#pragma omp parallel for schedule(static) if (n > CHUNK) num_threads(cpu_threads(stream))
    for (int64_t first = 0; first < n; first += CHUNK)
        CHOOSE(activation_forward_span, args, first, chunk_end(first, n), bf16);
    return LOAM_OK;
}

INLINE void activation_backward_span(const struct loam_activation_backward_args *args, int64_t first,
                                     int64_t last, bool bf16, bool gelu)
{
    for (int64_t i = first; i < last; i += LANES) {
        const vec slope = activate(load(args->x.data, i, last, bf16), gelu).derivative;
        store(args->dx.data, i, last, load(args->dy.data, i, last, bf16) * slope, bf16);
    }
}

static enum loam_status activation_backward(struct loam_stream *stream,
                                            const struct loam_activation_backward_args *args)
{
    const int64_t n = loam_tensor_count(&args->x);
    const bool bf16 = args->x.dtype == LOAM_BF16;
#pragma omp parallel for schedule(static) if (n > CHUNK) num_threads(cpu_threads(stream))
    for (int64_t first = 0; first < n; first += CHUNK)
        CHOOSE(activation_backward_span, args, first, chunk_end(first, n), bf16);
    return LOAM_OK;
}

INLINE void gated_activation_forward_span(const struct loam_gated_activation_forward_args *args,
                                          int64_t first, int64_t last, bool bf16, bool gelu)
{
    for (int64_t i = first; i < last; i += LANES) {
        const vec value = activate(load(args->gate.data, i, last, bf16), gelu).value;
        store(args->y.data, i, last, value * load(args->up.data, i, last, bf16), bf16);
    }
}

static enum loam_status gated_activation_forward(struct loam_stream *stream,
                                                 const struct loam_gated_activation_forward_args *args)
{
    const int64_t n = loam_tensor_count(&args->gate);
    const bool bf16 = args->gate.dtype == LOAM_BF16;
#pragma omp parallel for schedule(static) if (n > CHUNK) num_threads(cpu_threads(stream))
    for (int64_t first = 0; first < n; first += CHUNK)
        CHOOSE(gated_activation_forward_span, args, first, chunk_end(first, n), bf16);
    return LOAM_OK;
}

INLINE void gated_activation_backward_span(const struct loam_gated_activation_backward_args *args,
                                           int64_t first, int64_t last, bool bf16, bool gelu)
{
    for (int64_t i = first; i < last; i += LANES) {
        const struct activation f = activate(load(args->gate.data, i, last, bf16), gelu);
        const vec gradient = load(args->dy.data, i, last, bf16), factor = load(args->up.data, i, last, bf16);
        store(args->dgate.data, i, last, gradient * factor * f.derivative, bf16);
        store(args->dup.data, i, last, gradient * f.value, bf16);
    }
}

static enum loam_status gated_activation_backward(struct loam_stream *stream,
                                                  const struct loam_gated_activation_backward_args *args)
{
    const int64_t n = loam_tensor_count(&args->gate);
    const bool bf16 = args->gate.dtype == LOAM_BF16;
#pragma omp parallel for schedule(static) if (n > CHUNK) num_threads(cpu_threads(stream))
    for (int64_t first = 0; first < n; first += CHUNK)
        CHOOSE(gated_activation_backward_span, args, first, chunk_end(first, n), bf16);
    return LOAM_OK;
}

void CPU_NAME(activation)(struct loam_op_table *ops)
{
    ops->activation_forward.run = activation_forward;
    ops->activation_backward.run = activation_backward;
    ops->gated_activation_forward.run = gated_activation_forward;
    ops->gated_activation_backward.run = gated_activation_backward;
}
