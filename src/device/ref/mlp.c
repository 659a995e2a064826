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

static struct value_and_slope (*const activations[LOAM_ACTIVATION_COUNT])(double x) = {
    [LOAM_GELU_TANH] = gelu_tanh,
    [LOAM_SILU] = silu,
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
    for (int64_t i = 0; i < loam_tensor_count(&args->gate); i++) {
        double value = activations[args->kind](ref_load(&args->gate, i)).value;
        ref_store(&args->y, i, value * ref_load(&args->up, i));
    }
    return LOAM_OK;
}

enum loam_status loam_ref_gated_activation_backward(struct loam_stream *stream,
                                                    const struct loam_gated_activation_backward_args *args)
{
    (void)stream;
    for (int64_t i = 0; i < loam_tensor_count(&args->gate); i++) {
        struct value_and_slope f = activations[args->kind](ref_load(&args->gate, i));
        double dy = ref_load(&args->dy, i); // read first: dgate may be dy
        ref_store(&args->dgate, i, dy * ref_load(&args->up, i) * f.slope);
        ref_store(&args->dup, i, dy * f.value);
    }
    return LOAM_OK;
}
