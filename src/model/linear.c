#include "model/linear.h"

enum { BLOCK_ELEMENTS = 8 << 20 }; // of a streamed weight that one product reads, where it may be split

static const struct loam_linear_use *use_of(const struct loam_decoder *decoder,
                                            const struct loam_linear *linear)
{
    return &decoder->uses[linear->index];
}

bool loam_linear_trained(const struct loam_decoder *decoder, const struct loam_linear *linear)
{
    return linear->weight != NULL && use_of(decoder, linear)->trained;
}

bool loam_linear_reads_input(const struct loam_decoder *decoder, const struct loam_linear *linear)
{
    return linear->weight != NULL && use_of(decoder, linear)->reads_input;
}

struct loam_tensor loam_linear_updates(struct loam_pass *pass, const struct loam_linear *linear)
{
    if (linear->weight == NULL || use_of(pass->decoder, linear)->columns == 0) return (struct loam_tensor){0};
    return loam_pass_f32(pass, pass->tokens, use_of(pass->decoder, linear)->columns);
}

// ---- the segments of a pass ----

// A segment on one linear.
struct update {
    const struct loam_lora_slot *slot;
    int64_t first; // row
    int64_t rows;
    float factor; // of the segment
    struct loam_dropout dropout;
    struct loam_tensor t;     // t [rows, rank] f32
    struct loam_tensor norms; // of DoRA [out] f32; data NULL: still to be computed
};

// Where a walk over the updates of a pass is.
struct walk {
    size_t segment;
    size_t used;                        // elements of t that the updates so far have
    const struct loam_lora_slot *taken; // of the last segment, still to come; NULL: none
};

static struct update update_of(const struct loam_pass *pass, const struct loam_linear *linear, size_t index,
                               const struct loam_lora_slot *slot, float factor)
{
    const struct loam_segment *segment = &pass->segments[index];
    const int64_t row = pass->first_row + segment->first;
    struct update update = {.slot = slot,
                            .first = segment->first,
                            .rows = segment->rows,
                            .factor = factor,
                            .dropout = loam_pass_dropout(pass, slot, row * linear->in)};
    if (linear == &pass->model->head && pass->head_norms != NULL) update.norms = pass->head_norms[index];
    return update;
}

// Takes the next update of a segment that has rows and adapts the linear; false: there is none.
static bool next_update(const struct loam_pass *pass, const struct loam_linear *linear, struct loam_tensor t,
                        struct walk *walk, struct update *update)
{
    bool found = walk->taken != NULL;
    if (found) {
        const size_t index = walk->segment - 1;
        *update = update_of(pass, linear, index, walk->taken, -pass->segments[index].factor);
        walk->taken = NULL;
    }
    while (!found && walk->segment < pass->segment_count) {
        const struct loam_segment *segment = &pass->segments[walk->segment++];
        const struct loam_lora_slot *slot = &segment->adapter->slots[linear->index];
        if (segment->rows == 0 || slot->rank == 0) continue;
        *update = update_of(pass, linear, walk->segment - 1, slot, segment->factor);
        walk->taken = slot->taken;
        found = true;
    }
    if (!found) return false;
    update->t = loam_tensor_2d((float *)t.data + walk->used, LOAM_F32, update->rows, update->slot->rank);
    walk->used += (size_t)update->rows * (size_t)update->slot->rank;
    return true;
}

// ---- forward ----

// Columns [first, first + count) of y; where y is a vector, its elements.
static struct loam_tensor columns_of(struct loam_tensor y, int64_t first, int64_t count)
{
    if (y.data != NULL) y.data = (char *)y.data + (size_t)first * loam_dtype_size(y.dtype);
    y.shape[y.rank - 1] = count;
    return y;
}

// The most outputs of a weight that are read at once. The stored rows of a transposed weight are inputs: it is
// read whole.
static int64_t rows_at_once(const struct loam_linear *linear, const struct loam_weight_handle *handle,
                            bool cut)
{
    return cut && !handle->weight.transposed ? 1 + BLOCK_ELEMENTS / linear->in : linear->out;
}

