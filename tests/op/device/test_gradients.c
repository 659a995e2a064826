// Every backward of the reference against finite differences of its forward. The objective is the sum of the
// forward's outputs times fixed random cotangents; the cases are the f32 rows of the case table.
#include "op/device/common_op.h"

#include <math.h>

enum { MAX_PAIRS = 7, MAX_SAMPLES = 24 };

// An input of the forward and the gradient that the backward gives for it. `accumulates`: added to what was
// there.
struct pair {
    const char *name;
    struct loam_tensor input;
    struct loam_tensor gradient;
    bool accumulates;
};

// The forward that belongs to a backward run. Its inputs are those of the backward, its outputs its own.
struct check {
    enum op forward;
    union op_args args;
    struct op_run outputs; // owns the forward's outputs
    struct loam_tensor output;
    struct loam_tensor cotangent;
    double *weights; // the cotangent's values, since a backward may overwrite it
    struct pair pairs[MAX_PAIRS];
    size_t pair_count;
};

static void add_pair(struct check *check, const char *name, struct loam_tensor input,
                     struct loam_tensor gradient, bool accumulates)
{
    if (gradient.data == NULL) return;
    assert_true(check->pair_count < MAX_PAIRS);
    check->pairs[check->pair_count++] = (struct pair){name, input, gradient, accumulates};
}

// ---- the forward of each backward ----

// x w: what the gradients of a linear share
static void linear_of(struct check *check, struct loam_tensor x, struct loam_weight w,
                      struct loam_tensor bias, struct loam_tensor dy)
{
    check->forward = OP_linear_forward;
    check->output = op_matrix(&check->outputs, "y", OP_OUTPUT, LOAM_F32, dy.shape[0], dy.shape[1], 0);
    check->cotangent = dy;
    check->args.linear_forward =
        (struct loam_linear_forward_args){.x = x, .w = w, .bias = bias, .y = check->output};
}

static void derive_linear_backward_input(struct check *check, const struct op_run *run)
{
    const struct loam_linear_backward_input_args *b = &run->args.linear_backward_input;
    struct loam_tensor x =
        op_matrix(&check->outputs, "x", OP_INPUT, LOAM_F32, b->dx.shape[0], b->dx.shape[1], 0);
    linear_of(check, x, b->w, (struct loam_tensor){0}, b->dy);
    add_pair(check, "x", x, b->dx, b->accumulate);
}

static void derive_linear_backward_weight(struct check *check, const struct op_run *run)
{
    const struct loam_linear_backward_weight_args *b = &run->args.linear_backward_weight;
    struct loam_tensor w =
        op_matrix(&check->outputs, "w", OP_INPUT, LOAM_F32, b->dw.shape[0], b->dw.shape[1], 0);
    const struct loam_weight weight = {.tensor = w, .transposed = b->transposed};
    linear_of(check, b->x, weight, (struct loam_tensor){0}, b->dy);
    add_pair(check, "w", w, b->dw, true);
}

static void derive_bias_backward(struct check *check, const struct op_run *run)
{
    const struct loam_bias_backward_args *b = &run->args.bias_backward;
    struct loam_tensor x = op_matrix(&check->outputs, "x", OP_INPUT, LOAM_F32, b->dy.shape[0], 3, 0);
    struct loam_tensor w = op_matrix(&check->outputs, "w", OP_INPUT, LOAM_F32, b->dy.shape[1], 3, 0);
    struct loam_tensor bias = op_vector(&check->outputs, "bias", OP_INPUT, LOAM_F32, b->dy.shape[1]);
    linear_of(check, x, (struct loam_weight){.tensor = w}, bias, b->dy);
    add_pair(check, "bias", bias, b->dbias, true);
}

static void derive_lora_backward(struct check *check, const struct op_run *run)
{
    const struct loam_lora_backward_args *b = &run->args.lora_backward;
    int64_t tokens = b->t.shape[0], rank = b->t.shape[1];
    struct loam_tensor t = op_matrix(&check->outputs, "t", OP_OUTPUT, LOAM_F32, tokens, rank, 0), bias = {0};
    if (b->dbias.data != NULL)
        bias = op_vector(&check->outputs, "bias", OP_INPUT, LOAM_F32, loam_tensor_count(&b->dbias));
    check->forward = OP_lora_forward;
    check->output = op_matrix(&check->outputs, "y", OP_UPDATED, LOAM_F32, tokens, b->dy.shape[1], 0);
    check->cotangent = b->dy;
    check->args.lora_forward = (struct loam_lora_forward_args){.x = b->x,
                                                               .a = b->a,
                                                               .b = b->b,
                                                               .bias = bias,
                                                               .scale = b->scale,
                                                               .dropout = b->dropout,
                                                               .t = t,
                                                               .y = check->output};
    add_pair(check, "x", b->x, b->dx, true);
    add_pair(check, "a", b->a, b->da, true);
    add_pair(check, "b", b->b, b->db, true);
    add_pair(check, "bias", bias, b->dbias, true);
}

