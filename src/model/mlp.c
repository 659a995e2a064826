// The body of an MLP branch: down(f(up n)), or down(f(gate n) up n) where the layer has a gate.
#include "model/layer.h"

static bool is_gated(const struct loam_branch_run *run)
{
    return run->layer->linears[LOAM_GATE].weight != NULL;
}

static void allocate(const struct loam_branch_run *run)
{
    const int64_t inner = run->pass->model->config.inner;
    run->state->pre = loam_pass_rows(run->pass, inner);
    if (is_gated(run)) run->state->gate = loam_pass_rows(run->pass, inner);
}

static void project(const struct loam_branch_run *run, struct loam_tensor n)
{
    const struct loam_tensor none = {0}, *t = run->layer_state->t;
    const struct loam_linear *linears = run->layer->linears;
    loam_linear_run(run->pass, &linears[LOAM_UP], n, none, t[LOAM_UP], run->state->pre);
    if (is_gated(run))
        loam_linear_run(run->pass, &linears[LOAM_GATE], n, none, t[LOAM_GATE], run->state->gate);
}

// y [T, F] = f(pre), or f(gate) pre.
static void activate(const struct loam_branch_run *run, struct loam_tensor y)
{
    const enum loam_activation kind = run->pass->model->config.family->activation;
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

// dact [T, F] is the gradient of the activation and becomes that of what it reads; `inner` [T, F] is memory
// for the gradient of a second input.
static void project_backward(const struct loam_branch_run *run, struct loam_tensor dact,
                             struct loam_tensor inner)
{
    struct loam_pass *pass = run->pass;
    const enum loam_activation kind = pass->model->config.family->activation;
    const struct loam_branch_state *state = run->state;
    const struct loam_linear *up = &run->layer->linears[LOAM_UP], *gate = &run->layer->linears[LOAM_GATE];
    const struct loam_tensor *t = run->layer_state->t;
    const bool wanted =
        loam_linear_reads_input(pass->decoder, up) || loam_linear_reads_input(pass->decoder, gate);
    const struct loam_branch_input input = loam_branch_input_open(run, wanted);
    if (is_gated(run)) {
        loam_gated_activation_backward(pass->stream,
                                       &(struct loam_gated_activation_backward_args){.kind = kind,
                                                                                     .gate = state->gate,
                                                                                     .up = state->pre,
                                                                                     .dy = dact,
                                                                                     .dgate = dact,
                                                                                     .dup = inner});
        loam_linear_run_backward(pass, gate, input.n, t[LOAM_GATE], dact, input.dn, input.accumulate);
        loam_linear_run_backward(pass, up, input.n, t[LOAM_UP], inner, input.dn, true);
    } else {
        loam_activation_backward(pass->stream, &(struct loam_activation_backward_args){
                                                   .kind = kind, .x = state->pre, .dy = dact, .dx = dact});
        loam_linear_run_backward(pass, up, input.n, t[LOAM_UP], dact, input.dn, input.accumulate);
    }
    loam_branch_input_close(run, &input);
}

// dact = dy W_down, dy [T, H]; then through the activation and the linears that it reads.
static void backward(const struct loam_branch_run *run, struct loam_tensor dy)
{
    struct loam_pass *pass = run->pass;
    const struct loam_decoder *decoder = pass->decoder;
    const struct loam_linear *linears = run->layer->linears, *down = &linears[LOAM_DOWN];
    const struct loam_tensor none = {0};
    const int64_t columns = pass->model->config.inner;
    const bool through = run->through_input || loam_linear_trained(decoder, &linears[LOAM_UP]) ||
                         loam_linear_trained(decoder, &linears[LOAM_GATE]);
    // Holds the activation for the gradients of `down`; later, with a gate, the gradient of `up`'s output.
    const bool reads = loam_linear_reads_input(decoder, down);
    const struct loam_tensor inner = reads || is_gated(run) ? loam_pass_rows(pass, columns) : none;
    if (reads) activate_again(run, inner);
    const struct loam_tensor dact = through ? loam_pass_rows(pass, columns) : none;
    loam_linear_run_backward(pass, down, inner, run->layer_state->t[LOAM_DOWN], dy, dact, false);
    if (through) project_backward(run, dact, inner);
}

const struct loam_body_table loam_mlp_body = {.inner = {LOAM_GATE, LOAM_UP},
                                              .inner_count = 2,
                                              .output = LOAM_DOWN,
                                              .allocate = allocate,
                                              .project = project,
                                              .source = source,
                                              .backward = backward};
