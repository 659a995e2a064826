// Activations, plain and gated. Most are x s(u), where s is the logistic function: u = x for SiLU and 1.702 x
// for quick GELU; 0.5 (1 + tanh(v)) = s(2 v) makes the tanh-GELU the same with u = 2 v.
#include "device/cpu/kernels/spans.h"

struct activation {
    vec value;      // f(x)
    vec derivative; // f'(x)
};

// x s(u) with slope = du/dx
INLINE struct activation activate_logistic(vec x, vec u, vec slope)
{
    const vec e = exp_vec(-u), s = 1.0f / (1.0f + e);
    return (struct activation){x * s, s + x * slope * (e * s) * s};
}

INLINE struct activation activate_gelu_tanh(vec x)
{
    const float two_root = 2 * 0.79788456f, cubic = 0.044715f; // 2 sqrt(2 / pi)
    const vec square = x * x;
    return activate_logistic(x, x * (square * (two_root * cubic) + two_root),
                             square * (3 * two_root * cubic) + two_root);
}

// x P(x) with the normal distribution P. Its tail P(-a) is exp(-a^2 / 2) times a polynomial in
// t = 1 / (1 + 0.35 a), fitted for a in [0, 14], where its relative error is 3.2e-8 at most.
INLINE struct activation activate_gelu(vec x)
{
    const vec a = (vec)((vec_int)x & 0x7FFFFFFF), t = 1.0f / (1.0f + 0.35f * a);
    vec p = t * -0.0291461051f + 0.143972516f;
    p = p * t - 0.255715877f;
    p = p * t + 0.159175932f;
    p = p * t - 0.0231109820f;
    p = p * t + 0.105508454f;
    p = p * t + 0.119832762f;
    p = p * t + 0.139861882f;
    p = p * t + 0.139621407f;
    const vec e = exp_vec(x * x * -0.5f), tail = e * (p * t);
    const vec below = select_vec(x > 0, 1.0f - tail, tail);
    return (struct activation){x * below, below + x * (e * 0.398942280f)}; // 1 / sqrt(2 pi)
}

// max(x, 0), or its square; a NaN stays one.
INLINE struct activation activate_relu(vec x, bool squared)
{
    const vec_int is_negative = x <= 0;
    const vec positive = select_vec(is_negative, splat(0), x);
    if (squared) return (struct activation){positive * positive, positive * 2.0f};
    return (struct activation){positive, select_vec(is_negative, splat(0), splat(1))};
}

INLINE struct activation activate(vec x, enum loam_activation kind)
{
    if (kind == LOAM_GELU_TANH) return activate_gelu_tanh(x);
    if (kind == LOAM_GELU) return activate_gelu(x);
    if (kind == LOAM_RELU || kind == LOAM_RELU2) return activate_relu(x, kind == LOAM_RELU2);
    if (kind == LOAM_QUICK_GELU) return activate_logistic(x, x * 1.702f, splat(1.702f));
    return activate_logistic(x, x, splat(1));
}

// Each op is a loop over a span that knows dtype and kind when it is compiled.
#define OF_KIND(op_span, args, span, constant)                                                               \
    case constant:                                                                                           \
        if (bf16)                                                                                            \
            op_span(args, span, true, constant);                                                             \
        else                                                                                                 \
            op_span(args, span, false, constant);                                                            \
        break;
#define CHOOSE(op_span, args, span, bf16)                                                                    \
    switch ((args)->kind) {                                                                                  \
        OF_KIND(op_span, args, span, LOAM_GELU_TANH)                                                         \
        OF_KIND(op_span, args, span, LOAM_SILU)                                                              \
        OF_KIND(op_span, args, span, LOAM_GELU)                                                              \
        OF_KIND(op_span, args, span, LOAM_RELU)                                                              \
        OF_KIND(op_span, args, span, LOAM_RELU2)                                                             \
        OF_KIND(op_span, args, span, LOAM_QUICK_GELU)                                                        \
    case LOAM_ACTIVATION_COUNT:                                                                              \
        break;                                                                                               \
    }

static bool has_gaps(const struct loam_tensor *a, const struct loam_tensor *b, const struct loam_tensor *c)
{
    return !loam_tensor_contiguous(a) || !loam_tensor_contiguous(b) || !loam_tensor_contiguous(c);
}

INLINE void activation_forward_span(const struct loam_activation_forward_args *args, const struct span *span,
                                    bool bf16, enum loam_activation kind)
{
    for (int64_t i = span->first; i < span->last; i += LANES) {
        const vec value = activate(load(args->x.data, i, span->last, bf16), kind).value;
        store(args->y.data, i, span->last, value, bf16);
    }
}

