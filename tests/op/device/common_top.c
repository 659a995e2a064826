// The arguments of the search for the largest logits.
#include <math.h>

#include "op/device/common_parts.h"

// Bits of ids that may be candidates: one of three, and in the third row none.
static void allow_some(const struct loam_tensor *allowed)
{
    int32_t *words = allowed->data;
    for (int64_t i = 0; i < loam_tensor_count(allowed); i++)
        words[i] = i / allowed->shape[1] == 2 ? 0 : (int32_t)(0x92492492u + (uint32_t)i);
}

void build_top_logits(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_top_logits_args *a = &run->args.top_logits;
    a->x = op_matrix(run, "x", OP_INPUT, LOAM_F32, c->t, c->n, 0);
    if (op_flagged(run, OP_LARGE)) scale_values(&a->x, 60.0, 0.0);
    // Equal logits, zeros of both signs, and some that are not finite.
    for (int64_t i = 0; i < c->t * c->n; i += 7) {
        op_set(&a->x, i, op_get(&a->x, i / 21 * 7));
        if (i % 5 == 0) op_set(&a->x, i, i % 2 == 0 ? 0.0 : -0.0);
    }
    if (op_flagged(run, OP_LARGE) && c->t > 1) {
        op_set(&a->x, c->n + c->n / 2, NAN);
        op_set(&a->x, 2 * c->n - 1, INFINITY);
    }
    a->limit = op_flagged(run, OP_OFFSET) ? (c->n + 1) / 2 : c->n;
    if (op_flagged(run, OP_COLUMNS)) {
        a->allowed = op_matrix(run, "allowed", OP_INPUT, LOAM_I32, c->t, (c->n + 31) / 32, 0);
        allow_some(&a->allowed);
    }
    if (!op_flagged(run, OP_NO_OPTIONAL)) {
        enum { ASKED = 3 };
        a->asked = op_matrix(run, "asked", OP_INPUT, LOAM_I32, c->t, ASKED, 0);
        for (int64_t i = 0; i < c->t * ASKED; i += 2)
            ((int32_t *)a->asked.data)[i] = (int32_t)(i * 5 % c->n);
        a->answers = op_matrix(run, "answers", OP_OUTPUT, LOAM_F32, c->t, ASKED, 0);
        a->factors = op_vector(run, "factors", OP_INPUT, LOAM_F32, c->t);
        scale_values(&a->factors, 0.4, 0.7);
        a->sums = op_vector(run, "sums", OP_OUTPUT, LOAM_F32, c->t);
    }
    a->values = op_matrix(run, "values", OP_OUTPUT, LOAM_F32, c->t, c->r, 0);
    a->ids = op_matrix(run, "ids", OP_OUTPUT, LOAM_I32, c->t, c->r, 0);
    a->faults = op_vector(run, "faults", OP_OUTPUT, LOAM_I32, c->t);
    for (size_t i = 0; i < run->count; i++)
        run->buffers[i].exact = true;
    expect_sums(run, (double)c->n, 1.0);
}
