// DoRA on a linear: y += factor ((g - 1) z + g u), g = magnitude / norms.
#include "model/linear.h"
#include "model/linear_update.h"

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
    const int64_t most = loam_linear_rows_at_once(linear, handle, handle->reader != NULL);
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
                           .norms = loam_columns_of(norms, first, count)});
        loam_weight_close(handle, pass->stream, first, handle->weight.transposed ? linear->in : count);
        loam_arena_release(pass->arena, mark);
    }
    return norms;
}

// Computes the parts in memory from the arena. The backward computes them again: keeping z and u would double
// what a layer keeps.
static struct dora compute_dora(struct loam_pass *pass, const struct loam_linear *linear,
                                const struct loam_update *update, struct loam_tensor x)
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
    loam_linear_product(pass, linear, dropped, none, none, dora.z);
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

bool loam_dora_takes_whole(const struct loam_update *update, const struct loam_tensor *x)
{
    return update->slot->dora && update->dropout.p <= 0 && update->rows == x->shape[0];
}

void loam_dora_add(struct loam_pass *pass, const struct loam_linear *linear, const struct loam_update *update,
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

// dx += dropped(dz W) on the rows of the update, dz [rows, out].
static void add_dropped_gradient(struct loam_pass *pass, const struct loam_linear *linear,
                                 const struct loam_update *update, struct loam_tensor dz,
                                 struct loam_tensor dx)
{
    if (update->dropout.p <= 0) {
        loam_linear_input_gradient(pass, linear, dz, dx, true);
        return;
    }
    const struct loam_tensor through = loam_pass_tensor(pass, dz.dtype, update->rows, linear->in);
    loam_linear_input_gradient(pass, linear, dz, through, false);
    loam_dropout(pass->stream, &(struct loam_dropout_args){
                                   .x = through, .dropout = update->dropout, .y = dx, .accumulate = true});
}

void loam_dora_add_gradients(struct loam_pass *pass, const struct loam_linear *linear,
                             const struct loam_update *update, struct loam_tensor x, struct loam_tensor dy,
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
        loam_linear_input_gradient(pass, linear, dora.z, dx, accumulate);
    else if (dx.data != NULL)
        add_dropped_gradient(pass, linear, update, dora.z, rows);
    loam_update_run_backward(pass, update, update->slot->scale, x, dora.u, rows);
    loam_arena_release(pass->arena, mark);
}
