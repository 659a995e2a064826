#include "model/linear.h"

#include "model/linear_update.h"

struct loam_tensor loam_linear_updates(struct loam_pass *pass, const struct loam_linear *linear)
{
    if (linear->weight == NULL || pass->decoder->uses[linear->index].columns == 0)
        return (struct loam_tensor){0};
    return loam_pass_f32(pass, pass->tokens, pass->decoder->uses[linear->index].columns);
}

// y = x WT + bias + residual + factor scale (drop(x) AT) BT
static void run_with_update(struct loam_pass *pass, const struct loam_linear *linear,
                            const struct loam_update *update, struct loam_tensor x, struct loam_tensor bias,
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

void loam_linear_run(struct loam_pass *pass, const struct loam_linear *linear, struct loam_tensor x,
                     struct loam_tensor residual, struct loam_tensor t, struct loam_tensor y)
{
    const struct loam_linear_output output = {linear, t, y};
    const size_t mark = loam_arena_mark(pass->arena);
    const struct loam_tensor bias = loam_linear_bias(pass, linear, x.dtype);
    struct loam_updates updates = loam_updates_begin(pass, &output);
    if (updates.more && loam_dora_takes_whole(&updates.update, &x)) {
        loam_dora_add(pass, linear, &updates.update, x, bias, residual, y, true);
        loam_updates_next(pass, &output, &updates);
    } else if (updates.more && y.dtype == x.dtype &&
               loam_update_is_fused(pass, linear, &updates.update, &x)) {
        run_with_update(pass, linear, &updates.update, x, bias, residual, y);
        loam_updates_next(pass, &output, &updates);
    } else {
        loam_linear_product(pass, linear, x, bias, residual, y);
    }
    loam_updates_add(pass, &output, x, &updates);
    loam_arena_release(pass->arena, mark);
}

// dx (+)= dy W + dropped(factor scale dy B A), and the gradients of the update.
static void backward_with_update(struct loam_pass *pass, const struct loam_linear *linear,
                                 const struct loam_update *update, struct loam_tensor x,
                                 struct loam_tensor dy, struct loam_tensor dx, bool accumulate)
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

void loam_linear_run_backward(struct loam_pass *pass, const struct loam_linear *linear, struct loam_tensor x,
                              struct loam_tensor t, struct loam_tensor dy, struct loam_tensor dx,
                              bool accumulate)
{
    const struct loam_linear_output output = {linear, t, dy};
    loam_linear_add_weight_gradients(pass, linear, x, dy);
    struct loam_updates updates = loam_updates_begin(pass, &output);
    if (updates.more && loam_dora_takes_whole(&updates.update, &dy)) {
        loam_dora_add_gradients(pass, linear, &updates.update, x, dy, dx, true, accumulate);
        loam_updates_next(pass, &output, &updates);
    } else if (updates.more && dx.data != NULL && loam_update_is_fused(pass, linear, &updates.update, &dy)) {
        backward_with_update(pass, linear, &updates.update, x, dy, dx, accumulate);
        loam_updates_next(pass, &output, &updates);
    } else if (dx.data != NULL) {
        loam_linear_input_gradient(pass, linear, dy, dx, accumulate);
    }
    loam_updates_add_gradients(pass, &output, x, dx, &updates);
}
