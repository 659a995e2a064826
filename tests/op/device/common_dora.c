// The arguments of the ops of DoRA, made from a row of the case table.
#include <math.h>

#include "op/device/common_parts.h"

// The norms are far enough from zero.
static void make_gains(struct op_run *run, struct loam_tensor *magnitude, struct loam_tensor *norms)
{
    *magnitude = op_vector(run, "magnitude", OP_INPUT, LOAM_F32, run->test->n);
    *norms = op_vector(run, "norms", OP_INPUT, LOAM_F32, run->test->n);
    scale_values(norms, 0.5, 1.5);
}

void build_dora_norm(struct op_run *run)
{
    const struct op_case *c = run->test;
    const bool columns = op_flagged(run, OP_COLUMNS);
    struct loam_dora_norm_args *a = &run->args.dora_norm;
    a->w = make_weight(run, c->n, c->k);
    a->a = op_matrix(run, "a", OP_INPUT, LOAM_F32, c->r, c->k, 0);
    a->b = op_matrix(run, "b", OP_INPUT, LOAM_F32, c->n, c->r, 0);
    a->scale = 0.75f;
    a->columns = columns;
    a->norms = op_vector(run, "norms", OP_OUTPUT, LOAM_F32, columns ? c->k : c->n);
    op_mark_exact(run);
    expect_sums(run, (double)((columns ? c->n : c->k) + c->r), sqrt((double)c->r));
}

void build_dora_forward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_dora_forward_args *a = &run->args.dora_forward;
    const bool in_place = op_flagged(run, OP_IN_PLACE);
    a->z = op_matrix(run, "z", OP_INPUT, run->dtype, c->t, c->n, 0);
    a->u = op_matrix(run, "u", OP_INPUT, run->dtype, c->t, c->n, 0);
    make_gains(run, &a->magnitude, &a->norms);
    a->factor = op_flagged(run, OP_ACCUMULATE) ? -0.5f : 1.0f;
    a->whole = !op_flagged(run, OP_ACCUMULATE);
    a->bias = optional_vector(run, "bias", OP_INPUT, run->dtype, c->n);
    a->y = op_matrix(run, "y", in_place ? OP_UPDATED : OP_OUTPUT, run->dtype, c->t, c->n, c->pad);
    if (in_place)
        a->residual = a->y;
    else if (!op_flagged(run, OP_NO_OPTIONAL))
        a->residual = op_matrix(run, "residual", OP_INPUT, run->dtype, c->t, c->n, c->pad);
    expect_sums(run, 6.0, 1.0);
}

void build_dora_backward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_dora_backward_args *a = &run->args.dora_backward;
    const bool in_place = op_flagged(run, OP_IN_PLACE);
    a->dy = op_matrix(run, "dy", OP_INPUT, run->dtype, c->t, c->n, c->pad);
    a->z = op_matrix(run, "z", in_place ? OP_UPDATED : OP_INPUT, run->dtype, c->t, c->n, 0);
    a->u = op_matrix(run, "u", in_place ? OP_UPDATED : OP_INPUT, run->dtype, c->t, c->n, 0);
    make_gains(run, &a->magnitude, &a->norms);
    a->factor = op_flagged(run, OP_ACCUMULATE) ? -0.5f : 1.0f;
    a->whole = !op_flagged(run, OP_ACCUMULATE);
    a->dmagnitude = optional_vector(run, "dmagnitude", OP_UPDATED, LOAM_F32, c->n);
    if (a->dmagnitude.data != NULL) op_mark_exact(run);
    a->dz = in_place ? a->z : op_matrix(run, "dz", OP_OUTPUT, run->dtype, c->t, c->n, 0);
    a->du = in_place ? a->u : op_matrix(run, "du", OP_OUTPUT, run->dtype, c->t, c->n, 0);
    expect_sums(run, (double)c->t + 4.0, 2.0);
}

void build_dropout(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_dropout_args *a = &run->args.dropout;
    a->accumulate = op_flagged(run, OP_ACCUMULATE);
    a->x = op_matrix(run, "x", OP_INPUT, run->dtype, c->t, c->k, c->pad);
    a->dropout = make_dropout(run);
    a->y = op_matrix(run, "y", a->accumulate ? OP_UPDATED : OP_OUTPUT, run->dtype, c->t, c->k, 0);
    expect_sums(run, 2.0, 1.0);
}
