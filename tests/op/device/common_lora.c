// The arguments of the ops of LoRA on linears, made from a row of the case table.
#include <math.h>

#include "op/device/common_parts.h"

static const float scale = 0.75f;

// t, as the forward with these arguments leaves it.
static void prepare_t(struct op_run *run, struct loam_lora_forward_args forward)
{
    const struct op_case *c = run->test;
    forward.y = op_matrix(run, "y of the forward", OP_INPUT, run->dtype, c->t, c->n, c->pad);
    op_prepare(OP_lora_forward, &(union op_args){.lora_forward = forward});
}

// A term has an element of dt or t, sums of N and K products.
static void expect_gradients(struct op_run *run)
{
    const struct op_case *c = run->test;
    expect_sums(run, (double)(c->t + c->n + c->k + c->r), sqrt(fmax((double)c->n, (double)c->k)));
}

void build_lora_forward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_lora_forward_args *a = &run->args.lora_forward;
    a->x = op_matrix(run, "x", OP_INPUT, run->dtype, c->t, c->k, c->pad);
    a->a = op_matrix(run, "a", OP_INPUT, LOAM_F32, c->r, c->k, 0);
    a->b = op_matrix(run, "b", OP_INPUT, LOAM_F32, c->n, c->r, 0);
    if (op_flagged(run, OP_BIAS)) a->bias = op_vector(run, "bias", OP_INPUT, LOAM_F32, c->n);
    a->scale = scale;
    a->dropout = make_dropout(run);
    a->t = op_matrix(run, "t", OP_OUTPUT, LOAM_F32, c->t, c->r, 0);
    a->y = op_matrix(run, "y", OP_UPDATED, run->dtype, c->t, c->n, c->pad);
    // A term of y is an element of t, about sqrt(K), times one of b.
    expect_sums(run, (double)(c->k + c->r), sqrt((double)c->k));
}

void build_lora_backward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_lora_backward_args *a = &run->args.lora_backward;
    a->dy = op_matrix(run, "dy", OP_INPUT, run->dtype, c->t, c->n, c->pad);
    a->x = op_matrix(run, "x", OP_INPUT, run->dtype, c->t, c->k, c->pad);
    a->a = op_matrix(run, "a", OP_INPUT, LOAM_F32, c->r, c->k, 0);
    a->b = op_matrix(run, "b", OP_INPUT, LOAM_F32, c->n, c->r, 0);
    a->t = op_matrix(run, "t", OP_INPUT, LOAM_F32, c->t, c->r, 0);
    a->scale = scale;
    a->dropout = make_dropout(run);
    prepare_t(run, (struct loam_lora_forward_args){
                       .x = a->x, .a = a->a, .b = a->b, .scale = scale, .dropout = a->dropout, .t = a->t});
    if (!op_flagged(run, OP_NO_WEIGHT_GRADIENT)) {
        a->da = op_matrix(run, "da", OP_UPDATED, LOAM_F32, c->r, c->k, 0);
        a->db = op_matrix(run, "db", OP_UPDATED, LOAM_F32, c->n, c->r, 0);
        if (op_flagged(run, OP_BIAS)) a->dbias = op_vector(run, "dbias", OP_UPDATED, LOAM_F32, c->n);
    }
    if (!op_flagged(run, OP_NO_OPTIONAL)) {
        a->dx = op_matrix(run, "dx", OP_UPDATED, run->dtype, c->t, c->k, 0);
    }
    expect_gradients(run);
}

void build_lora_linear_forward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_lora_linear_forward_args *a = &run->args.lora_linear_forward;
    const bool in_place = op_flagged(run, OP_IN_PLACE);
    a->x = op_matrix(run, "x", OP_INPUT, run->dtype, c->t, c->k, c->pad);
    a->w = make_weight(run, c->n, c->k);
    a->bias = optional_vector(run, "bias", OP_INPUT, run->dtype, c->n);
    a->a = op_matrix(run, "a", OP_INPUT, LOAM_F32, c->r, c->k, 0);
    a->b = op_matrix(run, "b", OP_INPUT, LOAM_F32, c->n, c->r, 0);
    a->scale = scale;
    a->dropout = make_dropout(run);
    a->t = op_matrix(run, "t", OP_OUTPUT, LOAM_F32, c->t, c->r, 0);
    a->y = op_matrix(run, "y", in_place ? OP_UPDATED : OP_OUTPUT, run->dtype, c->t, c->n, c->pad);
    if (in_place)
        a->residual = a->y;
    else if (!op_flagged(run, OP_NO_OPTIONAL))
        a->residual = op_matrix(run, "residual", OP_INPUT, run->dtype, c->t, c->n, c->pad);
    expect_sums(run, (double)(c->k + c->r), sqrt((double)c->k));
}

void build_lora_linear_backward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_lora_linear_backward_args *a = &run->args.lora_linear_backward;
    a->accumulate = op_flagged(run, OP_ACCUMULATE);
    a->dy = op_matrix(run, "dy", OP_INPUT, run->dtype, c->t, c->n, c->pad);
    a->x = op_matrix(run, "x", OP_INPUT, run->dtype, c->t, c->k, c->pad);
    a->w = make_weight(run, c->n, c->k);
    a->a = op_matrix(run, "a", OP_INPUT, LOAM_F32, c->r, c->k, 0);
    a->b = op_matrix(run, "b", OP_INPUT, LOAM_F32, c->n, c->r, 0);
    a->t = op_matrix(run, "t", OP_INPUT, LOAM_F32, c->t, c->r, 0);
    a->scale = scale;
    a->dropout = make_dropout(run);
    prepare_t(run, (struct loam_lora_forward_args){
                       .x = a->x, .a = a->a, .b = a->b, .scale = scale, .dropout = a->dropout, .t = a->t});
    if (!op_flagged(run, OP_NO_WEIGHT_GRADIENT)) {
        a->da = op_matrix(run, "da", OP_UPDATED, LOAM_F32, c->r, c->k, 0);
        a->db = op_matrix(run, "db", OP_UPDATED, LOAM_F32, c->n, c->r, 0);
    }
    a->dx = op_matrix(run, "dx", a->accumulate ? OP_UPDATED : OP_OUTPUT, run->dtype, c->t, c->k, 0);
    expect_gradients(run);
}