static enum loam_status activation_forward(struct loam_stream *stream,
                                           const struct loam_activation_forward_args *args)
{
    const struct spans spans = cut_spans(1, loam_tensor_count(&args->x), true);
    const bool bf16 = args->x.dtype == LOAM_BF16;
#pragma omp parallel for schedule(static) if (spans.count > 1) num_threads(cpu_threads(stream))
    for (int64_t i = 0; i < spans.count; i++) {
        const struct span span = span_at(&spans, i);
        CHOOSE(activation_forward_span, args, &span, bf16);
    }
    return LOAM_OK;
}

INLINE void activation_backward_span(const struct loam_activation_backward_args *args,
                                     const struct span *span, bool bf16, enum loam_activation kind)
{
    for (int64_t i = span->first; i < span->last; i += LANES) {
        const vec slope = activate(load(args->x.data, i, span->last, bf16), kind).derivative;
        store(args->dx.data, i, span->last, load(args->dy.data, i, span->last, bf16) * slope, bf16);
    }
}

static enum loam_status activation_backward(struct loam_stream *stream,
                                            const struct loam_activation_backward_args *args)
{
    const struct spans spans = cut_spans(1, loam_tensor_count(&args->x), true);
    const bool bf16 = args->x.dtype == LOAM_BF16;
#pragma omp parallel for schedule(static) if (spans.count > 1) num_threads(cpu_threads(stream))
    for (int64_t i = 0; i < spans.count; i++) {
        const struct span span = span_at(&spans, i);
        CHOOSE(activation_backward_span, args, &span, bf16);
    }
    return LOAM_OK;
}

INLINE void gated_activation_forward_span(const struct loam_gated_activation_forward_args *args,
                                          const struct span *span, bool bf16, enum loam_activation kind)
{
    const void *gate = cpu_row(&args->gate, span->row), *up = cpu_row(&args->up, span->row);
    void *y = cpu_row(&args->y, span->row);
    for (int64_t i = span->first; i < span->last; i += LANES) {
        const vec value = activate(load(gate, i, span->last, bf16), kind).value;
        store(y, i, span->last, value * load(up, i, span->last, bf16), bf16);
    }
}

static enum loam_status gated_activation_forward(struct loam_stream *stream,
                                                 const struct loam_gated_activation_forward_args *args)
{
    const struct loam_tensor *gate = &args->gate;
    const struct spans spans =
        cut_spans(gate->shape[0], gate->shape[1], !has_gaps(gate, &args->up, &args->y));
    const bool bf16 = gate->dtype == LOAM_BF16;
#pragma omp parallel for schedule(static) if (spans.count > 1) num_threads(cpu_threads(stream))
    for (int64_t i = 0; i < spans.count; i++) {
        const struct span span = span_at(&spans, i);
        CHOOSE(gated_activation_forward_span, args, &span, bf16);
    }
    return LOAM_OK;
}

INLINE void gated_activation_backward_span(const struct loam_gated_activation_backward_args *args,
                                           const struct span *span, bool bf16, enum loam_activation kind)
{
    const void *gate = cpu_row(&args->gate, span->row), *up = cpu_row(&args->up, span->row);
    const void *dy = cpu_row(&args->dy, span->row);
    void *dgate = cpu_row(&args->dgate, span->row), *dup = cpu_row(&args->dup, span->row);
    for (int64_t i = span->first; i < span->last; i += LANES) {
        const struct activation f = activate(load(gate, i, span->last, bf16), kind);
        const vec gradient = load(dy, i, span->last, bf16), factor = load(up, i, span->last, bf16);
        store(dgate, i, span->last, gradient * factor * f.derivative, bf16);
        store(dup, i, span->last, gradient * f.value, bf16);
    }
}

static enum loam_status gated_activation_backward(struct loam_stream *stream,
                                                  const struct loam_gated_activation_backward_args *args)
{
    const struct loam_tensor *gate = &args->gate;
    const bool gaps = has_gaps(gate, &args->up, &args->dy) || has_gaps(gate, &args->dgate, &args->dup);
    const struct spans spans = cut_spans(gate->shape[0], gate->shape[1], !gaps);
    const bool bf16 = gate->dtype == LOAM_BF16;
#pragma omp parallel for schedule(static) if (spans.count > 1) num_threads(cpu_threads(stream))
    for (int64_t i = 0; i < spans.count; i++) {
        const struct span span = span_at(&spans, i);
        CHOOSE(gated_activation_backward_span, args, &span, bf16);
    }
    return LOAM_OK;
}

void CPU_NAME(activation)(struct loam_op_table *ops)
{
    ops->activation_forward.run = activation_forward;
    ops->activation_backward.run = activation_backward;
    ops->gated_activation_forward.run = gated_activation_forward;
    ops->gated_activation_backward.run = gated_activation_backward;
}