static void derive_lora_linear_backward(struct check *check, const struct op_run *run)
{
    const struct loam_lora_linear_backward_args *b = &run->args.lora_linear_backward;
    const int64_t tokens = b->t.shape[0], rank = b->t.shape[1];
    const struct loam_tensor t = op_matrix(&check->outputs, "t", OP_OUTPUT, LOAM_F32, tokens, rank, 0);
    check->forward = OP_lora_linear_forward;
    check->output = op_matrix(&check->outputs, "y", OP_OUTPUT, LOAM_F32, tokens, b->dy.shape[1], 0);
    check->cotangent = b->dy;
    check->args.lora_linear_forward = (struct loam_lora_linear_forward_args){.x = b->x,
                                                                             .w = b->w,
                                                                             .a = b->a,
                                                                             .b = b->b,
                                                                             .scale = b->scale,
                                                                             .dropout = b->dropout,
                                                                             .t = t,
                                                                             .y = check->output};
    add_pair(check, "x", b->x, b->dx, b->accumulate);
    add_pair(check, "a", b->a, b->da, true);
    add_pair(check, "b", b->b, b->db, true);
}

// y and dy of all parts as columns of one matrix.
static struct loam_tensor join_columns(struct check *check, const char *name,
                                       const struct loam_linears_backward_args *b)
{
    int64_t columns = 0;
    for (int i = 0; i < b->count; i++)
        columns += b->parts[i].dy.shape[1];
    return op_matrix(&check->outputs, name, OP_OUTPUT, LOAM_F32, b->dx.shape[0], columns, 0);
}

static struct loam_tensor columns_of(struct loam_tensor all, int64_t first, int64_t count)
{
    all.data = (float *)all.data + first;
    all.shape[1] = count;
    return all;
}

static void derive_linears_backward(struct check *check, const struct op_run *run)
{
    const struct loam_linears_backward_args *b = &run->args.linears_backward;
    struct loam_linears_forward_args *forward = &check->args.linears_forward;
    int64_t first = 0;
    check->forward = OP_linears_forward;
    check->output = join_columns(check, "y", b);
    check->cotangent = join_columns(check, "dy", b);
    *forward = (struct loam_linears_forward_args){.x = b->x, .count = b->count};
    add_pair(check, "x", b->x, b->dx, b->accumulate);
    for (int i = 0; i < b->count; i++) {
        const struct loam_linears_backward_part *part = &b->parts[i];
        const int64_t tokens = part->dy.shape[0], columns = part->dy.shape[1];
        const struct loam_tensor dy = columns_of(check->cotangent, first, columns);
        for (int64_t e = 0; e < tokens * columns; e++)
            op_set(&dy, e, op_get(&part->dy, e));
        forward->parts[i] =
            (struct loam_linears_forward_part){.w = part->w,
                                               .a = part->a,
                                               .b = part->b,
                                               .scale = part->scale,
                                               .dropout = part->dropout,
                                               .y = columns_of(check->output, first, columns)};
        first += columns;
        if (part->a.data == NULL) continue;
        forward->parts[i].t =
            op_matrix(&check->outputs, "t", OP_OUTPUT, LOAM_F32, tokens, part->a.shape[0], 0);
        add_pair(check, "a", part->a, part->da, true);
        add_pair(check, "b", part->b, part->db, true);
    }
}

static void derive_lora_embedding_backward(struct check *check, const struct op_run *run)
{
    const struct loam_lora_embedding_backward_args *b = &run->args.lora_embedding_backward;
    check->forward = OP_lora_embedding_forward;
    check->output = op_matrix(&check->outputs, "y", OP_UPDATED, LOAM_F32, b->dy.shape[0], b->dy.shape[1], 0);
    check->cotangent = b->dy;
    check->args.lora_embedding_forward = (struct loam_lora_embedding_forward_args){
        .ids = b->ids, .a = b->a, .b = b->b, .scale = b->scale, .y = check->output};
    add_pair(check, "a", b->a, b->da, true);
    add_pair(check, "b", b->b, b->db, true);
}

