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

static struct value_and_slope (*const activations[])(double x) = {
    [LOAM_GELU_TANH] = gelu_tanh,
    [LOAM_SILU] = silu,
};

static bool known(enum loam_activation kind)
{
    return (size_t)kind < sizeof activations / sizeof activations[0];
}

const char *loam_ref_activation_forward_refuses(const struct loam_device *device,
                                                const struct loam_activation_forward_args *args)
{
    (void)device;
    const struct loam_tensor *x = &args->x;
    int64_t count = loam_tensor_count(x);
    if (!known(args->kind)) return "the activation is unknown";
    if (!loam_check_activation(x)) return "x must be f32 or bf16";
    if (!loam_check_vector(x, x->dtype, count)) return "x must be contiguous";
    if (!loam_check_vector(&args->y, x->dtype, count)) return "y must be as x";
    return NULL;
}

enum loam_status loam_ref_activation_forward(struct loam_stream *stream,
                                             const struct loam_activation_forward_args *args)
{
    (void)stream;
    for (int64_t i = 0; i < loam_tensor_count(&args->x); i++) {
        ref_store(&args->y, i, activations[args->kind](ref_load(&args->x, i)).value);
    }
    return LOAM_OK;
}

const char *loam_ref_activation_backward_refuses(const struct loam_device *device,
                                                 const struct loam_activation_backward_args *args)
{
    (void)device;
    const struct loam_tensor *x = &args->x;
    int64_t count = loam_tensor_count(x);
    if (!known(args->kind)) return "the activation is unknown";
    if (!loam_check_activation(x)) return "x must be f32 or bf16";
    if (!loam_check_vector(x, x->dtype, count)) return "x must be contiguous";
    if (!loam_check_vector(&args->dy, x->dtype, count)) return "dy must be as x";
    if (!loam_check_vector(&args->dx, x->dtype, count)) return "dx must be as x";
    return NULL;
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

const char *loam_ref_gated_activation_forward_refuses(const struct loam_device *device,
                                                      const struct loam_gated_activation_forward_args *args)
{
    (void)device;
    const struct loam_tensor *gate = &args->gate;
    int64_t count = loam_tensor_count(gate);
    if (!known(args->kind)) return "the activation is unknown";
    if (!loam_check_activation(gate)) return "gate must be f32 or bf16";
    if (!loam_check_vector(gate, gate->dtype, count)) return "gate must be contiguous";
    if (!loam_check_vector(&args->up, gate->dtype, count)) return "up must be as gate";
    if (!loam_check_vector(&args->y, gate->dtype, count)) return "y must be as gate";
    return NULL;
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

const char *loam_ref_gated_activation_backward_refuses(const struct loam_device *device,
                                                       const struct loam_gated_activation_backward_args *args)
{
    (void)device;
    const struct loam_tensor *gate = &args->gate;
    int64_t count = loam_tensor_count(gate);
    if (!known(args->kind)) return "the activation is unknown";
    if (!loam_check_activation(gate)) return "gate must be f32 or bf16";
    if (!loam_check_vector(gate, gate->dtype, count)) return "gate must be contiguous";
    if (!loam_check_vector(&args->up, gate->dtype, count)) return "up must be as gate";
    if (!loam_check_vector(&args->dy, gate->dtype, count)) return "dy must be as gate";
    if (!loam_check_vector(&args->dgate, gate->dtype, count)) return "dgate must be as gate";
    if (!loam_check_vector(&args->dup, gate->dtype, count)) return "dup must be as gate";
    return NULL;
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
