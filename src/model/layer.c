// The layer: forward over its branches, recomputation of what was not kept, backward in reverse.
#include "model/layer.h"

static const struct loam_body_table *const bodies[LOAM_BODY_COUNT] = {
    [LOAM_BODY_ATTENTION] = &loam_attention_body, [LOAM_BODY_MLP] = &loam_mlp_body};

static const struct loam_body_table *body_of(const struct loam_branch_run *run)
{
    return bodies[run->row->body];
}

static struct loam_branch_run run_of(struct loam_pass *pass, int64_t index, int branch)
{
    const struct loam_family *family = pass->model->config.family;
    struct loam_layer_state *state = &pass->decoder->layers[index];
    return (struct loam_branch_run){.pass = pass,
                                    .index = index,
                                    .layer = &pass->model->layers[index],
                                    .row = &family->branches[branch],
                                    .layer_state = state,
                                    .state = &state->branches[branch],
                                    .last = branch + 1 == family->branch_count};
}

static const struct loam_norm *norm_before(const struct loam_branch_run *run)
{
    return run->row->norm_before == LOAM_NO_NORM ? NULL : &run->layer->norms[run->row->norm_before];
}

static const struct loam_norm *norm_after(const struct loam_branch_run *run)
{
    return run->row->norm_after == LOAM_NO_NORM ? NULL : &run->layer->norms[run->row->norm_after];
}

static float factor_of(const struct loam_branch_run *run)
{
    return loam_config_branch_factor(&run->pass->model->config, run->row);
}

// ---- properties of branches and levels ----

int loam_family_drop_branch(const struct loam_family *family)
{
    for (int b = family->branch_count - 1; b >= 0 && !loam_family_is_parallel(family); b--)
        if (family->branches[b].body == LOAM_BODY_ATTENTION) return b;
    return -1;
}

static bool shares_norm(const struct loam_family *family, const struct loam_branch *row)
{
    return row->reads_layer_input && row->norm_before != LOAM_NO_NORM &&
           row->norm_before == family->branches[0].norm_before;
}

bool loam_family_shares_norm(const struct loam_family *family)
{
    for (int b = 1; b < family->branch_count; b++)
        if (shares_norm(family, &family->branches[b])) return true;
    return false;
}

static bool layer_drops_rows(const struct loam_pass *pass, int64_t index)
{
    return pass->kept.rows.shape[0] > 0 && index == pass->model->config.layers - 1;
}

bool loam_branch_drops_rows(const struct loam_pass *pass, int64_t index, const struct loam_branch *row)
{
    const struct loam_family *family = pass->model->config.family;
    return layer_drops_rows(pass, index) && row == &family->branches[loam_family_drop_branch(family)];
}

// Rows of the stream after a branch.
static int64_t rows_after(const struct loam_pass *pass, int64_t index, int branch)
{
    const bool dropped =
        layer_drops_rows(pass, index) && branch >= loam_family_drop_branch(pass->model->config.family);
    return dropped ? pass->kept.rows.shape[0] : pass->ids.shape[0];
}

// What a layer keeps in this pass. The top layer's backward comes right after its forward: it keeps all.
static enum loam_checkpointing level_of(const struct loam_pass *pass, int64_t index)
{
    const bool top = index == pass->model->config.layers - 1;
    return top ? LOAM_CHECKPOINT_NONE : pass->decoder->limits.checkpointing;
}

static bool keeps_inner(enum loam_checkpointing level, const struct loam_branch *row)
{
    return level == LOAM_CHECKPOINT_NONE ||
           (level == LOAM_CHECKPOINT_MLP && row->body == LOAM_BODY_ATTENTION);
}

// ---- forward ----