// y = x WT + bias + residual. A streamed weight is read in blocks of rows; each gives some columns of y.
// With a residual it is read whole: the op adds a residual to whole rows of y.
static void product(struct loam_pass *pass, const struct loam_linear *linear, struct loam_tensor x,
                    struct loam_tensor bias, struct loam_tensor residual, struct loam_tensor y)
{
    const struct loam_weight_handle *handle = loam_pass_weight(pass, linear);
    const bool transposed = handle->weight.transposed;
    const int64_t most = rows_at_once(linear, handle, handle->reader != NULL && residual.data == NULL);
    for (int64_t first = 0; first < linear->out; first += most) {
        const int64_t count = linear->out - first < most ? linear->out - first : most;
        const size_t mark = loam_arena_mark(pass->arena);
        struct loam_linear_forward_args args = {
            .x = x,
            .w = loam_weight_open(handle, pass->stream, pass->arena, first, transposed ? linear->in : count),
            .residual = residual,
            .y = columns_of(y, first, count)};
        if (bias.data != NULL) args.bias = columns_of(bias, first, count);
        loam_linear_forward(pass->stream, &args);
        loam_weight_close(handle, pass->stream, first, transposed ? linear->in : count);
        loam_arena_release(pass->arena, mark);
    }
}

// y += factor scale ((drop(x) AT) BT + bias) on the rows of the update.
static void add_update(struct loam_pass *pass, const struct update *update, struct loam_tensor x,
                       struct loam_tensor y)
{
    loam_lora_forward(pass->stream, &(struct loam_lora_forward_args){
                                        .x = loam_tensor_rows(&x, update->first, update->rows),
                                        .a = update->slot->a,
                                        .b = update->slot->b,
                                        .bias = update->slot->bias,
                                        .scale = update->factor * update->slot->scale,
                                        .dropout = update->dropout,
                                        .t = update->t,
                                        .y = loam_tensor_rows(&y, update->first, update->rows)});
}

// ---- DoRA ----

// What a DoRA update is made of.
struct dora {
    struct loam_tensor z;     // [rows, out] drop(x) WT
    struct loam_tensor u;     // [rows, out] scale (drop(x) AT) BT
    struct loam_tensor norms; // [out] f32 ||W + scale B A|| by rows
};

struct loam_tensor loam_linear_dora_norms(struct loam_pass *pass, const struct loam_linear *linear,
                                          const struct loam_lora_slot *slot)
{
    const struct loam_weight_handle *handle = loam_pass_weight(pass, linear);
    const int64_t most = rows_at_once(linear, handle, handle->reader != NULL);
    if (slot->norms.data != NULL) return slot->norms;
    struct loam_tensor norms = loam_pass_f32(pass, 1, linear->out);
    norms = loam_tensor_1d(norms.data, LOAM_F32, linear->out);
    for (int64_t first = 0; first < linear->out; first += most) {
        const int64_t count = linear->out - first < most ? linear->out - first : most;
        const size_t mark = loam_arena_mark(pass->arena);
        loam_dora_norm(pass->stream,
                       &(struct loam_dora_norm_args){
                           .w = loam_weight_open(handle, pass->stream, pass->arena, first,
                                                 handle->weight.transposed ? linear->in : count),
                           .a = slot->a,
                           .b = loam_tensor_rows(&slot->b, first, count),
                           .scale = slot->scale,
                           .norms = columns_of(norms, first, count)});
        loam_weight_close(handle, pass->stream, first, handle->weight.transposed ? linear->in : count);
        loam_arena_release(pass->arena, mark);
    }
    return norms;
}

// Computes the parts in memory from the arena. The backward computes them again: keeping z and u would double
// what a layer keeps.
static struct dora compute_dora(struct loam_pass *pass, const struct loam_linear *linear,
                                const struct update *update, struct loam_tensor x)
{
    const struct loam_tensor none = {0}, rows = loam_tensor_rows(&x, update->first, update->rows);
    struct dora dora = {.z = loam_pass_tensor(pass, x.dtype, update->rows, linear->out),
                        .u = loam_pass_tensor(pass, x.dtype, update->rows, linear->out),
                        .norms = update->norms};
    if (dora.norms.data == NULL) dora.norms = loam_linear_dora_norms(pass, linear, update->slot);
    const size_t mark = loam_arena_mark(pass->arena);
    struct loam_tensor dropped = rows;
    if (update->dropout.p > 0) {
        dropped = loam_pass_tensor(pass, x.dtype, update->rows, linear->in);
        loam_dropout(pass->stream,
                     &(struct loam_dropout_args){.x = rows, .dropout = update->dropout, .y = dropped});
    }
    product(pass, linear, dropped, none, none, dora.z);
    if (dora.u.data != NULL) loam_zero(pass->stream, dora.u.data, loam_tensor_bytes(&dora.u));
    loam_lora_forward(pass->stream, &(struct loam_lora_forward_args){.x = dropped,
                                                                     .a = update->slot->a,
                                                                     .b = update->slot->b,
                                                                     .scale = update->slot->scale,
                                                                     .t = update->t,
                                                                     .y = dora.u});
    loam_arena_release(pass->arena, mark);
    return dora;
}

