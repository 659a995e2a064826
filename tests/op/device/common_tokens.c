// The arguments of the ops on tokens with an adapter or a row of their own, made from a row of the case table.
#include <math.h>

#include "op/device/common_parts.h"

void build_lora_embedding_forward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_lora_embedding_forward_args *a = &run->args.lora_embedding_forward;
    a->ids = make_ids(run, "ids", c->t, c->n);
    a->a = op_matrix(run, "a", OP_INPUT, LOAM_F32, c->r, c->k, 0);
    a->b = op_matrix(run, "b", OP_INPUT, LOAM_F32, c->n, c->r, 0);
    a->scale = 0.75f;
    a->y = op_matrix(run, "y", OP_UPDATED, run->dtype, c->t, c->k, 0);
    expect_sums(run, (double)c->r + 1.0, 1.0);
}

void build_lora_embedding_backward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_lora_embedding_backward_args *a = &run->args.lora_embedding_backward;
    a->ids = make_ids(run, "ids", c->t, c->n);
    a->dy = op_matrix(run, "dy", OP_INPUT, run->dtype, c->t, c->k, 0);
    a->a = op_matrix(run, "a", OP_INPUT, LOAM_F32, c->r, c->k, 0);
    a->b = op_matrix(run, "b", OP_INPUT, LOAM_F32, c->n, c->r, 0);
    a->scale = 0.75f;
    a->da = op_matrix(run, "da", OP_UPDATED, LOAM_F32, c->r, c->k, 0);
    op_mark_exact(run);
    a->db = op_matrix(run, "db", OP_UPDATED, LOAM_F32, c->n, c->r, 0);
    op_mark_exact(run);
    expect_sums(run, (double)(c->t + c->k), 1.0);
}

// `count` tokens of 0..limit-1, rising.
static struct loam_tensor make_tokens(struct op_run *run, int64_t count, int64_t limit)
{
    int32_t tokens[128];
    assert_true(count <= 128 && count <= limit);
    for (int64_t i = 0; i < count; i++)
        tokens[i] = (int32_t)((i + 1) * limit / count - 1);
    return op_indices(run, "tokens", tokens, count);
}

static float row_factor(const struct op_run *run)
{
    return op_flagged(run, OP_FACTOR) ? -0.75f : 1.0f;
}

void build_replace_rows_forward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_replace_rows_forward_args *a = &run->args.replace_rows_forward;
    a->ids = make_ids(run, "ids", c->t, c->n);
    a->tokens = make_tokens(run, c->r, c->n);
    a->rows = op_matrix(run, "rows", OP_INPUT, LOAM_F32, c->r, c->k, 0);
    a->factor = row_factor(run);
    a->y = op_matrix(run, "y", OP_UPDATED, run->dtype, c->t, c->k, 0);
    expect_sums(run, 2.0, 2.0);
}

void build_replace_rows_backward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_replace_rows_backward_args *a = &run->args.replace_rows_backward;
    a->ids = make_ids(run, "ids", c->t, c->n);
    a->tokens = make_tokens(run, c->r, c->n);
    a->factor = row_factor(run);
    a->dy = op_matrix(run, "dy", OP_UPDATED, run->dtype, c->t, c->k, 0);
    if (!op_flagged(run, OP_NO_OPTIONAL)) {
        a->drows = op_matrix(run, "drows", OP_UPDATED, LOAM_F32, c->r, c->k, 0);
        op_mark_exact(run);
    }
    expect_sums(run, (double)c->t, 2.0);
}

void build_replace_columns_forward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_replace_columns_forward_args *a = &run->args.replace_columns_forward;
    a->tokens = make_tokens(run, c->r, c->n);
    a->x = op_matrix(run, "x", OP_INPUT, LOAM_F32, c->t, c->r, 0);
    a->factor = row_factor(run);
    a->y = op_matrix(run, "y", OP_UPDATED, LOAM_F32, c->t, c->n, 0);
    op_mark_exact(run);
    expect_sums(run, 2.0, 2.0);
}

void build_replace_columns_backward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_replace_columns_backward_args *a = &run->args.replace_columns_backward;
    a->tokens = make_tokens(run, c->r, c->n);
    a->factor = row_factor(run);
    a->dx = op_matrix(run, "dx", OP_OUTPUT, LOAM_F32, c->t, c->r, 0);
    op_mark_exact(run);
    a->dy = op_matrix(run, "dy", OP_UPDATED, LOAM_F32, c->t, c->n, 0);
    op_mark_exact(run);
    expect_sums(run, 2.0, 2.0);
}

void build_cast(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_cast_args *a = &run->args.cast;
    const bool f16 = run->dtype == LOAM_F16, widens = op_flagged(run, OP_F32_OUTPUT);
    const enum loam_dtype out = widens ? LOAM_F32 : f16 ? LOAM_F16 : LOAM_BF16;
    a->x = op_matrix(run, "x", OP_INPUT, f16 && !widens ? LOAM_F32 : run->dtype, c->t, c->k, c->pad);
    a->y = op_matrix(run, "y", OP_OUTPUT, out, c->t, c->k, c->pad);
    expect_sums(run, 0.0, 0.0);
}