// norm(in) [T, H], in memory from the arena, or in the pass where the layer's branches share it: then it is computed
// by the first that needs it.
static struct loam_tensor normalise_input(const struct loam_branch_run *run, const struct loam_norm *norm)
{
    struct loam_pass *pass = run->pass;
    const bool shared = pass->normed.shape[0] > 0 && shares_norm(pass->model->config.family, run->row);
    if (shared && pass->normed_layer == run->index) return pass->normed;
    const struct loam_tensor n = shared ? pass->normed : loam_pass_rows(pass, pass->model->config.hidden);
    if (shared) pass->normed_layer = run->index;
    loam_decoder_norm(pass, norm, run->state->in, run->state->before, n);
    return n;
}

// The statistics of the norm before the body: of branches that share the norm, those of the first.
static struct loam_norm_stats allocate_stats(const struct loam_branch_run *run, const struct loam_norm *norm)
{
    const struct loam_branch_state *first = &run->layer_state->branches[0];
    if (run->state != first && shares_norm(run->pass->model->config.family, run->row)) return first->before;
    run->pass->normed_layer = -1; // new statistics have to be filled
    return loam_pass_norm_stats(run->pass, norm, run->pass->tokens);
}

// The part of a branch that a backward may run again: from what it reads to what its output linear reads. The
// last output linear of a layer is never run again, so allocate_streams gives memory to its x AT.
static void run_inner(const struct loam_branch_run *run)
{
    struct loam_pass *pass = run->pass;
    const struct loam_body_table *body = body_of(run);
    const struct loam_norm *norm = norm_before(run);
    struct loam_branch_state *state = run->state;
    struct loam_tensor n = state->in, *t = run->layer_state->t;
    if (norm != NULL) state->before = allocate_stats(run, norm);
    for (int i = 0; i < body->inner_count; i++)
        t[body->inner[i]] = loam_linear_updates(pass, &run->layer->linears[body->inner[i]]);
    if (!run->last) t[body->output] = loam_linear_updates(pass, &run->layer->linears[body->output]);
    body->allocate(run);
    const size_t mark = loam_arena_mark(pass->arena);
    if (norm != NULL) n = normalise_input(run, norm);
    body->project(run, n);
    loam_arena_release(pass->arena, mark);
    if (body->mix != NULL) body->mix(run);
}

static void run_output_linear(const struct loam_branch_run *run, struct loam_tensor residual,
                              struct loam_tensor y)
{
    const enum loam_linear_slot slot = body_of(run)->output;
    const size_t mark = loam_arena_mark(run->pass->arena);
    const struct loam_tensor source = body_of(run)->source(run);
    loam_linear_run(run->pass, &run->layer->linears[slot], source, residual, run->layer_state->t[slot], y);
    loam_arena_release(run->pass->arena, mark);
}

// norm_after(output linear) [rows, H], in memory from the arena; state->out is what the norm reads.
static struct loam_tensor run_output_norm(const struct loam_branch_run *run, const struct loam_norm *norm)
{
    const struct loam_tensor none = {0}, *out = &run->state->out;
    run_output_linear(run, none, *out);
    const struct loam_tensor y = loam_pass_rows(run->pass, out->shape[1]);
    loam_decoder_norm(run->pass, norm, *out, run->state->after, y);
    return y;
}

// after [T, H] = stream + factor norm_after(output linear); the stream may be `after` itself.
static void run_output(const struct loam_branch_run *run, struct loam_tensor stream, struct loam_tensor after)
{
    struct loam_pass *pass = run->pass;
    const struct loam_norm *norm = norm_after(run);
    const float factor = factor_of(run);
    const struct loam_tensor none = {0};
    if (norm == NULL && factor == 1.0f) {
        run_output_linear(run, stream, after);
        return;
    }
    const size_t mark = loam_arena_mark(pass->arena);
    struct loam_tensor added;
    if (norm != NULL) {
        added = run_output_norm(run, norm);
    } else {
        added = loam_pass_rows(pass, after.shape[1]);
        run_output_linear(run, none, added);
    }
    loam_add_scaled(pass->stream, &(struct loam_add_scaled_args){
                                      .x = added, .residual = stream, .factor = factor, .y = after});
    loam_arena_release(pass->arena, mark);
}

