// The loss of each row, of logits in chunks of the vocabulary. A row's state is three f32: the largest logit so far,
// the sum of exp(logit - largest) without the target, and the target's logit.
#include "device/gpu/kernels/cells.h"
#include "device/gpu/kernels/sums.h"

// cap tanh(factor x / cap), or factor x without a cap
DEVICE f32 cap_logit(f32 x, f32 factor, f32 cap)
{
    return cap > 0.0f ? cap * tanhf(factor * x / cap) : factor * x;
}

KERNEL(loss_begin)(BUFFER(states), PARAMS(loss_begin))
{
    WRITE(f32, states);
    const i64 i = (i64)BLOCK_X * BLOCK_THREADS + THREAD;
    if (i < p.columns * LOSS_STATE) states[i] = i % LOSS_STATE == 1 ? 0.0f : -INFINITE;
}

// A block takes the chunk of one row into its state.
KERNEL(loss_chunk)(BUFFER(x), BUFFER(targets), BUFFER(states), PARAMS(loss_chunk))
{
    READ(f32, x);
    READ(i32, targets);
    WRITE(f32, states);
    SHARED(f32, sums, 0);
    const i64 row = (i64)BLOCK_X * p.x_row, target = targets[BLOCK_X] - p.first;
    const f32 before = states[(i64)BLOCK_X * LOSS_STATE];
    f32 largest = before, others = 0.0f;
    for (i64 v = THREAD; v < p.columns; v += BLOCK_THREADS)
        largest = fmaxf(largest, cap_logit(x[row + v], p.logit_factor, p.logit_softcap));
    largest = block_max(largest, sums);
    for (i64 v = THREAD; v < p.columns; v += BLOCK_THREADS)
        if (v != target) others += expf(cap_logit(x[row + v], p.logit_factor, p.logit_softcap) - largest);
    others = block_sum(others, sums);
    if (THREAD != 0) return;
    GLOBAL f32 *const state = states + (i64)BLOCK_X * LOSS_STATE;
    state[0] = largest;
    state[1] = state[1] * (before == largest ? 1.0f : expf(before - largest)) + others;
    if (target >= 0 && target < p.columns)
        state[2] = cap_logit(x[row + target], p.logit_factor, p.logit_softcap);
}

// losses[t] of `columns` rows, and 0 of rows without a target
KERNEL(loss_end)(BUFFER(states), BUFFER(targets), BUFFER(losses), PARAMS(loss_end))
{
    READ(f32, states);
    READ(i32, targets);
    WRITE(f32, losses);
    const i64 t = (i64)BLOCK_X * BLOCK_THREADS + THREAD;
    if (t >= p.columns) return;
    const f32 own = states[t * LOSS_STATE + 2] - states[t * LOSS_STATE], others = states[t * LOSS_STATE + 1];
    const f32 loss = own == 0.0f ? log1pf(others) : logf(others + expf(own)) - own;
    losses[t] = targets[t] >= 0 ? loss : 0.0f;
}

// x[t, v] = factors[t] (p - onehot(target)) times the slope of the logit, in place: a number of 16 bits takes half of its
// row, of which all threads have read a part before any writes to it.
KERNEL(loss_gradient)(BUFFER(x), BUFFER(targets), BUFFER(factors), BUFFER(states), PARAMS(loss_gradient))
{
    WRITE(f32, x);
    READ(i32, targets);
    READ(f32, factors);
    READ(f32, states);
    const i64 row = (i64)BLOCK_X * p.x_row, target = targets[BLOCK_X] - p.first;
    const f32 largest = states[(i64)BLOCK_X * LOSS_STATE], others = states[(i64)BLOCK_X * LOSS_STATE + 1];
    const f32 total = others + expf(states[(i64)BLOCK_X * LOSS_STATE + 2] - largest);
    const f32 factor = targets[BLOCK_X] >= 0 ? factors[BLOCK_X] : 0.0f;
    const i64 to = p.gradient_dtype == DTYPE_F32 ? row : 2 * row;
    for (i64 first = 0; first < p.columns; first += BLOCK_THREADS) {
        const i64 v = first + THREAD;
        f32 gradient = 0.0f;
        if (v < p.columns && factor != 0.0f) {
            const f32 logit = cap_logit(x[row + v], p.logit_factor, p.logit_softcap);
            const f32 share = p.logit_softcap > 0.0f ? logit / p.logit_softcap : 0.0f;
            const f32 probability = v == target ? -others / total : expf(logit - largest) / total;
            gradient = factor * probability * p.logit_factor * (1.0f - share * share);
        }
        BARRIER();
        if (v < p.columns) store(x, p.gradient_dtype, to + v, gradient);
    }
}

KERNEL(cap_logits)(BUFFER(x), PARAMS(cap_logits))
{
    WRITE(f32, x);
    const i64 i = this_cell(p.cells).column;
    if (i < p.cells.columns) x[i] = cap_logit(x[i], p.factor, p.softcap);
}