// Whether z of the update is x WT of every row, so that the linear needs no other product.
static bool takes_whole(const struct update *update, const struct loam_tensor *x)
{
    return update->slot->dora && update->dropout.p <= 0 && update->rows == x->shape[0];
}

// y += factor ((g - 1) z + g u) on the rows of the update; `whole`: y = z + bias + residual + the same.
static void add_dora(struct loam_pass *pass, const struct loam_linear *linear, const struct update *update,
                     struct loam_tensor x, struct loam_tensor bias, struct loam_tensor residual,
                     struct loam_tensor y, bool whole)
{
    const size_t mark = loam_arena_mark(pass->arena);
    const struct dora dora = compute_dora(pass, linear, update, x);
    const struct loam_tensor target = loam_tensor_rows(&y, update->first, update->rows);
    loam_dora_forward(pass->stream, &(struct loam_dora_forward_args){.z = dora.z,
                                                                     .u = dora.u,
                                                                     .magnitude = update->slot->magnitude,
                                                                     .norms = dora.norms,
                                                                     .factor = update->factor,
                                                                     .whole = whole,
                                                                     .bias = bias,
                                                                     .residual = whole ? residual : target,
                                                                     .y = target});
    loam_arena_release(pass->arena, mark);
}

// The bias in the dtype of x: the head may read f32 where the model is bf16.
static struct loam_tensor bias_for(struct loam_pass *pass, const struct loam_linear *linear,
                                   enum loam_dtype dtype)
{
    const struct loam_tensor bias = loam_pass_value(pass, linear->bias);
    if (bias.data == NULL || bias.dtype == dtype) return bias;
    const struct loam_tensor cast = loam_pass_tensor(pass, dtype, 1, linear->out);
    loam_cast(pass->stream, &(struct loam_cast_args){
                                .x = loam_tensor_2d(bias.data, bias.dtype, 1, linear->out), .y = cast});
    return loam_tensor_1d(cast.data, dtype, linear->out);
}

// Whether the update is a part of one op with the linear: on all rows, of a weight that is not read in blocks.
static bool is_fused(struct loam_pass *pass, const struct loam_linear *linear, const struct update *update,
                     const struct loam_tensor *x)
{
    return !update->slot->dora && update->slot->bias.data == NULL && update->rows == x->shape[0] &&
           loam_pass_weight(pass, linear)->reader == NULL;
}

// y = x WT + bias + residual + factor scale (drop(x) AT) BT
static void run_with_update(struct loam_pass *pass, const struct loam_linear *linear,
                            const struct update *update, struct loam_tensor x, struct loam_tensor bias,
                            struct loam_tensor residual, struct loam_tensor y)
{
    const struct loam_weight_handle *handle = loam_pass_weight(pass, linear);
    const int64_t rows = handle->weight.tensor.shape[0];
    const size_t mark = loam_arena_mark(pass->arena);
    loam_lora_linear_forward(pass->stream,
                             &(struct loam_lora_linear_forward_args){
                                 .x = x,
                                 .w = loam_weight_open(handle, pass->stream, pass->arena, 0, rows),
                                 .bias = bias,
                                 .residual = residual,
                                 .a = update->slot->a,
                                 .b = update->slot->b,
                                 .scale = update->factor * update->slot->scale,
                                 .dropout = update->dropout,
                                 .t = update->t,
                                 .y = y});
    loam_weight_close(handle, pass->stream, 0, rows);
    loam_arena_release(pass->arena, mark);
}

// Adds the updates from `update` on, where there is one.
static void add_updates(struct loam_pass *pass, const struct loam_linear *linear, struct loam_tensor x,
                        struct loam_tensor t, struct loam_tensor y, struct walk *walk, struct update *update,
                        bool more)
{
    const struct loam_tensor none = {0};
    for (; more; more = next_update(pass, linear, t, walk, update)) {
        if (update->slot->dora)
            add_dora(pass, linear, update, x, none, none, y, false);
        else
            add_update(pass, update, x, y);
    }
}