// What the norm after the body reads, and its statistics.
static void allocate_after(const struct loam_branch_run *run, int64_t rows)
{
    const struct loam_norm *norm = norm_after(run);
    if (norm == NULL) return;
    run->state->out = loam_pass_rows_of(run->pass, rows, run->pass->model->config.hidden);
    run->state->after = loam_pass_norm_stats(run->pass, norm, rows);
}

// A branch of the forward. `keep`: the input of a norm after the body stays until the backward; `keep_inner`:
// the tensors inside the branch, too.
static void run_branch(const struct loam_branch_run *run, struct loam_tensor stream, struct loam_tensor after,
                       bool keep, bool keep_inner)
{
    struct loam_pass *pass = run->pass;
    size_t begin = loam_arena_mark(pass->arena);
    run->state->in = run->row->reads_layer_input ? run->layer_state->x : stream;
    allocate_after(run, after.shape[0]);
    if (keep) begin = loam_arena_mark(pass->arena);
    run_inner(run);
    if (loam_branch_drops_rows(pass, run->index, run->row)) {
        loam_pass_take_rows(pass, pass->kept.rows, stream, after);
        stream = after;
    }
    run_output(run, stream, after);
    if (!keep_inner) loam_arena_release(pass->arena, begin);
}

// Memory of the stream after each branch. Without a backward the stream is updated in place, unless a later
// branch reads the layer's input or rows are dropped.
static void allocate_streams(struct loam_pass *pass, int64_t index, bool backward, struct loam_tensor *after)
{
    const struct loam_family *family = pass->model->config.family;
    const int64_t hidden = pass->model->config.hidden;
    const int last = family->branch_count - 1;
    const int64_t rows = rows_after(pass, index, last);
    const bool drops = rows != pass->tokens;
    struct loam_layer_state *state = &pass->decoder->layers[index];
    if (backward || drops)
        after[last] = loam_pass_rows_of(pass, rows, hidden);
    else
        after[last] = loam_family_is_parallel(family) ? pass->spare : pass->x;
    const enum loam_linear_slot output = bodies[family->branches[last].body]->output;
    loam_pass_use_kept(pass, drops);
    state->t[output] = loam_linear_updates(pass, &pass->model->layers[index].linears[output]);
    loam_pass_use_kept(pass, false);
    state->before_streams = loam_arena_mark(pass->arena);
    for (int b = 0; b < last; b++) {
        const int64_t count = rows_after(pass, index, b);
        if (backward)
            after[b] = loam_pass_rows_of(pass, count, hidden);
        else
            after[b] = count == rows ? after[last] : pass->x;
    }
}

// Tensors that stay until the layer's backward come first in the arena. Each branch gives back the others at
// its end.
void loam_layer_forward(struct loam_pass *pass, int64_t index)
{
    const struct loam_family *family = pass->model->config.family;
    struct loam_layer_state *state = &pass->decoder->layers[index];
    struct loam_tensor after[LOAM_MOST_BRANCHES], x = pass->x;
    const bool backward = pass->gradients && index >= pass->decoder->first_trained;
    const enum loam_checkpointing level = level_of(pass, index);
    const bool keep = backward && level < LOAM_CHECKPOINT_BLOCK;
    *state = (struct loam_layer_state){.mark = loam_arena_mark(pass->arena), .x = x};
    allocate_streams(pass, index, backward, after);
    for (int b = 0; b < family->branch_count; b++) {
        const struct loam_branch_run run = run_of(pass, index, b);
        const struct loam_tensor stream = b == 0 ? x : after[b - 1];
        run_branch(&run, stream, after[b], keep, backward && keeps_inner(level, run.row));
    }
    if (!keep) loam_arena_release(pass->arena, state->before_streams);
    pass->x = after[family->branch_count - 1];
    if (backward || pass->x.shape[0] != x.shape[0]) return;
    loam_arena_release(pass->arena, state->mark);
    if (pass->x.data == pass->spare.data) pass->spare = x;
}

