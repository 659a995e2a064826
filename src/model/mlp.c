// The body of an MLP branch: down(f(up n)), or down(f(gate n) up n) where the layer has a gate.
#include "model/layer.h"

static const struct loam_linear *linear_of(const struct loam_branch_run *run, enum loam_linear_slot slot)
{
    return &run->layer->linears[slot];
}

// Gate and up are one linear.
static bool is_fused(const struct loam_branch_run *run)
{
    return linear_of(run, LOAM_GATE_UP)->weight != NULL;
}

static bool is_gated(const struct loam_branch_run *run)
{
    return is_fused(run) || linear_of(run, LOAM_GATE)->weight != NULL;
}

// Columns [first, first + F) of rows [T, 2F].
static struct loam_tensor half_of(struct loam_tensor rows, int64_t first)
{
    rows.shape[1] /= 2;
    if (rows.data != NULL) rows.data = (char *)rows.data + (size_t)first * loam_dtype_size(rows.dtype);
    return rows;
}

static void allocate(const struct loam_branch_run *run)
{
    const int64_t inner = run->pass->model->config.inner;
    struct loam_branch_state *state = run->state;
    if (is_fused(run)) {
        state->both = loam_pass_rows(run->pass, 2 * inner);
        state->gate = half_of(state->both, 0);
        state->pre = half_of(state->both, inner);
        return;
    }
    state->pre = loam_pass_rows(run->pass, inner);
    if (is_gated(run)) state->gate = loam_pass_rows(run->pass, inner);
}

// Adds a linear to the outputs where the layer has it.
static void add_output(const struct loam_branch_run *run, enum loam_linear_slot slot, struct loam_tensor y,
                       struct loam_linear_output outputs[LOAM_LINEARS_MOST], int *count)
{
    if (linear_of(run, slot)->weight != NULL)
        outputs[(*count)++] = (struct loam_linear_output){linear_of(run, slot), run->layer_state->t[slot], y};
}

static void project(const struct loam_branch_run *run, struct loam_tensor n)
{
    struct loam_linear_output outputs[LOAM_LINEARS_MOST];
    int count = 0;
    add_output(run, LOAM_GATE_UP, run->state->both, outputs, &count);
    add_output(run, LOAM_UP, run->state->pre, outputs, &count);
    add_output(run, LOAM_GATE, run->state->gate, outputs, &count);
    loam_linears_run(run->pass, n, outputs, count);
}

// y [T, F] = f(pre), or f(gate) pre.
static void activate(const struct loam_branch_run *run, struct loam_tensor y)
{
    const enum loam_activation kind = run->pass->model->config.activation;
    const struct loam_branch_state *state = run->state;
    if (is_gated(run))
        loam_gated_activation_forward(run->pass->stream,
                                      &(struct loam_gated_activation_forward_args){
                                          .kind = kind, .gate = state->gate, .up = state->pre, .y = y});
    else
        loam_activation_forward(
            run->pass->stream, &(struct loam_activation_forward_args){.kind = kind, .x = state->pre, .y = y});
}

static struct loam_tensor source(const struct loam_branch_run *run)
{
    const struct loam_tensor y = loam_pass_rows(run->pass, run->pass->model->config.inner);
    activate(run, y);
    return y;
}

static void activate_again(const struct loam_branch_run *run, struct loam_tensor y)
{
    run->pass->stream->recomputing = true;
    activate(run, y);
    run->pass->stream->recomputing = false;
}

static bool reads_input(const struct loam_branch_run *run, enum loam_linear_slot slot)
{
    return loam_linear_reads_input(run->pass->decoder, linear_of(run, slot));
}

// dact [T, F] is the gradient of the activation, and `inner` [T, F] memory for the gradient of a second input.
// dgate = dact up f'(gate), in dact; dup = dact f(gate), in `inner`; both are halves of one tensor [T, 2F]
// where gate and up are one linear. Without a gate dact becomes the gradient of what it reads.
static void project_backward(const struct loam_branch_run *run, struct loam_tensor dact,
                             struct loam_tensor inner)
{
    struct loam_pass *pass = run->pass;
    const struct loam_branch_state *state = run->state;
    const enum loam_activation kind = pass->model->config.activation;
    const bool wanted =
        reads_input(run, LOAM_UP) || reads_input(run, LOAM_GATE) || reads_input(run, LOAM_GATE_UP);
    const struct loam_branch_input input = loam_branch_input_open(run, wanted);
    struct loam_tensor dboth = {0}, dgate = dact, dup = inner;
    struct loam_linear_output outputs[LOAM_LINEARS_MOST];
    int count = 0;
    if (is_fused(run)) {
        dboth = loam_pass_rows(pass, 2 * dact.shape[1]);
        dgate = half_of(dboth, 0);
        dup = half_of(dboth, dact.shape[1]);
    }
    if (is_gated(run))
        loam_gated_activation_backward(
            pass->stream,
            &(struct loam_gated_activation_backward_args){
                .kind = kind, .gate = state->gate, .up = state->pre, .dy = dact, .dgate = dgate, .dup = dup});
    else
        loam_activation_backward(pass->stream, &(struct loam_activation_backward_args){
                                                   .kind = kind, .x = state->pre, .dy = dact, .dx = dact});
    add_output(run, LOAM_GATE_UP, dboth, outputs, &count);
    add_output(run, LOAM_GATE, dgate, outputs, &count);
    add_output(run, LOAM_UP, is_gated(run) ? dup : dact, outputs, &count);
    loam_linears_run_backward(pass, input.n, outputs, count, input.dn, input.accumulate);
    loam_branch_input_close(run, &input);
}

// dact = dy W_down, dy [T, H]; then through the activation and the linears that it reads.
static void backward(const struct loam_branch_run *run, struct loam_tensor dy)
{
    struct loam_pass *pass = run->pass;
    const struct loam_decoder *decoder = pass->decoder;
    const struct loam_linear *down = linear_of(run, LOAM_DOWN);
    const struct loam_tensor none = {0};
    const int64_t columns = pass->model->config.inner;
    bool through = run->through_input;
    for (int i = 0; i < loam_mlp_body.inner_count; i++)
        through = through || loam_linear_trained(decoder, linear_of(run, loam_mlp_body.inner[i]));
    // Holds the activation for the gradients of `down`; later, with a gate, the gradient of `up`'s output.
    const bool reads = loam_linear_reads_input(decoder, down);
    const bool second = is_gated(run) && !is_fused(run);
    const struct loam_tensor inner = reads || second ? loam_pass_rows(pass, columns) : none;
    if (reads) activate_again(run, inner);
    const struct loam_tensor dact = through ? loam_pass_rows(pass, columns) : none;
    loam_linear_run_backward(pass, down, inner, run->layer_state->t[LOAM_DOWN], dy, dact, false);
    if (through) project_backward(run, dact, inner);
}

const struct loam_body_table loam_mlp_body = {.inner = {LOAM_GATE, LOAM_UP, LOAM_GATE_UP},
                                              .inner_count = 3,
                                              .output = LOAM_DOWN,
                                              .allocate = allocate,
                                              .project = project,
                                              .source = source,
                                              .backward = backward};