void loam_linear_run(struct loam_pass *pass, const struct loam_linear *linear, struct loam_tensor x,
                     struct loam_tensor residual, struct loam_tensor t, struct loam_tensor y)
{
    const size_t mark = loam_arena_mark(pass->arena);
    const struct loam_tensor bias = bias_for(pass, linear, x.dtype);
    struct update update;
    struct walk walk = {0};
    bool more = next_update(pass, linear, t, &walk, &update);
    if (more && takes_whole(&update, &x)) {
        add_dora(pass, linear, &update, x, bias, residual, y, true);
        more = next_update(pass, linear, t, &walk, &update);
    } else if (more && y.dtype == x.dtype && is_fused(pass, linear, &update, &x)) {
        run_with_update(pass, linear, &update, x, bias, residual, y);
        more = next_update(pass, linear, t, &walk, &update);
    } else {
        product(pass, linear, x, bias, residual, y);
    }
    add_updates(pass, linear, x, t, y, &walk, &update, more);
    loam_arena_release(pass->arena, mark);
}

// ---- several linears of one input ----

// A part of one op for several linears.
struct part {
    const struct loam_weight_handle *handle;
    struct walk walk;     // at the update
    struct update update; // the first one
    bool adapts;          // there is one
};

// Finds out whether the linear is a part of an op with others: its weight is not read in blocks, and its first update is
// made with it. The rows of all are those of `rows`.
static bool find_part(struct loam_pass *pass, const struct loam_linear_output *output,
                      const struct loam_tensor *rows, struct part *part)
{
    *part = (struct part){.handle = loam_pass_weight(pass, output->linear)};
    part->adapts = next_update(pass, output->linear, output->t, &part->walk, &part->update);
    return part->handle->reader == NULL &&
           (!part->adapts || is_fused(pass, output->linear, &part->update, rows));
}

static bool find_parts(struct loam_pass *pass, const struct loam_linear_output *outputs, int count,
                       struct part parts[LOAM_LINEARS_MOST])
{
    bool together = count > 1;
    for (int i = 0; i < count; i++)
        together = find_part(pass, &outputs[i], &outputs[0].y, &parts[i]) && together;
    return together;
}

static struct loam_linears_forward_part
forward_part(struct loam_pass *pass, const struct loam_linear_output *output, const struct part *part)
{
    const struct update *update = &part->update;
    struct loam_linears_forward_part args = {
        .w = part->handle->weight, .bias = bias_for(pass, output->linear, output->y.dtype), .y = output->y};
    if (!part->adapts) return args;
    args.a = update->slot->a;
    args.b = update->slot->b;
    args.scale = update->factor * update->slot->scale;
    args.dropout = update->dropout;
    args.t = update->t;
    return args;
}

// What the linears still lack after the op that made their first updates.
static void add_other_updates(struct loam_pass *pass, const struct loam_linear_output *output,
                              struct loam_tensor x, struct part *part)
{
    const bool more =
        part->adapts && next_update(pass, output->linear, output->t, &part->walk, &part->update);
    add_updates(pass, output->linear, x, output->t, output->y, &part->walk, &part->update, more);
}

void loam_linears_run(struct loam_pass *pass, struct loam_tensor x, const struct loam_linear_output *outputs,
                      int count)
{
    const struct loam_tensor none = {0};
    const size_t mark = loam_arena_mark(pass->arena);
    struct part parts[LOAM_LINEARS_MOST];
    if (!find_parts(pass, outputs, count, parts)) {
        for (int i = 0; i < count; i++)
            loam_linear_run(pass, outputs[i].linear, x, none, outputs[i].t, outputs[i].y);
        return;
    }
    struct loam_linears_forward_args args = {.x = x, .count = count};
    for (int i = 0; i < count; i++)
        args.parts[i] = forward_part(pass, &outputs[i], &parts[i]);
    loam_linears_forward(pass->stream, &args);
    for (int i = 0; i < count; i++)
        add_other_updates(pass, &outputs[i], x, &parts[i]);
    loam_arena_release(pass->arena, mark);
}

// ---- backward ----