static void derive_dora_backward(struct check *check, const struct op_run *run)
{
    const struct loam_dora_backward_args *b = &run->args.dora_backward;
    check->forward = OP_dora_forward;
    check->output = op_matrix(&check->outputs, "y", OP_OUTPUT, LOAM_F32, b->dy.shape[0], b->dy.shape[1], 0);
    check->cotangent = b->dy;
    check->args.dora_forward = (struct loam_dora_forward_args){.z = b->z,
                                                               .u = b->u,
                                                               .magnitude = b->magnitude,
                                                               .norms = b->norms,
                                                               .factor = b->factor,
                                                               .whole = b->whole,
                                                               .y = check->output};
    add_pair(check, "z", b->z, b->dz, false);
    add_pair(check, "u", b->u, b->du, false);
    // In place the backward overwrites z and u, on which the gradient of the magnitude depends.
    if (b->dz.data != b->z.data) add_pair(check, "magnitude", b->magnitude, b->dmagnitude, true);
}

static void derive_embedding_backward(struct check *check, const struct op_run *run)
{
    const struct loam_embedding_backward_args *b = &run->args.embedding_backward;
    int64_t rows = b->dtable.shape[0], size = b->dtable.shape[1];
    struct loam_tensor table = op_matrix(&check->outputs, "table", OP_INPUT, LOAM_F32, rows, size, 0);
    check->forward = OP_embedding_forward;
    check->output = op_matrix(&check->outputs, "y", OP_OUTPUT, LOAM_F32, b->dy.shape[0], size, 0);
    check->cotangent = b->dy;
    check->args.embedding_forward =
        (struct loam_embedding_forward_args){.ids = b->ids, .table = table, .y = check->output};
    add_pair(check, "table", table, b->dtable, true);
}

// dy is the cotangent before, and the gradient of y after.
static void derive_replace_rows_backward(struct check *check, const struct op_run *run)
{
    const struct loam_replace_rows_backward_args *b = &run->args.replace_rows_backward;
    const int64_t tokens = b->dy.shape[0], size = b->dy.shape[1], rows = loam_tensor_count(&b->tokens);
    struct loam_tensor own = op_matrix(&check->outputs, "rows", OP_INPUT, LOAM_F32, rows, size, 0);
    check->forward = OP_replace_rows_forward;
    check->output = op_matrix(&check->outputs, "y", OP_UPDATED, LOAM_F32, tokens, size, 0);
    check->cotangent = b->dy;
    check->args.replace_rows_forward = (struct loam_replace_rows_forward_args){
        .ids = b->ids, .tokens = b->tokens, .rows = own, .factor = b->factor, .y = check->output};
    add_pair(check, "rows", own, b->drows, true);
    add_pair(check, "y", check->output, b->dy, false);
}

static void derive_replace_columns_backward(struct check *check, const struct op_run *run)
{
    const struct loam_replace_columns_backward_args *b = &run->args.replace_columns_backward;
    struct loam_tensor x =
        op_matrix(&check->outputs, "x", OP_INPUT, LOAM_F32, b->dx.shape[0], b->dx.shape[1], 0);
    check->forward = OP_replace_columns_forward;
    check->output = op_matrix(&check->outputs, "y", OP_UPDATED, LOAM_F32, b->dy.shape[0], b->dy.shape[1], 0);
    check->cotangent = b->dy;
    check->args.replace_columns_forward = (struct loam_replace_columns_forward_args){
        .x = x, .tokens = b->tokens, .factor = b->factor, .y = check->output};
    add_pair(check, "x", x, b->dx, false);
    add_pair(check, "y", check->output, b->dy, false);
}

