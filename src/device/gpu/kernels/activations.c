// The functions inside of an MLP.
#include "device/gpu/kernels/cells.h"
#include "device/gpu/kernels/values.h"

struct value_and_slope {
    f32 value;
    f32 slope; // the derivative
};

DEVICE struct value_and_slope gelu_tanh(f32 x)
{
    const f32 root = 0.7978845608028654f; // sqrt(2 / pi)
    const f32 inner = tanhf(root * x * (1.0f + 0.044715f * x * x));
    struct value_and_slope f;
    f.value = 0.5f * x * (1.0f + inner);
    f.slope =
        0.5f * (1.0f + inner) + 0.5f * x * (1.0f - inner * inner) * root * (1.0f + 3.0f * 0.044715f * x * x);
    return f;
}

// x / (1 + exp(-factor x))
DEVICE struct value_and_slope scaled_silu(f32 factor, f32 x)
{
    const f32 sigmoid = 1.0f / (1.0f + expf(-factor * x));
    struct value_and_slope f;
    f.value = x * sigmoid;
    f.slope = sigmoid * (1.0f + factor * x * (1.0f - sigmoid));
    return f;
}

DEVICE struct value_and_slope gelu(f32 x)
{
    const f32 below = 0.5f * erfcf(-x * 0.7071067811865476f);      // 1 / sqrt(2)
    const f32 density = 0.3989422804014327f * expf(-0.5f * x * x); // 1 / sqrt(2 pi)
    struct value_and_slope f;
    f.value = x * below;
    f.slope = below + x * density;
    return f;
}

// relu(x)^power; a NaN stays one.
DEVICE struct value_and_slope relu(f32 x, i32 power)
{
    const f32 positive = x <= 0.0f ? 0.0f : x;
    struct value_and_slope f;
    f.value = power == 1 ? positive : positive * positive;
    f.slope = power == 1 ? (x <= 0.0f ? 0.0f : 1.0f) : 2.0f * positive;
    return f;
}

DEVICE struct value_and_slope activate(i32 kind, f32 x)
{
    if (kind == ACTIVATION_GELU_TANH) return gelu_tanh(x);
    if (kind == ACTIVATION_SILU) return scaled_silu(1.0f, x);
    if (kind == ACTIVATION_GELU) return gelu(x);
    if (kind == ACTIVATION_RELU) return relu(x, 1);
    if (kind == ACTIVATION_RELU2) return relu(x, 2);
    return scaled_silu(1.702f, x);
}

KERNEL(activation)(BUFFER(x), BUFFER(dy), BUFFER(y), PARAMS(activation))
{
    READ(void, x);
    READ(void, dy);
    WRITE(void, y);
    const struct cell at = this_cell(p.cells);
    if (at.column >= p.cells.columns) return;
    f32 values[RUN], gradients[RUN];
    load_run(values, x, p.dtype, at.column, p.cells.run);
    load_run(gradients, dy, p.dtype, at.column, p.cells.run);
    UNROLL_FOR (i32 e = 0; e < RUN; e++)
        if (e < p.cells.run) {
            const struct value_and_slope f = activate(p.kind, values[e]);
            values[e] = dy != 0 ? gradients[e] * f.slope : f.value;
        }
    store_run(y, p.dtype, at.column, values, p.cells.run);
}

KERNEL(gated_forward)(BUFFER(gate), BUFFER(up), BUFFER(y), PARAMS(gated_forward))
{
    READ(void, gate);
    READ(void, up);
    WRITE(void, y);
    const struct cell at = this_cell(p.cells);
    if (at.column >= p.cells.columns) return;
    f32 gates[RUN], ups[RUN];
    load_run(gates, gate, p.dtype, at.row * p.gate_row + at.column, p.cells.run);
    load_run(ups, up, p.dtype, at.row * p.up_row + at.column, p.cells.run);
    UNROLL_FOR (i32 e = 0; e < RUN; e++)
        if (e < p.cells.run) ups[e] *= activate(p.kind, gates[e]).value;
    store_run(y, p.dtype, at.row * p.y_row + at.column, ups, p.cells.run);
}

KERNEL(gated_backward)
(BUFFER(gate), BUFFER(up), BUFFER(dy), BUFFER(dgate), BUFFER(dup), PARAMS(gated_backward))
{
    READ(void, gate);
    READ(void, up);
    READ(void, dy);
    WRITE(void, dgate);
    WRITE(void, dup);
    const struct cell at = this_cell(p.cells);
    if (at.column >= p.cells.columns) return;
    f32 gates[RUN], ups[RUN], gradients[RUN]; // all read first: dgate may be dy
    load_run(gates, gate, p.dtype, at.row * p.gate_row + at.column, p.cells.run);
    load_run(ups, up, p.dtype, at.row * p.up_row + at.column, p.cells.run);
    load_run(gradients, dy, p.dtype, at.row * p.dy_row + at.column, p.cells.run);
    UNROLL_FOR (i32 e = 0; e < RUN; e++)
        if (e < p.cells.run) {
            const struct value_and_slope f = activate(p.kind, gates[e]);
            gates[e] = gradients[e] * ups[e] * f.slope;
            ups[e] = gradients[e] * f.value;
        }
    store_run(dgate, p.dtype, at.row * p.dgate_row + at.column, gates, p.cells.run);
    store_run(dup, p.dtype, at.row * p.dup_row + at.column, ups, p.cells.run);
}