// ---- recomputation ----

// Computes again what the forward did not keep of a branch, for its backward and for the branches after it.
static void recompute_branch(const struct loam_branch_run *run, struct loam_tensor stream,
                             struct loam_tensor *after, enum loam_checkpointing level)
{
    struct loam_pass *pass = run->pass;
    const struct loam_norm *norm = norm_after(run);
    if (level == LOAM_CHECKPOINT_BLOCK) {
        if (!run->last) *after = loam_pass_rows(pass, pass->model->config.hidden);
        run->state->in = run->row->reads_layer_input ? run->layer_state->x : stream;
        allocate_after(run, pass->tokens);
    }
    run_inner(run);
    if (level != LOAM_CHECKPOINT_BLOCK) return;
    const size_t mark = loam_arena_mark(pass->arena);
    if (!run->last)
        run_output(run, stream, *after);
    else if (norm != NULL)
        (void)run_output_norm(run, norm);
    loam_arena_release(pass->arena, mark);
}

// marks[b]: mark of the arena before the recomputed tensors of branch b.
static void recompute(struct loam_pass *pass, int64_t index, size_t marks[LOAM_MOST_BRANCHES])
{
    const enum loam_checkpointing level = level_of(pass, index);
    const int count = pass->model->config.family->branch_count;
    struct loam_tensor stream = pass->decoder->layers[index].x, after = {0};
    pass->stream->recomputing = true;
    for (int b = 0; b < count; b++, stream = after) {
        const struct loam_branch_run run = run_of(pass, index, b);
        marks[b] = loam_arena_mark(pass->arena);
        if (!keeps_inner(level, run.row)) recompute_branch(&run, stream, &after, level);
    }
    pass->stream->recomputing = false;
}

// ---- backward ----

static bool branch_trained(const struct loam_decoder *decoder, const struct loam_branch_run *run)
{
    const struct loam_body_table *body = body_of(run);
    const struct loam_norm *before = norm_before(run), *after = norm_after(run);
    bool trained = loam_linear_trained(decoder, &run->layer->linears[body->output]);
    for (int i = 0; i < body->inner_count; i++)
        trained = trained || loam_linear_trained(decoder, &run->layer->linears[body->inner[i]]);
    for (int i = 0; i < body->norm_count; i++)
        trained = trained || loam_norm_trained(decoder, &run->layer->norms[body->norms[i]]);
    return trained || (before != NULL && loam_norm_trained(decoder, before)) ||
           (after != NULL && loam_norm_trained(decoder, after));
}

bool loam_layer_trained(const struct loam_decoder *decoder, const struct loam_layer *layer)
{
    for (int slot = 0; slot < LOAM_LINEAR_SLOTS; slot++)
        if (loam_linear_trained(decoder, &layer->linears[slot])) return true;
    for (int slot = 0; slot < LOAM_NORM_SLOTS; slot++)
        if (loam_norm_trained(decoder, &layer->norms[slot])) return true;
    return false;
}

// The norm's output, computed again from its input: the gradients of an adapted linear read it.
static struct loam_tensor norm_again(const struct loam_branch_run *run, const struct loam_norm *norm)
{
    struct loam_pass *pass = run->pass;
    pass->stream->recomputing = true;
    const struct loam_tensor y = normalise_input(run, norm);
    pass->stream->recomputing = false;
    return y;
}

struct loam_branch_input loam_branch_input_open(const struct loam_branch_run *run, bool wanted)
{
    const struct loam_norm *norm = norm_before(run);
    struct loam_branch_input input = {0};
    if (norm == NULL) {
        input.n = run->state->in;
        if (run->through_input) input.dn = run->target;
        input.accumulate = true;
        return input;
    }
    if (run->through_input) input.dn = loam_pass_rows(run->pass, run->pass->model->config.hidden);
    if (wanted) input.n = norm_again(run, norm);
    return input;
}