static void derive_layernorm_backward(struct check *check, const struct op_run *run)
{
    const struct loam_layernorm_backward_args *b = &run->args.layernorm_backward;
    int64_t tokens = b->x.shape[0], size = b->x.shape[1];
    struct loam_tensor bias = op_vector(&check->outputs, "b", OP_INPUT, LOAM_F32, size);
    check->forward = OP_layernorm_forward;
    check->output = op_matrix(&check->outputs, "y", OP_OUTPUT, LOAM_F32, tokens, size, 0);
    check->cotangent = b->dy;
    check->args.layernorm_forward = (struct loam_layernorm_forward_args){
        .x = b->x,
        .w = b->w,
        .b = bias,
        .eps = 1e-5f,
        .y = check->output,
        .mean = op_vector(&check->outputs, "mean", OP_OUTPUT, LOAM_F32, tokens),
        .rstd = op_vector(&check->outputs, "rstd", OP_OUTPUT, LOAM_F32, tokens)};
    add_pair(check, "x", b->x, b->dx, b->accumulate);
    add_pair(check, "w", b->w, b->dw, true);
    add_pair(check, "b", bias, b->db, true);
}

static void derive_rmsnorm_backward(struct check *check, const struct op_run *run)
{
    const struct loam_rmsnorm_backward_args *b = &run->args.rmsnorm_backward;
    int64_t tokens = b->x.shape[0], size = b->x.shape[1];
    check->forward = OP_rmsnorm_forward;
    check->output = op_matrix(&check->outputs, "y", OP_OUTPUT, LOAM_F32, tokens, size, 0);
    check->cotangent = b->dy;
    check->args.rmsnorm_forward = (struct loam_rmsnorm_forward_args){
        .x = b->x,
        .w = b->w,
        .offset = b->offset,
        .eps = 1e-6f,
        .y = check->output,
        .rstd = op_vector(&check->outputs, "rstd", OP_OUTPUT, LOAM_F32, tokens)};
    add_pair(check, "x", b->x, b->dx, b->accumulate);
    add_pair(check, "w", b->w, b->dw, true);
}

// The backward of a rotation in place is the inverse rotation of the gradient in place: x is the cotangent
// before and the gradient after, and the forward rotates a tensor of its own the other way.
static void derive_rope(struct check *check, const struct op_run *run)
{
    const struct loam_rope_args *b = &run->args.rope;
    int64_t tokens = b->x.shape[0], heads = b->x.shape[1], size = b->x.shape[2];
    check->forward = OP_rope;
    check->output = op_heads(&check->outputs, "x", OP_UPDATED, LOAM_F32, tokens, heads, size, 0);
    check->cotangent = b->x;
    check->args.rope = (struct loam_rope_args){
        .x = check->output, .table = b->table, .interleaved = b->interleaved, .inverse = !b->inverse};
    add_pair(check, "x", check->output, b->x, false);
}

static void derive_attention_backward(struct check *check, const struct op_run *run)
{
    const struct loam_attention_backward_args *b = &run->args.attention_backward;
    int64_t tokens = b->q.shape[0], heads = b->q.shape[1], size = b->q.shape[2];
    check->forward = OP_attention_forward;
    check->output = op_heads(&check->outputs, "out", OP_OUTPUT, LOAM_F32, tokens, heads, size, 0);
    check->cotangent = b->dout;
    check->args.attention_forward = (struct loam_attention_forward_args){
        .q = b->q,
        .k = b->k,
        .v = b->v,
        .shape = b->shape,
        .out = check->output,
        .lse = op_matrix(&check->outputs, "lse", OP_OUTPUT, LOAM_F32, heads, tokens, 0)};
    add_pair(check, "q", b->q, b->dq, false);
    add_pair(check, "k", b->k, b->dk, false);
    add_pair(check, "v", b->v, b->dv, false);
}

static void derive_activation_backward(struct check *check, const struct op_run *run)
{
    const struct loam_activation_backward_args *b = &run->args.activation_backward;
    check->forward = OP_activation_forward;
    check->output = op_matrix(&check->outputs, "y", OP_OUTPUT, LOAM_F32, b->x.shape[0], b->x.shape[1], 0);
    check->cotangent = b->dy;
    check->args.activation_forward =
        (struct loam_activation_forward_args){.kind = b->kind, .x = b->x, .y = check->output};
    add_pair(check, "x", b->x, b->dx, false);
}

