// The arguments of the ops of several linears of one input, made from a row of the case table: `groups` linears of other
// numbers of outputs and ranks; all, or all but the second one where there are no optional tensors, with an adapter.
#include <math.h>

#include "op/device/common_parts.h"

static int64_t outputs_of(const struct op_case *c, int part)
{
    return part == 0 ? c->n : c->n / (part + 1) + 1;
}

static int64_t rank_of(const struct op_case *c, int part)
{
    return part < 2 ? c->r : c->r / 2 + 1;
}

static bool has_adapter(const struct op_run *run, int part)
{
    return part != 1 || !op_flagged(run, OP_NO_OPTIONAL);
}

// Each part drops other elements.
static struct loam_dropout dropout_of(const struct op_run *run, int part)
{
    struct loam_dropout dropout = make_dropout(run);
    dropout.stream += (uint64_t)part;
    return dropout;
}

void build_linears_forward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_linears_forward_args *a = &run->args.linears_forward;
    a->x = op_matrix(run, "x", OP_INPUT, run->dtype, c->t, c->k, c->pad);
    a->count = (int)c->groups;
    for (int i = 0; i < a->count; i++) {
        struct loam_linears_forward_part *part = &a->parts[i];
        const int64_t n = outputs_of(c, i), r = rank_of(c, i);
        part->w = make_weight(run, n, c->k);
        part->bias = optional_vector(run, "bias", OP_INPUT, run->dtype, n);
        part->y = op_matrix(run, "y", OP_OUTPUT, run->dtype, c->t, n, c->pad);
        if (!has_adapter(run, i)) continue;
        part->a = op_matrix(run, "a", OP_INPUT, LOAM_F32, r, c->k, 0);
        part->b = op_matrix(run, "b", OP_INPUT, LOAM_F32, n, r, 0);
        part->scale = 0.75f + 0.25f * (float)i;
        part->dropout = dropout_of(run, i);
        part->t = op_matrix(run, "t", OP_OUTPUT, LOAM_F32, c->t, r, 0);
    }
    expect_sums(run, (double)(c->k + c->r), sqrt((double)c->k));
}

// t [T, r] of the part as its forward gives it.
static struct loam_tensor make_t(struct op_run *run, const struct loam_linears_backward_part *part)
{
    const struct loam_tensor *x = &run->args.linears_backward.x;
    const int64_t tokens = x->shape[0], n = part->dy.shape[1];
    const struct loam_tensor t = op_matrix(run, "t", OP_INPUT, LOAM_F32, tokens, part->a.shape[0], 0);
    const struct loam_tensor y = op_matrix(run, "y of the forward", OP_INPUT, run->dtype, tokens, n, 0);
    const struct loam_lora_forward_args forward = {
        .x = *x, .a = part->a, .b = part->b, .scale = part->scale, .dropout = part->dropout, .t = t, .y = y};
    op_prepare(OP_lora_forward, &(union op_args){.lora_forward = forward});
    return t;
}

void build_linears_backward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_linears_backward_args *a = &run->args.linears_backward;
    a->x = op_matrix(run, "x", OP_INPUT, run->dtype, c->t, c->k, c->pad);
    a->accumulate = op_flagged(run, OP_ACCUMULATE);
    a->dx = op_matrix(run, "dx", a->accumulate ? OP_UPDATED : OP_OUTPUT, run->dtype, c->t, c->k, 0);
    a->count = (int)c->groups;
    for (int i = 0; i < a->count; i++) {
        struct loam_linears_backward_part *part = &a->parts[i];
        const int64_t n = outputs_of(c, i), r = rank_of(c, i);
        part->dy = op_matrix(run, "dy", OP_INPUT, run->dtype, c->t, n, c->pad);
        part->w = make_weight(run, n, c->k);
        if (!has_adapter(run, i)) continue;
        part->a = op_matrix(run, "a", OP_INPUT, LOAM_F32, r, c->k, 0);
        part->b = op_matrix(run, "b", OP_INPUT, LOAM_F32, n, r, 0);
        part->scale = 0.75f + 0.25f * (float)i;
        part->dropout = dropout_of(run, i);
        part->t = make_t(run, part);
        if (op_flagged(run, OP_NO_WEIGHT_GRADIENT)) continue;
        part->da = op_matrix(run, "da", OP_UPDATED, LOAM_F32, r, c->k, 0);
        part->db = op_matrix(run, "db", OP_UPDATED, LOAM_F32, n, r, 0);
    }
    expect_sums(run, (double)(c->t + 2 * c->n + c->k + c->r), sqrt(fmax((double)c->n, (double)c->k)));
}
