// The updates of the adapters of a pass on one linear.
#include "model/linear_update.h"

static struct loam_update update_of(const struct loam_pass *pass, const struct loam_linear *linear,
                                    size_t index, const struct loam_lora_slot *slot, float factor)
{
    const struct loam_segment *segment = &pass->segments[index];
    const int64_t row = pass->first_row + segment->first;
    struct loam_update update = {.slot = slot,
                                 .first = segment->first,
                                 .rows = segment->rows,
                                 .factor = factor,
                                 .dropout = loam_pass_dropout(pass, slot, row * linear->in)};
    if (linear == &pass->model->head && pass->head_norms != NULL) update.norms = pass->head_norms[index];
    return update;
}

void loam_updates_next(const struct loam_pass *pass, const struct loam_linear_output *output,
                       struct loam_updates *updates)
{
    const struct loam_linear *linear = output->linear;
    updates->more = updates->taken != NULL;
    if (updates->more) {
        const size_t index = updates->segment - 1;
        updates->update = update_of(pass, linear, index, updates->taken, -pass->segments[index].factor);
        updates->taken = NULL;
    }
    while (!updates->more && updates->segment < pass->segment_count) {
        const struct loam_segment *segment = &pass->segments[updates->segment++];
        const struct loam_lora_slot *slot = &segment->adapter->slots[linear->index];
        if (segment->rows == 0 || slot->rank == 0) continue;
        updates->update = update_of(pass, linear, updates->segment - 1, slot, segment->factor);
        updates->taken = slot->taken;
        updates->more = true;
    }
    if (!updates->more) return;
    struct loam_update *update = &updates->update;
    update->t =
        loam_tensor_2d((float *)output->t.data + updates->used, LOAM_F32, update->rows, update->slot->rank);
    updates->used += (size_t)update->rows * (size_t)update->slot->rank;
}

struct loam_updates loam_updates_begin(const struct loam_pass *pass, const struct loam_linear_output *output)
{
    struct loam_updates updates = {0};
    loam_updates_next(pass, output, &updates);
    return updates;
}

bool loam_update_is_fused(const struct loam_pass *pass, const struct loam_linear *linear,
                          const struct loam_update *update, const struct loam_tensor *x)
{
    return !update->slot->dora && update->slot->bias.data == NULL && update->rows == x->shape[0] &&
           loam_pass_weight(pass, linear)->reader == NULL;
}

// y += factor scale ((drop(x) AT) BT + bias) on the rows of the update.
static void add_update(struct loam_pass *pass, const struct loam_update *update, struct loam_tensor x,
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

void loam_updates_add(struct loam_pass *pass, const struct loam_linear_output *output, struct loam_tensor x,
                      struct loam_updates *updates)
{
    const struct loam_tensor none = {0};
    for (; updates->more; loam_updates_next(pass, output, updates)) {
        if (updates->update.slot->dora)
            loam_dora_add(pass, output->linear, &updates->update, x, none, none, output->y, false);
        else
            add_update(pass, &updates->update, x, output->y);
    }
}

void loam_update_run_backward(struct loam_pass *pass, const struct loam_update *update, float scale,
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

void loam_updates_add_gradients(struct loam_pass *pass, const struct loam_linear_output *output,
                                struct loam_tensor x, struct loam_tensor dx, struct loam_updates *updates)
{
    for (; updates->more; loam_updates_next(pass, output, updates)) {
        const struct loam_update *update = &updates->update;
        if (update->slot->dora)
            loam_dora_add_gradients(pass, output->linear, update, x, output->y, dx, false, true);
        else
            loam_update_run_backward(pass, update, update->factor * update->slot->scale, x,
                                     loam_tensor_rows(&output->y, update->first, update->rows),
                                     loam_tensor_rows(&dx, update->first, update->rows));
    }
}