static void derive_gated_activation_backward(struct check *check, const struct op_run *run)
{
    const struct loam_gated_activation_backward_args *b = &run->args.gated_activation_backward;
    int64_t tokens = b->up.shape[0], size = b->up.shape[1];
    check->forward = OP_gated_activation_forward;
    check->output = op_matrix(&check->outputs, "y", OP_OUTPUT, LOAM_F32, tokens, size, 0);
    check->cotangent = b->dy;
    check->args.gated_activation_forward = (struct loam_gated_activation_forward_args){
        .kind = b->kind, .gate = b->gate, .up = b->up, .y = check->output};
    add_pair(check, "gate", b->gate, b->dgate, false);
    add_pair(check, "up", b->up, b->dup, false);
}

// Its own backward: the cotangent of the losses is factors.
static void derive_linear_cross_entropy(struct check *check, const struct op_run *run)
{
    const struct loam_linear_cross_entropy_args *b = &run->args.linear_cross_entropy;
    check->forward = OP_linear_cross_entropy;
    check->output = op_vector(&check->outputs, "losses", OP_OUTPUT, LOAM_F32, b->h.shape[0]);
    check->cotangent = b->factors;
    check->args.linear_cross_entropy =
        (struct loam_linear_cross_entropy_args){.h = b->h,
                                                .w = b->w,
                                                .bias = b->bias,
                                                .logit_factor = b->logit_factor,
                                                .logit_softcap = b->logit_softcap,
                                                .targets = b->targets,
                                                .losses = check->output};
    add_pair(check, "h", b->h, b->dh, false);
    add_pair(check, "w", b->w.tensor, b->dw, true);
    add_pair(check, "bias", b->bias, b->dbias, true);
}

// Its own backward: products are the input before, and their gradient after.
static void derive_cross_entropy(struct check *check, const struct op_run *run)
{
    const struct loam_cross_entropy_args *b = &run->args.cross_entropy;
    const struct loam_tensor *products = &b->products;
    struct loam_tensor copy =
        op_matrix(&check->outputs, "products", OP_INPUT, LOAM_F32, products->shape[0], products->shape[1], 0);
    for (int64_t i = 0; i < loam_tensor_count(products); i++)
        op_set(&copy, i, op_get(products, i));
    check->forward = OP_cross_entropy;
    check->output = op_vector(&check->outputs, "losses", OP_OUTPUT, LOAM_F32, products->shape[0]);
    check->cotangent = b->factors;
    check->args.cross_entropy = (struct loam_cross_entropy_args){.products = copy,
                                                                 .logit_factor = b->logit_factor,
                                                                 .logit_softcap = b->logit_softcap,
                                                                 .targets = b->targets,
                                                                 .losses = check->output};
    if (b->factors.data != NULL) add_pair(check, "products", copy, *products, false);
}

static void (*const derivations[OP_COUNT])(struct check *check, const struct op_run *run) = {
    [OP_linear_backward_input] = derive_linear_backward_input,
    [OP_linear_backward_weight] = derive_linear_backward_weight,
    [OP_bias_backward] = derive_bias_backward,
    [OP_lora_backward] = derive_lora_backward,
    [OP_lora_linear_backward] = derive_lora_linear_backward,
    [OP_linears_backward] = derive_linears_backward,
    [OP_lora_embedding_backward] = derive_lora_embedding_backward,
    [OP_dora_backward] = derive_dora_backward,
    [OP_embedding_backward] = derive_embedding_backward,
    [OP_replace_rows_backward] = derive_replace_rows_backward,
    [OP_replace_columns_backward] = derive_replace_columns_backward,
    [OP_layernorm_backward] = derive_layernorm_backward,
    [OP_rmsnorm_backward] = derive_rmsnorm_backward,
    [OP_rope] = derive_rope,
    [OP_attention_backward] = derive_attention_backward,
    [OP_activation_backward] = derive_activation_backward,
    [OP_gated_activation_backward] = derive_gated_activation_backward,
    [OP_linear_cross_entropy] = derive_linear_cross_entropy,
    [OP_cross_entropy] = derive_cross_entropy,
};

// ---- differences ----

static double objective(struct check *check, const struct loam_device *ref)
{
    op_run_on(ref, check->forward, &check->args);
    double sum = 0.0;
    for (int64_t i = 0; i < loam_tensor_count(&check->output); i++) {
        sum += op_get(&check->output, i) * check->weights[i];
    }
    return sum;
}

// The objective with element `index` of `input` moved by `step`; everything is put back.
static double moved(struct check *check, const struct loam_device *ref, const struct loam_tensor *input,
                    int64_t index, double step, double *moved_by)
{
    double value = op_get(input, index);
    op_set(input, index, value + step);
    *moved_by = op_get(input, index) - value; // the step that f32 can hold
    double sum = objective(check, ref);
    op_restore(&check->outputs);
    op_set(input, index, value);
    return sum;
}