// dx (+)= dy W
static void input_gradient(struct loam_pass *pass, const struct loam_linear *linear, struct loam_tensor dy,
                           struct loam_tensor dx, bool accumulate)
{
    const struct loam_weight_handle *handle = loam_pass_weight(pass, linear);
    const int64_t rows = handle->weight.tensor.shape[0];
    const size_t mark = loam_arena_mark(pass->arena);
    loam_linear_backward_input(pass->stream,
                               &(struct loam_linear_backward_input_args){
                                   .dy = dy,
                                   .w = loam_weight_open(handle, pass->stream, pass->arena, 0, rows),
                                   .dx = dx,
                                   .accumulate = accumulate});
    loam_weight_close(handle, pass->stream, 0, rows);
    loam_arena_release(pass->arena, mark);
}

// The gradients of an update on its rows; dy is that of what the update added.
static void update_backward(struct loam_pass *pass, const struct update *update, float scale,
                            struct loam_tensor x, struct loam_tensor dy, struct loam_tensor dx)
{
    loam_lora_backward(pass->stream, &(struct loam_lora_backward_args){
                                         .dy = dy,
                                         .x = loam_tensor_rows(&x, update->first, update->rows),
                                         .a = update->slot->a,
                                         .b = update->slot->b,
                                         .t = update->t,
                                         .scale = scale,
                                         .dropout = update->dropout,
                                         .da = update->slot->da,
                                         .db = update->slot->db,
                                         .dbias = update->slot->dbias,
                                         .dx = dx});
}

// dx (+)= dy W + dropped(factor scale dy B A), and the gradients of the update.
static void backward_with_update(struct loam_pass *pass, const struct loam_linear *linear,
                                 const struct update *update, struct loam_tensor x, struct loam_tensor dy,
                                 struct loam_tensor dx, bool accumulate)
{
    const struct loam_weight_handle *handle = loam_pass_weight(pass, linear);
    const int64_t rows = handle->weight.tensor.shape[0];
    const size_t mark = loam_arena_mark(pass->arena);
    loam_lora_linear_backward(pass->stream,
                              &(struct loam_lora_linear_backward_args){
                                  .dy = dy,
                                  .x = x,
                                  .w = loam_weight_open(handle, pass->stream, pass->arena, 0, rows),
                                  .a = update->slot->a,
                                  .b = update->slot->b,
                                  .t = update->t,
                                  .scale = update->factor * update->slot->scale,
                                  .dropout = update->dropout,
                                  .da = update->slot->da,
                                  .db = update->slot->db,
                                  .dx = dx,
                                  .accumulate = accumulate});
    loam_weight_close(handle, pass->stream, 0, rows);
    loam_arena_release(pass->arena, mark);
}

// dx += dropped(dz W) on the rows of the update, dz [rows, out].
static void add_dropped_gradient(struct loam_pass *pass, const struct loam_linear *linear,
                                 const struct update *update, struct loam_tensor dz, struct loam_tensor dx)
{
    if (update->dropout.p <= 0) {
        input_gradient(pass, linear, dz, dx, true);
        return;
    }
    const struct loam_tensor through = loam_pass_tensor(pass, dz.dtype, update->rows, linear->in);
    input_gradient(pass, linear, dz, through, false);
    loam_dropout(pass->stream, &(struct loam_dropout_args){
                                   .x = through, .dropout = update->dropout, .y = dx, .accumulate = true});
}

// dmagnitude += factor sum_t dy (z + u) / norms; the gradients of z and u go on through their products.
// `whole`: dx (+)= that of the linear itself, too.
static void dora_backward(struct loam_pass *pass, const struct loam_linear *linear,
                          const struct update *update, struct loam_tensor x, struct loam_tensor dy,
                          struct loam_tensor dx, bool whole, bool accumulate)
{
    const size_t mark = loam_arena_mark(pass->arena);
    const struct loam_tensor rows = loam_tensor_rows(&dx, update->first, update->rows);
    pass->stream->recomputing = true;
    const struct dora dora = compute_dora(pass, linear, update, x);
    pass->stream->recomputing = false;
    loam_dora_backward(pass->stream, &(struct loam_dora_backward_args){
                                         .dy = loam_tensor_rows(&dy, update->first, update->rows),
                                         .z = dora.z,
                                         .u = dora.u,
                                         .magnitude = update->slot->magnitude,
                                         .norms = dora.norms,
                                         .factor = update->factor,
                                         .whole = whole,
                                         .dmagnitude = update->slot->dmagnitude,
                                         .dz = dora.z,
                                         .du = dora.u});
    if (dx.data != NULL && whole)
        input_gradient(pass, linear, dora.z, dx, accumulate);
    else if (dx.data != NULL)
        add_dropped_gradient(pass, linear, update, dora.z, rows);
    update_backward(pass, update, update->slot->scale, x, dora.u, rows);
    loam_arena_release(pass->arena, mark);
}

