// Several linears of one input, in one op where they allow it.
#include "model/linear.h"
#include "model/linear_update.h"

// Whether one op runs the linears, each with its first update: no weight is read in blocks. `rows` are those of all.
static bool are_together(const struct loam_pass *pass, const struct loam_linear_output *outputs, int count,
                         struct loam_updates updates[LOAM_LINEARS_MOST])
{
    const struct loam_tensor *rows = &outputs[0].y;
    bool together = count > 1;
    for (int i = 0; i < count; i++) {
        updates[i] = loam_updates_begin(pass, &outputs[i]);
        together =
            together && loam_pass_weight(pass, outputs[i].linear)->reader == NULL &&
            (!updates[i].more || loam_update_is_fused(pass, outputs[i].linear, &updates[i].update, rows));
    }
    return together;
}

static struct loam_linears_forward_part forward_part(struct loam_pass *pass,
                                                     const struct loam_linear_output *output,
                                                     const struct loam_updates *updates)
{
    const struct loam_update *update = &updates->update;
    struct loam_linears_forward_part part = {.w = loam_pass_weight(pass, output->linear)->weight,
                                             .bias = loam_linear_bias(pass, output->linear, output->y.dtype),
                                             .y = output->y};
    if (!updates->more) return part;
    part.a = update->slot->a;
    part.b = update->slot->b;
    part.scale = update->factor * update->slot->scale;
    part.dropout = update->dropout;
    part.t = update->t;
    return part;
}

void loam_linears_run(struct loam_pass *pass, struct loam_tensor x, const struct loam_linear_output *outputs,
                      int count)
{
    const struct loam_tensor none = {0};
    const size_t mark = loam_arena_mark(pass->arena);
    struct loam_updates updates[LOAM_LINEARS_MOST];
    if (!are_together(pass, outputs, count, updates)) {
        for (int i = 0; i < count; i++)
            loam_linear_run(pass, outputs[i].linear, x, none, outputs[i].t, outputs[i].y);
        return;
    }
    struct loam_linears_forward_args args = {.x = x, .count = count};
    for (int i = 0; i < count; i++)
        args.parts[i] = forward_part(pass, &outputs[i], &updates[i]);
    loam_linears_forward(pass->stream, &args);
    for (int i = 0; i < count; i++) {
        if (updates[i].more) loam_updates_next(pass, &outputs[i], &updates[i]);
        loam_updates_add(pass, &outputs[i], x, &updates[i]);
    }
    loam_arena_release(pass->arena, mark);
}

static struct loam_linears_backward_part backward_part(const struct loam_pass *pass,
                                                       const struct loam_linear_output *output,
                                                       const struct loam_updates *updates)
{
    const struct loam_update *update = &updates->update;
    struct loam_linears_backward_part part = {.dy = output->y,
                                              .w = loam_pass_weight(pass, output->linear)->weight};
    if (!updates->more) return part;
    part.a = update->slot->a;
    part.b = update->slot->b;
    part.t = update->t;
    part.scale = update->factor * update->slot->scale;
    part.dropout = update->dropout;
    part.da = update->slot->da;
    part.db = update->slot->db;
    return part;
}

void loam_linears_run_backward(struct loam_pass *pass, struct loam_tensor x,
                               const struct loam_linear_output *outputs, int count, struct loam_tensor dx,
                               bool accumulate)
{
    struct loam_updates updates[LOAM_LINEARS_MOST];
    if (!are_together(pass, outputs, count, updates) || dx.data == NULL) {
        for (int i = 0; i < count; i++)
            loam_linear_run_backward(pass, outputs[i].linear, x, outputs[i].t, outputs[i].y, dx,
                                     accumulate || i > 0);
        return;
    }
    struct loam_linears_backward_args args = {.x = x, .dx = dx, .accumulate = accumulate, .count = count};
    for (int i = 0; i < count; i++) {
        loam_linear_add_weight_gradients(pass, outputs[i].linear, x, outputs[i].y);
        args.parts[i] = backward_part(pass, &outputs[i], &updates[i]);
    }
    loam_linears_backward(pass->stream, &args);
    for (int i = 0; i < count; i++) {
        if (updates[i].more) loam_updates_next(pass, &outputs[i], &updates[i]);
        loam_updates_add_gradients(pass, &outputs[i], x, dx, &updates[i]);
    }
}