static double central(struct check *check, const struct loam_device *ref, const struct loam_tensor *input,
                      int64_t index, double step)
{
    double up, down;
    double difference =
        moved(check, ref, input, index, step, &up) - moved(check, ref, input, index, -step, &down);
    return difference / (up - down);
}

// Two central differences, extrapolated: the error is of order step^4. Outputs are rounded to f32, so the
// objective is off by about 2^-24 a term and the quotient by 2^-24 sqrt(terms) / step, 1e-5 at the step
// below: the tolerance is well above that, and below what a wrong factor or a missing term would leave.
static void check_element(struct check *check, const struct loam_device *ref, const struct op_run *run,
                          const struct pair *pair, int64_t index, double gradient)
{
    const double step = 0x1p-6;
    char text[96];
    double fine = central(check, ref, &pair->input, index, step);
    double coarse = central(check, ref, &pair->input, index, 2.0 * step);
    double difference = (4.0 * fine - coarse) / 3.0;
    double allowed = 3e-4 * (1.0 + fabs(difference));
    if (fabs(gradient - difference) <= allowed) return;
    fail_msg("%s: d%s[%d] is %.7g, finite differences say %.7g", op_describe(run, text), pair->name,
             (int)index, gradient, difference);
}

static double *values_of(const struct loam_tensor *tensor)
{
    int64_t count = loam_tensor_count(tensor);
    double *values = malloc((size_t)count * sizeof *values);
    assert_non_null(values);
    for (int64_t i = 0; i < count; i++)
        values[i] = op_get(tensor, i);
    return values;
}

static void check_pair(struct check *check, const struct loam_device *ref, const struct op_run *run,
                       const struct pair *pair, const double *before, const double *after)
{
    int64_t count = loam_tensor_count(&pair->input);
    assert_int_equal(count, loam_tensor_count(&pair->gradient));
    int64_t stride = count / MAX_SAMPLES + 1;
    for (int64_t i = 0; i < count; i += stride) {
        check_element(check, ref, run, pair, i, after[i] - (pair->accumulates ? before[i] : 0.0));
    }
}

static void check_pairs(const struct loam_device *ref, const struct op_run *run, struct check *check)
{
    check->weights = values_of(&check->cotangent);
    double *before[MAX_PAIRS] = {0}, *after[MAX_PAIRS] = {0};
    for (size_t i = 0; i < check->pair_count; i++)
        before[i] = values_of(&check->pairs[i].gradient);
    op_run_on(ref, run->test->op, &run->args);
    for (size_t i = 0; i < check->pair_count; i++)
        after[i] = values_of(&check->pairs[i].gradient);
    for (size_t i = 0; i < check->pair_count; i++) {
        check_pair(check, ref, run, &check->pairs[i], before[i], after[i]);
        free(before[i]);
        free(after[i]);
    }
    free(check->weights);
}

static void check_case(const struct loam_device *ref, const struct op_case *test)
{
    struct op_run run;
    op_build(&run, test, LOAM_F32);
    struct check check = {.outputs = {.test = test, .dtype = LOAM_F32}};
    derivations[test->op](&check, &run);
    op_snapshot(&check.outputs);
    // Without a gradient there is no cotangent, either.
    if (check.pair_count > 0) check_pairs(ref, &run, &check);
    op_run_free(&check.outputs);
    op_run_free(&run);
}

static void test_gradients(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_device *ref = NULL;
    assert_ok(loam_device_create(&ref, "ref", 1, &error));
    for (size_t i = 0; i < op_case_count; i++) {
        // A step is not small where values are large.
        bool steep = (op_cases[i].flags & OP_LARGE) != 0;
        if (derivations[op_cases[i].op] != NULL && !steep) check_case(ref, &op_cases[i]);
    }
    loam_device_destroy(ref);
}

static void test_every_backward_is_checked(void **state)
{
    (void)state;
    for (int op = 0; op < OP_COUNT; op++) {
        if (strstr(op_name((enum op)op), "_backward") != NULL && derivations[op] == NULL) {
            fail_msg("%s has no forward to be checked against", op_name((enum op)op));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_backward_is_checked),
        cmocka_unit_test(test_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