// Gradients of a weight and a bias that are trained.
static void weight_gradients(struct loam_pass *pass, const struct loam_linear *linear, struct loam_tensor x,
                             struct loam_tensor dy)
{
    const struct loam_tensor dw = loam_pass_weight_gradient(pass, linear);
    const struct loam_tensor dbias = loam_pass_gradient(pass, linear->bias);
    if (dw.data != NULL)
        loam_linear_backward_weight(
            pass->stream,
            &(struct loam_linear_backward_weight_args){
                .dy = dy, .x = x, .dw = dw, .transposed = loam_pass_weight(pass, linear)->weight.transposed});
    if (dbias.data != NULL)
        loam_bias_backward(pass->stream, &(struct loam_bias_backward_args){.dy = dy, .dbias = dbias});
}

// The gradients of the updates from `update` on, where there is one.
static void updates_backward(struct loam_pass *pass, const struct loam_linear *linear, struct loam_tensor x,
                             struct loam_tensor t, struct loam_tensor dy, struct loam_tensor dx,
                             struct walk *walk, struct update *update, bool more)
{
    for (; more; more = next_update(pass, linear, t, walk, update)) {
        if (update->slot->dora)
            dora_backward(pass, linear, update, x, dy, dx, false, true);
        else
            update_backward(pass, update, update->factor * update->slot->scale, x,
                            loam_tensor_rows(&dy, update->first, update->rows),
                            loam_tensor_rows(&dx, update->first, update->rows));
    }
}

void loam_linear_run_backward(struct loam_pass *pass, const struct loam_linear *linear, struct loam_tensor x,
                              struct loam_tensor t, struct loam_tensor dy, struct loam_tensor dx,
                              bool accumulate)
{
    struct update update;
    struct walk walk = {0};
    weight_gradients(pass, linear, x, dy);
    bool more = next_update(pass, linear, t, &walk, &update);
    if (more && takes_whole(&update, &dy)) {
        dora_backward(pass, linear, &update, x, dy, dx, true, accumulate);
        more = next_update(pass, linear, t, &walk, &update);
    } else if (more && dx.data != NULL && is_fused(pass, linear, &update, &dy)) {
        backward_with_update(pass, linear, &update, x, dy, dx, accumulate);
        more = next_update(pass, linear, t, &walk, &update);
    } else if (dx.data != NULL) {
        input_gradient(pass, linear, dy, dx, accumulate);
    }
    updates_backward(pass, linear, x, t, dy, dx, &walk, &update, more);
}

static struct loam_linears_backward_part backward_part(const struct loam_linear_output *output,
                                                       const struct part *part)
{
    const struct update *update = &part->update;
    struct loam_linears_backward_part args = {.dy = output->y, .w = part->handle->weight};
    if (!part->adapts) return args;
    args.a = update->slot->a;
    args.b = update->slot->b;
    args.t = update->t;
    args.scale = update->factor * update->slot->scale;
    args.dropout = update->dropout;
    args.da = update->slot->da;
    args.db = update->slot->db;
    return args;
}

void loam_linears_run_backward(struct loam_pass *pass, struct loam_tensor x,
                               const struct loam_linear_output *outputs, int count, struct loam_tensor dx,
                               bool accumulate)
{
    struct part parts[LOAM_LINEARS_MOST];
    if (!find_parts(pass, outputs, count, parts) || dx.data == NULL) {
        for (int i = 0; i < count; i++)
            loam_linear_run_backward(pass, outputs[i].linear, x, outputs[i].t, outputs[i].y, dx,
                                     accumulate || i > 0);
        return;
    }
    struct loam_linears_backward_args args = {.x = x, .dx = dx, .accumulate = accumulate, .count = count};
    for (int i = 0; i < count; i++) {
        weight_gradients(pass, outputs[i].linear, x, outputs[i].y);
        args.parts[i] = backward_part(&outputs[i], &parts[i]);
    }
    loam_linears_backward(pass->stream, &args);
    for (int i = 0; i < count; i++) {
        struct part *part = &parts[i];
        const bool more =
            part->adapts && next_update(pass, outputs[i].linear, outputs[i].t, &part->walk, &part->update);
        updates_backward(pass, outputs[i].linear, x, outputs[i].t, outputs[i].y, dx, &part->walk,
                         &part->update, more);
    }
}
