#include <math.h>

#include "device/ref/ref.h"

struct value_and_slope {
    double value;
    double slope; // the derivative
};

static struct value_and_slope gelu_tanh(double x)
{
    const double root = 0.7978845608028654; // sqrt(2 / pi)
    double inner = tanh(root * x * (1.0 + 0.044715 * x * x));
    double slope =
        0.5 * (1.0 + inner) + 0.5 * x * (1.0 - inner * inner) * root * (1.0 + 3.0 * 0.044715 * x * x);
    return (struct value_and_slope){0.5 * x * (1.0 + inner), slope};
}

static struct value_and_slope silu(double x)
{
    double sigmoid = 1.0 / (1.0 + exp(-x));
    return (struct value_and_slope){x * sigmoid, sigmoid * (1.0 + x * (1.0 - sigmoid))};
}

static struct value_and_slope gelu(double x)
{
    const double density = exp(-0.5 * x * x) / sqrt(2.0 * acos(-1.0)), below = 0.5 * erfc(-x / sqrt(2.0));
    return (struct value_and_slope){x * below, below + x * density};
}

// A NaN stays one.
static struct value_and_slope relu(double x)
{
    return x <= 0.0 ? (struct value_and_slope){0.0, 0.0} : (struct value_and_slope){x, 1.0};
}

static struct value_and_slope relu2(double x)
{
    const double positive = relu(x).value;
    return (struct value_and_slope){positive * positive, 2.0 * positive};
}

static struct value_and_slope quick_gelu(double x)
{
    const double factor = 1.702;
    const struct value_and_slope scaled = silu(factor * x);
    return (struct value_and_slope){scaled.value / factor, scaled.slope};
}

static struct value_and_slope (*const activations[LOAM_ACTIVATION_COUNT])(double x) = {
    [LOAM_GELU_TANH] = gelu_tanh, [LOAM_SILU] = silu,   [LOAM_GELU] = gelu,
    [LOAM_RELU] = relu,           [LOAM_RELU2] = relu2, [LOAM_QUICK_GELU] = quick_gelu,
};

enum loam_status loam_ref_activation_forward(struct loam_stream *stream,
                                             const struct loam_activation_forward_args *args)
{
    (void)stream;
    for (int64_t i = 0; i < loam_tensor_count(&args->x); i++) {
        ref_store(&args->y, i, activations[args->kind](ref_load(&args->x, i)).value);
    }
    return LOAM_OK;
}

enum loam_status loam_ref_activation_backward(struct loam_stream *stream,
                                              const struct loam_activation_backward_args *args)
{
    (void)stream;
    for (int64_t i = 0; i < loam_tensor_count(&args->x); i++) {
        double slope = activations[args->kind](ref_load(&args->x, i)).slope;
        ref_store(&args->dx, i, ref_load(&args->dy, i) * slope);
    }
    return LOAM_OK;
}

enum loam_status loam_ref_gated_activation_forward(struct loam_stream *stream,
                                                   const struct loam_gated_activation_forward_args *args)
{
    (void)stream;
    const struct loam_tensor *gate = &args->gate, *up = &args->up, *y = &args->y;
    for (int64_t t = 0; t < gate->shape[0]; t++) {
        for (int64_t i = 0; i < gate->shape[1]; i++) {
            double value = activations[args->kind](ref_load(gate, ref_at(gate, t, i))).value;
            ref_store(y, ref_at(y, t, i), value * ref_load(up, ref_at(up, t, i)));
        }
    }
    return LOAM_OK;
}

enum loam_status loam_ref_gated_activation_backward(struct loam_stream *stream,
                                                    const struct loam_gated_activation_backward_args *args)
{
    (void)stream;
    const struct loam_tensor *gate = &args->gate, *up = &args->up;
    for (int64_t t = 0; t < gate->shape[0]; t++) {
        for (int64_t i = 0; i < gate->shape[1]; i++) {
            struct value_and_slope f = activations[args->kind](ref_load(gate, ref_at(gate, t, i)));
            double dy = ref_load(&args->dy, ref_at(&args->dy, t, i)); // read first: dgate may be dy
            ref_store(&args->dgate, ref_at(&args->dgate, t, i),
                      dy * ref_load(up, ref_at(up, t, i)) * f.slope);
            ref_store(&args->dup, ref_at(&args->dup, t, i), dy * f.value);
        }
    }
    return LOAM_OK;
}
