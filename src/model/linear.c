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
    float scale;
    struct loam_dropout dropout;
    struct loam_tensor t; // t [rows, rank] f32
};

// Where a walk over the updates of a pass is.
struct walk {
    size_t segment;
    size_t used;                        // elements of t that the updates so far have
    const struct loam_lora_slot *taken; // of the last segment, still to come; NULL: none
};

static struct update update_of(const struct loam_pass *pass, const struct loam_linear *linear,
                               const struct loam_segment *segment, const struct loam_lora_slot *slot,
                               float factor)
{
    return (struct update){.slot = slot,
                           .first = segment->first,
                           .rows = segment->rows,
                           .scale = factor * slot->scale,
                           .dropout = loam_pass_dropout(pass, slot, segment->first * linear->in)};
}

// Takes the next update of a segment that has rows and adapts the linear; false: there is none.
static bool next_update(const struct loam_pass *pass, const struct loam_linear *linear, struct loam_tensor t,
                        struct walk *walk, struct update *update)
{
    bool found = walk->taken != NULL;
    if (found) {
        const struct loam_segment *segment = &pass->segments[walk->segment - 1];
        *update = update_of(pass, linear, segment, walk->taken, -segment->factor);
        walk->taken = NULL;
    }
    while (!found && walk->segment < pass->segment_count) {
        const struct loam_segment *segment = &pass->segments[walk->segment++];
        // The head comes after the last slot: it is not adapted.
        if (segment->rows == 0 || linear->index >= segment->adapter->count) continue;
        const struct loam_lora_slot *slot = &segment->adapter->slots[linear->index];
        if (slot->rank == 0) continue;
        *update = update_of(pass, linear, segment, slot, segment->factor);
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

// y = x WT + bias + residual. A streamed weight is read in blocks of rows; each gives some columns of y.
// With a residual it is read whole: the op adds a residual to whole rows of y.
static void product(struct loam_pass *pass, const struct loam_linear *linear, struct loam_tensor x,
                    struct loam_tensor residual, struct loam_tensor y)
{
    const struct loam_weight_handle *handle = &linear->weight->handle;
    const bool cut = handle->reader != NULL && residual.data == NULL;
    const int64_t most = cut ? 1 + BLOCK_ELEMENTS / linear->in : linear->out;
    for (int64_t first = 0; first < linear->out; first += most) {
        const int64_t count = linear->out - first < most ? linear->out - first : most;
        const size_t mark = loam_arena_mark(pass->arena);
        struct loam_linear_forward_args args = {
            .x = x,
            .w = loam_weight_open(handle, pass->stream, pass->arena, first, count),
            .residual = residual,
            .y = columns_of(y, first, count)};
        if (linear->bias != NULL) args.bias = columns_of(linear->bias->value, first, count);
        loam_linear_forward(pass->stream, &args);
        loam_weight_close(handle, pass->stream, first, count);
        loam_arena_release(pass->arena, mark);
    }
}

void loam_linear_run(struct loam_pass *pass, const struct loam_linear *linear, struct loam_tensor x,
                     struct loam_tensor residual, struct loam_tensor t, struct loam_tensor y)
{
    struct update update;
    struct walk walk = {0};
    product(pass, linear, x, residual, y);
    while (next_update(pass, linear, t, &walk, &update))
        loam_lora_forward(pass->stream, &(struct loam_lora_forward_args){
                                            .x = loam_tensor_rows(&x, update.first, update.rows),
                                            .a = update.slot->a,
                                            .b = update.slot->b,
                                            .scale = update.scale,
                                            .dropout = update.dropout,
                                            .t = update.t,
                                            .y = loam_tensor_rows(&y, update.first, update.rows)});
}

// ---- backward ----

// dx (+)= dy W
static void input_gradient(struct loam_pass *pass, const struct loam_linear *linear, struct loam_tensor dy,
                           struct loam_tensor dx, bool accumulate)
{
    const struct loam_weight_handle *handle = &linear->weight->handle;
    const size_t mark = loam_arena_mark(pass->arena);
    loam_linear_backward_input(pass->stream,
                               &(struct loam_linear_backward_input_args){
                                   .dy = dy,
                                   .w = loam_weight_open(handle, pass->stream, pass->arena, 0, linear->out),
                                   .dx = dx,
                                   .accumulate = accumulate});
    loam_weight_close(handle, pass->stream, 0, linear->out);
    loam_arena_release(pass->arena, mark);
}

void loam_linear_run_backward(struct loam_pass *pass, const struct loam_linear *linear, struct loam_tensor x,
                              struct loam_tensor t, struct loam_tensor dy, struct loam_tensor dx,
                              bool accumulate)
{
    const struct loam_tensor dw = loam_pass_gradient(pass, linear->weight);
    const struct loam_tensor dbias = loam_pass_gradient(pass, linear->bias);
    struct update update;
    struct walk walk = {0};
    if (dw.data != NULL)
        loam_linear_backward_weight(pass->stream,
                                    &(struct loam_linear_backward_weight_args){.dy = dy, .x = x, .dw = dw});
    if (dbias.data != NULL)
        loam_bias_backward(pass->stream, &(struct loam_bias_backward_args){.dy = dy, .dbias = dbias});
    if (dx.data != NULL) input_gradient(pass, linear, dy, dx, accumulate);
    while (next_update(pass, linear, t, &walk, &update))
        loam_lora_backward(pass->stream, &(struct loam_lora_backward_args){
                                             .dy = loam_tensor_rows(&dy, update.first, update.rows),
                                             .x = loam_tensor_rows(&x, update.first, update.rows),
                                             .a = update.slot->a,
                                             .b = update.slot->b,
                                             .t = update.t,
                                             .scale = update.scale,
                                             .dropout = update.dropout,
                                             .da = update.slot->da,
                                             .db = update.slot->db,
                                             .dx = loam_tensor_rows(&dx, update.first, update.rows)});
}