void loam_branch_input_close(const struct loam_branch_run *run, const struct loam_branch_input *input)
{
    const struct loam_norm *norm = norm_before(run);
    if (norm != NULL && input->dn.data != NULL)
        loam_decoder_norm_backward(run->pass, norm, input->dn, run->state->in, run->state->before,
                                   run->target, true);
}

// after = stream + factor norm_after(y), y [T, H] of the output linear. From dafter [T, H]:
// dy = factor dafter, through the backward of norm_after where there is one.
static struct loam_tensor output_gradient(const struct loam_branch_run *run, struct loam_tensor dafter)
{
    struct loam_pass *pass = run->pass;
    const struct loam_norm *norm = norm_after(run);
    const float factor = factor_of(run);
    if (norm == NULL && factor == 1.0f) return dafter;
    const struct loam_tensor dy = loam_pass_rows(pass, dafter.shape[1]);
    struct loam_tensor scaled = dafter;
    if (factor != 1.0f) {
        loam_add_scaled(pass->stream, &(struct loam_add_scaled_args){.x = dafter, .factor = factor, .y = dy});
        scaled = dy;
    }
    if (norm != NULL)
        loam_decoder_norm_backward(pass, norm, scaled, run->state->out, run->state->after, dy, false);
    return dy;
}

// The branches in reverse. after = stream + factor norm_after(body(norm_before(in))), so dafter is the
// gradient of the stream as it is, and what comes through the body is added to the gradient of `in`.
// dafter is dres [T, H]; above the branch that drops rows it is the gradient of the kept rows [R, H].
// dlayer [T, H]: gradient of the layer's input from later branches that read it; no data: none does.
static void branches_backward(struct loam_pass *pass, int64_t index, struct loam_tensor dres,
                              struct loam_tensor dlayer, bool below)
{
    const struct loam_decoder *decoder = pass->decoder;
    const int count = pass->model->config.family->branch_count;
    size_t marks[LOAM_MOST_BRANCHES] = {0};
    bool trained[LOAM_MOST_BRANCHES + 1] = {false}; // [b]: something before branch b is trained
    struct loam_tensor dafter = dres;
    if (layer_drops_rows(pass, index)) dafter = loam_tensor_rows(&pass->kept.dx, 0, pass->tokens);
    recompute(pass, index, marks);
    for (int b = 0; b < count; b++) {
        const struct loam_branch_run run = run_of(pass, index, b);
        trained[b + 1] = trained[b] || branch_trained(decoder, &run);
    }
    for (int b = count - 1; b >= 0; b--) {
        struct loam_branch_run run = run_of(pass, index, b);
        const bool apart = run.row->reads_layer_input && b > 0;
        const bool dropped = loam_branch_drops_rows(pass, index, run.row);
        const bool wanted = below || (trained[b] && !apart);
        const struct loam_norm *norm = norm_before(&run);
        run.through_input = wanted || (norm != NULL && loam_norm_trained(decoder, norm));
        run.target = apart ? dlayer : dropped ? dres : dafter;
        if (wanted || branch_trained(decoder, &run))
            body_of(&run)->backward(&run, output_gradient(&run, dafter));
        if (dropped) dafter = dres;
        loam_arena_release(pass->arena, marks[b]);
    }
}

void loam_layer_backward(struct loam_pass *pass, int64_t index, struct loam_tensor dres, bool below)
{
    struct loam_tensor dlayer = {0};
    if (loam_family_is_parallel(pass->model->config.family)) {
        dlayer = loam_pass_rows(pass, dres.shape[1]);
        if (dlayer.data != NULL) loam_zero(pass->stream, dlayer.data, loam_tensor_bytes(&dlayer));
    }
    branches_backward(pass, index, dres, dlayer, below);
    if (dlayer.data != NULL)
        loam_add_scaled(pass->stream, &(struct loam_add_scaled_args){
                                          .x = dlayer, .residual = dres, .factor = 1.0f, .y = dres});
    loam_arena_release(pass->arena, pass->decoder->layers[index].mark); // frees its activations
}
