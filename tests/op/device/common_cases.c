// The case table of the op tests, and how the arguments of each op are made from a row of it.
#include <math.h>

#include "op/device/common_parts.h"

// ---- pieces that several ops share ----

static struct loam_tensor absent(void)
{
    return (struct loam_tensor){0};
}

struct loam_tensor optional_vector(struct op_run *run, const char *name, enum op_role role,
                                   enum loam_dtype dtype, int64_t count)
{
    return op_flagged(run, OP_NO_OPTIONAL) ? absent() : op_vector(run, name, role, dtype, count);
}

void scale_values(const struct loam_tensor *tensor, double factor, double offset)
{
    for (int64_t i = 0; i < loam_tensor_count(tensor); i++)
        op_set(tensor, i, op_get(tensor, i) * factor + offset);
}

void expect_sums(struct op_run *run, double reduction, double magnitude)
{
    run->reduction = reduction;
    run->magnitude = magnitude;
}

// Rising and repeated, all in 0..limit-1.
struct loam_tensor make_ids(struct op_run *run, const char *name, int64_t count, int64_t limit)
{
    int32_t ids[128];
    assert_true(count <= 128);
    for (int64_t i = 0; i < count; i++)
        ids[i] = (int32_t)(i * 5 % limit);
    return op_indices(run, name, ids, count);
}

// ---- matmul ----

// Of a matrix that activations are multiplied with.
enum loam_dtype weight_dtype(const struct op_run *run)
{
    if (run->dtype != LOAM_F32) return run->dtype;
    if (op_flagged(run, OP_F16_WEIGHT)) return LOAM_F16;
    return op_flagged(run, OP_HALF_WEIGHT) ? LOAM_BF16 : LOAM_F32;
}

// w [N, K], or [K, N] where it is transposed
struct loam_weight make_weight(struct op_run *run, int64_t n, int64_t k)
{
    const bool transposed = op_flagged(run, OP_TRANSPOSED);
    return (struct loam_weight){
        .tensor = op_matrix(run, "w", OP_INPUT, weight_dtype(run), transposed ? k : n, transposed ? n : k, 0),
        .transposed = transposed};
}

static void build_linear_forward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_linear_forward_args *a = &run->args.linear_forward;
    enum loam_dtype out = op_flagged(run, OP_F32_OUTPUT) ? LOAM_F32 : run->dtype;
    bool in_place = op_flagged(run, OP_IN_PLACE);
    a->x = op_matrix(run, "x", OP_INPUT, run->dtype, c->t, c->k, c->pad);
    a->w = make_weight(run, c->n, c->k);
    a->bias = optional_vector(run, "bias", OP_INPUT, run->dtype, c->n);
    a->y = op_matrix(run, "y", in_place ? OP_UPDATED : OP_OUTPUT, out, c->t, c->n, c->pad);
    if (op_flagged(run, OP_F32_OUTPUT)) op_mark_exact(run);
    if (in_place) {
        a->residual = a->y;
    } else if (!op_flagged(run, OP_NO_OPTIONAL)) {
        a->residual = op_matrix(run, "residual", OP_INPUT, out, c->t, c->n, c->pad);
    }
    expect_sums(run, (double)c->k, 1.0);
}

static void build_linear_backward_input(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_linear_backward_input_args *a = &run->args.linear_backward_input;
    a->accumulate = op_flagged(run, OP_ACCUMULATE);
    a->dy = op_matrix(run, "dy", OP_INPUT, run->dtype, c->t, c->n, c->pad);
    a->w = make_weight(run, c->n, c->k);
    a->dx = op_matrix(run, "dx", a->accumulate ? OP_UPDATED : OP_OUTPUT, run->dtype, c->t, c->k, 0);
    expect_sums(run, (double)c->n, 1.0);
}

static void build_linear_backward_weight(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_linear_backward_weight_args *a = &run->args.linear_backward_weight;
    a->dy = op_matrix(run, "dy", OP_INPUT, run->dtype, c->t, c->n, c->pad);
    a->x = op_matrix(run, "x", OP_INPUT, run->dtype, c->t, c->k, c->pad);
    a->transposed = op_flagged(run, OP_TRANSPOSED);
    a->dw = op_matrix(run, "dw", OP_UPDATED, LOAM_F32, a->transposed ? c->k : c->n,
                      a->transposed ? c->n : c->k, 0);
    expect_sums(run, (double)c->t + 1.0, 1.0);
}

static void build_bias_backward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_bias_backward_args *a = &run->args.bias_backward;
    a->dy = op_matrix(run, "dy", OP_INPUT, run->dtype, c->t, c->n, c->pad);
    a->dbias = op_vector(run, "dbias", OP_UPDATED, LOAM_F32, c->n);
    op_mark_exact(run);
    expect_sums(run, (double)c->t + 1.0, 1.0);
}

// ---- LoRA ----

struct loam_dropout make_dropout(const struct op_run *run)
{
    // A counter that is no multiple of 4 starts in the middle of a block of random words.
    return (struct loam_dropout){.p = op_flagged(run, OP_DROPOUT) ? 0.3f : 0.0f,
                                 .seed = 11,
                                 .stream = 3ull << 32 | 5,
                                 .counter = 1234567};
}

// ---- embedding ----

static void build_embedding_forward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_embedding_forward_args *a = &run->args.embedding_forward;
    a->ids = make_ids(run, "ids", c->t, c->n);
    a->table = op_matrix(run, "table", OP_INPUT, weight_dtype(run), c->n, c->k, 0);
    a->y = op_matrix(run, "y", OP_OUTPUT, run->dtype, c->t, c->k, 0);
    op_mark_exact(run);
    expect_sums(run, 0.0, 0.0);
}

static void build_embedding_backward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_embedding_backward_args *a = &run->args.embedding_backward;
    a->ids = make_ids(run, "ids", c->t, c->n);
    a->dy = op_matrix(run, "dy", OP_INPUT, run->dtype, c->t, c->k, 0);
    a->dtable = op_matrix(run, "dtable", OP_UPDATED, LOAM_F32, c->n, c->k, 0);
    op_mark_exact(run);
    expect_sums(run, (double)c->t, 1.0);
}

static void build_gather_rows(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_gather_rows_args *a = &run->args.gather_rows;
    a->rows = make_ids(run, "rows", c->t, c->n);
    a->x = op_matrix(run, "x", OP_INPUT, run->dtype, c->n, c->k, c->pad);
    a->y = op_matrix(run, "y", OP_OUTPUT, run->dtype, c->t, c->k, 0);
    op_mark_exact(run);
    expect_sums(run, 0.0, 0.0);
}

// ---- norm ----

// Far from zero a variance by E[x^2] - E[x]^2 loses everything.
static struct loam_tensor make_norm_input(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_tensor x = op_matrix(run, "x", OP_INPUT, run->dtype, c->t, c->k, 0);
    if (op_flagged(run, OP_LARGE)) scale_values(&x, 30.0, 100.0);
    // A normal is at most a few; x itself is rounded relative to its size.
    expect_sums(run, (double)c->k, op_flagged(run, OP_LARGE) ? 20.0 : 4.0);
    return x;
}

static void build_layernorm_forward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_layernorm_forward_args *a = &run->args.layernorm_forward;
    a->x = make_norm_input(run);
    a->w = op_vector(run, "w", OP_INPUT, run->dtype, c->k);
    if (!op_flagged(run, OP_NO_OPTIONAL)) a->b = op_vector(run, "b", OP_INPUT, run->dtype, c->k);
    a->eps = 1e-5f;
    a->y = op_matrix(run, "y", OP_OUTPUT, run->dtype, c->t, c->k, 0);
    a->mean = op_vector(run, "mean", OP_OUTPUT, LOAM_F32, c->t);
    op_mark_exact(run);
    a->rstd = op_vector(run, "rstd", OP_OUTPUT, LOAM_F32, c->t);
    op_mark_exact(run);
}

// dy and dx of a norm: one tensor, or two.
static void make_norm_gradients(struct op_run *run, struct loam_tensor *dy, struct loam_tensor *dx)
{
    const struct op_case *c = run->test;
    bool in_place = op_flagged(run, OP_IN_PLACE);
    *dy = op_matrix(run, "dy", in_place ? OP_UPDATED : OP_INPUT, run->dtype, c->t, c->k, 0);
    *dx = *dy;
    if (in_place) return;
    enum op_role role = op_flagged(run, OP_ACCUMULATE) ? OP_UPDATED : OP_OUTPUT;
    *dx = op_matrix(run, "dx", role, run->dtype, c->t, c->k, 0);
}

static struct loam_tensor make_norm_sum(struct op_run *run, const char *name)
{
    struct loam_tensor sum = optional_vector(run, name, OP_UPDATED, LOAM_F32, run->test->k);
    if (sum.data != NULL) op_mark_exact(run);
    return sum;
}

static void build_layernorm_backward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_layernorm_backward_args *a = &run->args.layernorm_backward;
    make_norm_gradients(run, &a->dy, &a->dx);
    a->accumulate = op_flagged(run, OP_ACCUMULATE);
    a->x = make_norm_input(run);
    a->w = op_vector(run, "w", OP_INPUT, run->dtype, c->k);
    a->mean = op_vector(run, "mean", OP_INPUT, LOAM_F32, c->t);
    a->rstd = op_vector(run, "rstd", OP_INPUT, LOAM_F32, c->t);
    struct loam_tensor y = op_matrix(run, "y of the forward", OP_INPUT, run->dtype, c->t, c->k, 0);
    op_prepare(
        OP_layernorm_forward,
        &(union op_args){
            .layernorm_forward = {
                .x = a->x, .w = a->w, .b = a->w, .eps = 1e-5f, .y = y, .mean = a->mean, .rstd = a->rstd}});
    a->dw = make_norm_sum(run, "dw");
    a->db = make_norm_sum(run, "db");
    run->reduction += (double)c->t;
}

static float norm_offset(struct op_run *run)
{
    if (!op_flagged(run, OP_OFFSET)) return 0;
    run->magnitude *= 2;
    return 1;
}

static void build_rmsnorm_forward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_rmsnorm_forward_args *a = &run->args.rmsnorm_forward;
    a->x = make_norm_input(run);
    a->w = op_vector(run, "w", OP_INPUT, run->dtype, c->k);
    a->offset = norm_offset(run);
    a->eps = 1e-6f;
    a->y = op_matrix(run, "y", OP_OUTPUT, run->dtype, c->t, c->k, 0);
    a->rstd = op_vector(run, "rstd", OP_OUTPUT, LOAM_F32, c->t);
    op_mark_exact(run);
}

static void build_rmsnorm_backward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_rmsnorm_backward_args *a = &run->args.rmsnorm_backward;
    make_norm_gradients(run, &a->dy, &a->dx);
    a->accumulate = op_flagged(run, OP_ACCUMULATE);
    a->x = make_norm_input(run);
    a->w = op_vector(run, "w", OP_INPUT, run->dtype, c->k);
    a->offset = norm_offset(run);
    a->rstd = op_vector(run, "rstd", OP_INPUT, LOAM_F32, c->t);
    struct loam_tensor y = op_matrix(run, "y of the forward", OP_INPUT, run->dtype, c->t, c->k, 0);
    op_prepare(OP_rmsnorm_forward,
               &(union op_args){
                   .rmsnorm_forward = {
                       .x = a->x, .w = a->w, .offset = a->offset, .eps = 1e-6f, .y = y, .rstd = a->rstd}});
    a->dw = make_norm_sum(run, "dw");
    run->reduction += (double)c->t;
}

// ---- position ----

static void build_rope_table(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_rope_table_args *a = &run->args.rope_table;
    a->positions = make_ids(run, "positions", c->t, 4001);
    int32_t *positions = a->positions.data;
    for (int64_t t = 0; t < c->t; t++)
        positions[t] *= 31;
    a->frequencies = op_vector(run, "frequencies", OP_INPUT, LOAM_F32, c->size / 2);
    for (int64_t i = 0; i < c->size / 2; i++) {
        op_set(&a->frequencies, i, pow(10000.0, -2.0 * (double)i / (double)c->size));
    }
    a->factor = op_flagged(run, OP_FACTOR) ? 1.25f : 1;
    if (op_flagged(run, OP_QUERY_SCALE)) {
        a->query_beta = 0.1f;
        a->query_context = 16 * 31; // some positions are multiples of it
    }
    a->table = op_matrix(run, "table", OP_OUTPUT, LOAM_F32, c->t, c->size, 0);
    op_mark_exact(run);
    expect_sums(run, 2.0, 1.0);
}

static void build_rope(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_rope_args *a = &run->args.rope;
    a->x = op_heads(run, "x", OP_UPDATED, run->dtype, c->t, c->heads, c->size, c->pad);
    a->table = op_matrix(run, "table", OP_INPUT, LOAM_F32, c->t, c->size, 0);
    a->interleaved = op_flagged(run, OP_INTERLEAVED);
    a->inverse = op_flagged(run, OP_INVERSE);
    expect_sums(run, 2.0, 1.0);
}

// Query and key with tables of their own, as where queries are scaled.
static void build_ropes(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_rope_args *parts[] = {&run->args.ropes.query, &run->args.ropes.key};
    for (int i = 0; i < 2; i++) {
        parts[i]->x = op_heads(run, i == 0 ? "query" : "key", OP_UPDATED, run->dtype, c->t,
                               i == 0 ? c->heads : c->groups, c->size, c->pad);
        parts[i]->table = op_matrix(run, "table", OP_INPUT, LOAM_F32, c->t, c->size, 0);
        parts[i]->interleaved = op_flagged(run, OP_INTERLEAVED);
        parts[i]->inverse = op_flagged(run, OP_INVERSE);
    }
    expect_sums(run, 2.0, 1.0);
}

// ---- attention ----

// q [Tq, Q, D], k and v [Tkv, G, D]: each a tensor, or all three views of a fused one.
struct heads {
    struct loam_tensor q, k, v;
};

static struct loam_tensor head_view(const struct loam_tensor *fused, int64_t offset, int64_t heads,
                                    int64_t head_stride, int64_t size)
{
    struct loam_tensor view = loam_tensor_3d(NULL, fused->dtype, fused->shape[0], heads, size);
    view.data = (char *)fused->data + (size_t)offset * loam_dtype_size(fused->dtype);
    view.stride[0] = fused->stride[0];
    view.stride[1] = head_stride;
    return view;
}

static struct heads make_heads(struct op_run *run, const char *const names[4], enum op_role role, int64_t tq,
                               int64_t tkv)
{
    const struct op_case *c = run->test;
    int64_t size = c->size;
    if (op_flagged(run, OP_FUSED_HEADS)) {
        struct loam_tensor f = op_matrix(run, names[3], role, run->dtype, tq, c->heads * 3 * size, c->pad);
        return (struct heads){head_view(&f, 0, c->heads, 3 * size, size),
                              head_view(&f, size, c->heads, 3 * size, size),
                              head_view(&f, 2 * size, c->heads, 3 * size, size)};
    }
    if (op_flagged(run, OP_FUSED_BLOCKS)) {
        int64_t q = c->heads * size, kv = c->groups * size;
        struct loam_tensor f = op_matrix(run, names[3], role, run->dtype, tq, q + 2 * kv, c->pad);
        return (struct heads){head_view(&f, 0, c->heads, size, size), head_view(&f, q, c->groups, size, size),
                              head_view(&f, q + kv, c->groups, size, size)};
    }
    return (struct heads){op_heads(run, names[0], role, run->dtype, tq, c->heads, size, c->pad),
                          op_heads(run, names[1], role, run->dtype, tkv, c->groups, size, c->pad),
                          op_heads(run, names[2], role, run->dtype, tkv, c->groups, size, c->pad)};
}

static struct loam_attention_shape make_shape(struct op_run *run)
{
    const struct op_case *c = run->test;
    int32_t q_offsets[OP_MAX_SEQUENCES + 1] = {0}, kv_offsets[OP_MAX_SEQUENCES + 1] = {0};
    struct loam_attention_shape shape = {.scale = (float)(1.0 / sqrt((double)c->size)),
                                         .window = c->window,
                                         .softcap = op_flagged(run, OP_SOFTCAP) ? 0.75f : 0};
    int64_t count = 0;
    for (; count < OP_MAX_SEQUENCES && c->q_lengths[count] > 0; count++) {
        int32_t q = c->q_lengths[count], kv = q + c->kv_extra;
        q_offsets[count + 1] = q_offsets[count] + q;
        kv_offsets[count + 1] = kv_offsets[count] + kv;
        if (q > shape.max_q) shape.max_q = q;
        if (kv > shape.max_kv) shape.max_kv = kv;
    }
    shape.q_offsets = op_indices(run, "q_offsets", q_offsets, count + 1);
    shape.kv_offsets = op_indices(run, "kv_offsets", kv_offsets, count + 1);
    if (op_flagged(run, OP_ALIBI)) {
        shape.slopes = op_vector(run, "slopes", OP_INPUT, LOAM_F32, c->heads);
        for (int64_t h = 0; h < c->heads; h++)
            op_set(&shape.slopes, h, pow(0.5, (double)(h + 1)));
    }
    return shape;
}

// q, k, v and shape of both directions; returns Tq.
static int64_t make_attention(struct op_run *run, struct heads *in, struct loam_attention_shape *shape)
{
    static const char *const names[] = {"q", "k", "v", "qkv"};
    const struct op_case *c = run->test;
    *shape = make_shape(run);
    int64_t sequences = loam_tensor_count(&shape->q_offsets) - 1;
    int64_t tq = ((const int32_t *)shape->q_offsets.data)[sequences];
    *in = make_heads(run, names, OP_INPUT, tq, tq + sequences * c->kv_extra);
    // Large scores need the maximum to be subtracted: exp(100) does not fit in f32.
    if (op_flagged(run, OP_LARGE)) scale_values(&in->q, 60.0, 60.0);
    if (op_flagged(run, OP_LARGE)) scale_values(&in->k, 1.0, 1.0);
    // Probabilities sum to 1, so that a term is well below it.
    expect_sums(run, (double)(shape->max_kv + c->size), op_flagged(run, OP_LARGE) ? 60.0 : 0.25);
    return tq;
}

static void build_attention_forward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_attention_forward_args *a = &run->args.attention_forward;
    struct heads in;
    int64_t tq = make_attention(run, &in, &a->shape);
    a->q = in.q;
    a->k = in.k;
    a->v = in.v;
    a->out = op_heads(run, "out", OP_OUTPUT, run->dtype, tq, c->heads, c->size, 0);
    a->lse = op_matrix(run, "lse", OP_OUTPUT, LOAM_F32, c->heads, tq, 0);
}

static void build_attention_backward(struct op_run *run)
{
    static const char *const names[] = {"dq", "dk", "dv", "dqkv"};
    const struct op_case *c = run->test;
    struct loam_attention_backward_args *a = &run->args.attention_backward;
    struct heads in;
    int64_t tq = make_attention(run, &in, &a->shape);
    a->q = in.q;
    a->k = in.k;
    a->v = in.v;
    a->out = op_heads(run, "out", OP_INPUT, run->dtype, tq, c->heads, c->size, 0);
    a->lse = op_matrix(run, "lse", OP_INPUT, LOAM_F32, c->heads, tq, 0);
    op_prepare(OP_attention_forward,
               &(union op_args){
                   .attention_forward = {
                       .q = a->q, .k = a->k, .v = a->v, .shape = a->shape, .out = a->out, .lse = a->lse}});
    a->dout = op_heads(run, "dout", OP_INPUT, run->dtype, tq, c->heads, c->size, 0);
    struct heads out = make_heads(run, names, OP_OUTPUT, tq, in.k.shape[0]);
    a->dq = out.q;
    a->dk = out.k;
    a->dv = out.v;
    // A term of ds is a difference of sums of D products, and a key collects from all queries of its group.
    expect_sums(run, run->reduction + (double)(a->shape.max_q * c->heads / c->groups), 1.0);
}

static void build_kv_append(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_kv_append_args *a = &run->args.kv_append;
    a->x = op_heads(run, "x", OP_INPUT, run->dtype, c->t, c->groups, c->size, c->pad);
    a->cache = op_heads(run, "cache", OP_UPDATED, run->dtype, c->n, c->groups, c->size, 0);
    op_mark_exact(run);
    a->first = (int32_t)(c->n - c->t);
    expect_sums(run, 0.0, 0.0);
}

// ---- MLP ----

// Far from zero exp overflows where it is not guarded.
static void scale_activation_input(const struct op_run *run, const struct loam_tensor *x)
{
    scale_values(x, op_flagged(run, OP_LARGE) ? 150.0 : 4.0, 0.0);
    if (run->test->kind != LOAM_RELU && run->test->kind != LOAM_RELU2) return;
    for (int64_t i = 0; i < loam_tensor_count(x); i++) // a difference across the kink at 0 is no derivative
        if (fabs(op_get(x, i)) < 0.125) op_set(x, i, op_get(x, i) < 0 ? -0.125 : 0.125);
}

static struct loam_tensor make_activation_input(struct op_run *run, const char *name, enum op_role role)
{
    struct loam_tensor x = op_matrix(run, name, role, run->dtype, run->test->t, run->test->k, 0);
    scale_activation_input(run, &x);
    return x;
}

// gate and up [T, F]: two tensors, or views of a fused one.
struct gated {
    struct loam_tensor gate, up;
};

static struct loam_tensor column_view(const struct loam_tensor *fused, int64_t first, int64_t columns)
{
    struct loam_tensor view = *fused;
    view.data = (char *)fused->data + (size_t)first * loam_dtype_size(fused->dtype);
    view.shape[1] = columns;
    return view;
}

static struct gated make_gated(struct op_run *run, const char *const names[3], enum op_role role)
{
    const struct op_case *c = run->test;
    if (op_flagged(run, OP_FUSED_BLOCKS)) {
        const struct loam_tensor fused = op_matrix(run, names[2], role, run->dtype, c->t, 2 * c->k, c->pad);
        return (struct gated){column_view(&fused, 0, c->k), column_view(&fused, c->k, c->k)};
    }
    return (struct gated){op_matrix(run, names[0], role, run->dtype, c->t, c->k, c->pad),
                          op_matrix(run, names[1], role, run->dtype, c->t, c->k, c->pad)};
}

static struct gated make_gated_inputs(struct op_run *run)
{
    static const char *const names[] = {"gate", "up", "gate_up"};
    const struct gated in = make_gated(run, names, OP_INPUT);
    scale_activation_input(run, &in.gate);
    // A squared gate is up to 16.
    expect_sums(run, 4.0, run->test->kind == LOAM_RELU2 ? 16.0 : 1.0);
    return in;
}

static void build_add_scaled(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_add_scaled_args *a = &run->args.add_scaled;
    const bool in_place = op_flagged(run, OP_IN_PLACE);
    a->x = op_matrix(run, "x", OP_INPUT, run->dtype, c->t, c->k, c->pad);
    a->y = op_matrix(run, "y", in_place ? OP_UPDATED : OP_OUTPUT, run->dtype, c->t, c->k, c->pad);
    a->factor = -0.75f;
    if (in_place)
        a->residual = a->y;
    else if (!op_flagged(run, OP_NO_OPTIONAL))
        a->residual = op_matrix(run, "residual", OP_INPUT, run->dtype, c->t, c->k, c->pad);
    expect_sums(run, 2.0, 1.0);
}

static void build_activation_forward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_activation_forward_args *a = &run->args.activation_forward;
    bool in_place = op_flagged(run, OP_IN_PLACE);
    a->kind = c->kind;
    a->x = make_activation_input(run, "x", in_place ? OP_UPDATED : OP_INPUT);
    a->y = in_place ? a->x : op_matrix(run, "y", OP_OUTPUT, run->dtype, c->t, c->k, 0);
    expect_sums(run, 4.0, 1.0);
}

static void build_activation_backward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_activation_backward_args *a = &run->args.activation_backward;
    bool in_place = op_flagged(run, OP_IN_PLACE);
    a->kind = c->kind;
    a->x = make_activation_input(run, "x", OP_INPUT);
    a->dy = op_matrix(run, "dy", in_place ? OP_UPDATED : OP_INPUT, run->dtype, c->t, c->k, 0);
    a->dx = in_place ? a->dy : op_matrix(run, "dx", OP_OUTPUT, run->dtype, c->t, c->k, 0);
    expect_sums(run, 4.0, 1.0);
}

static void build_gated_activation_forward(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_gated_activation_forward_args *a = &run->args.gated_activation_forward;
    a->kind = c->kind;
    const struct gated in = make_gated_inputs(run);
    a->gate = in.gate;
    a->up = in.up;
    a->y = op_matrix(run, "y", OP_OUTPUT, run->dtype, c->t, c->k, c->pad);
}

static void build_gated_activation_backward(struct op_run *run)
{
    static const char *const names[] = {"dgate", "dup", "dgate_up"};
    const struct op_case *c = run->test;
    struct loam_gated_activation_backward_args *a = &run->args.gated_activation_backward;
    bool in_place = op_flagged(run, OP_IN_PLACE);
    a->kind = c->kind;
    const struct gated in = make_gated_inputs(run);
    a->gate = in.gate;
    a->up = in.up;
    a->dy = op_matrix(run, "dy", in_place ? OP_UPDATED : OP_INPUT, run->dtype, c->t, c->k, c->pad);
    if (in_place) {
        a->dgate = a->dy;
        a->dup = op_matrix(run, "dup", OP_OUTPUT, run->dtype, c->t, c->k, c->pad);
        return;
    }
    const struct gated out = make_gated(run, names, OP_OUTPUT);
    a->dgate = out.gate;
    a->dup = out.up;
}

// ---- loss ----

static void build_linear_cross_entropy(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_linear_cross_entropy_args *a = &run->args.linear_cross_entropy;
    bool gradients = !op_flagged(run, OP_NO_OPTIONAL);
    a->h = op_matrix(run, "h", OP_INPUT, run->dtype, c->t, c->k, 0);
    if (op_flagged(run, OP_LARGE)) scale_values(&a->h, 60.0, 0.0);
    a->w.tensor = op_matrix(run, "w", OP_INPUT, weight_dtype(run), c->n, c->k, 0);
    if (op_flagged(run, OP_BIAS)) a->bias = op_vector(run, "bias", OP_INPUT, run->dtype, c->n);
    a->logit_factor = op_flagged(run, OP_FACTOR) ? -0.75f : 1;
    if (op_flagged(run, OP_SOFTCAP)) a->logit_softcap = op_flagged(run, OP_LARGE) ? 30 : 2;
    a->targets = make_ids(run, "targets", c->t, c->n);
    for (int64_t t = 0; t < c->t; t++) {
        if (t % 4 == 1 || op_flagged(run, OP_NO_TARGETS)) ((int32_t *)a->targets.data)[t] = LOAM_NO_TARGET;
    }
    a->losses = op_vector(run, "losses", OP_OUTPUT, LOAM_F32, c->t);
    if (gradients) {
        a->factors = op_vector(run, "factors", OP_INPUT, LOAM_F32, c->t);
        scale_values(&a->factors, 0.25, 0.0);
        if (c->t > 3) op_set(&a->factors, 3, 0); // without a gradient, but with a loss
    }
    if (gradients && !op_flagged(run, OP_NO_HIDDEN_GRADIENT)) {
        a->dh = op_matrix(run, "dh", OP_OUTPUT, run->dtype, c->t, c->k, 0);
    }
    if (gradients && !op_flagged(run, OP_NO_WEIGHT_GRADIENT)) {
        a->dw = op_matrix(run, "dw", OP_UPDATED, LOAM_F32, c->n, c->k, 0);
    }
    if (gradients && a->bias.data != NULL) a->dbias = op_vector(run, "dbias", OP_UPDATED, LOAM_F32, c->n);
    expect_sums(run, (double)(c->k + c->t), op_flagged(run, OP_LARGE) ? 60.0 : 1.0);
}

static void build_cross_entropy(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_cross_entropy_args *a = &run->args.cross_entropy;
    const bool gradients = !op_flagged(run, OP_NO_OPTIONAL);
    a->products = op_matrix(run, "products", gradients ? OP_UPDATED : OP_INPUT, LOAM_F32, c->t, c->n, 0);
    op_mark_exact(run);
    if (op_flagged(run, OP_LARGE)) scale_values(&a->products, 60.0, 0.0);
    a->logit_factor = op_flagged(run, OP_FACTOR) ? -0.75f : 1;
    if (op_flagged(run, OP_SOFTCAP)) a->logit_softcap = op_flagged(run, OP_LARGE) ? 30 : 2;
    a->targets = make_ids(run, "targets", c->t, c->n);
    for (int64_t t = 0; t < c->t; t++) {
        if (t % 4 == 1 || op_flagged(run, OP_NO_TARGETS)) ((int32_t *)a->targets.data)[t] = LOAM_NO_TARGET;
    }
    a->losses = op_vector(run, "losses", OP_OUTPUT, LOAM_F32, c->t);
    op_mark_exact(run);
    if (gradients) {
        a->factors = op_vector(run, "factors", OP_INPUT, LOAM_F32, c->t);
        scale_values(&a->factors, 0.25, 0.0);
        if (c->t > 3) op_set(&a->factors, 3, 0); // without a gradient, but with a loss
    }
    expect_sums(run, 4.0, op_flagged(run, OP_LARGE) ? 60.0 : 4.0);
}

static void build_cap_logits(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_cap_logits_args *a = &run->args.cap_logits;
    a->x = op_matrix(run, "x", OP_UPDATED, LOAM_F32, c->t, c->n, 0);
    op_mark_exact(run);
    if (op_flagged(run, OP_LARGE)) scale_values(&a->x, 1000.0, 0.0);
    a->factor = op_flagged(run, OP_FACTOR) ? -0.75f : 1;
    if (op_flagged(run, OP_SOFTCAP)) a->softcap = op_flagged(run, OP_LARGE) ? 30 : 0.5f;
    expect_sums(run, 2.0, op_flagged(run, OP_LARGE) ? 30.0 : 0.5);
}

// ---- optimiser ----

static void build_squared_norm(struct op_run *run)
{
    struct loam_squared_norm_args *a = &run->args.squared_norm;
    a->x = op_vector(run, "x", OP_INPUT, LOAM_F32, run->test->n);
    // Squares that overflow f32 are finite here.
    if (op_flagged(run, OP_LARGE)) scale_values(&a->x, 1e25, 0.0);
    a->result = op_vector(run, "result", OP_UPDATED, LOAM_F64, 1);
    op_mark_exact(run);
    expect_sums(run, 2.0, 1.0);
}

// Ranges of uneven lengths, of groups in turns.
static void make_ranges(struct op_run *run, struct loam_adamw_args *a)
{
    int32_t starts[64], groups[64];
    int64_t count = 0;
    for (int64_t first = 0; first < run->test->n && count < 64;
         first += 1 + count * count * 7 % 31, count++) {
        starts[count] = (int32_t)first;
        groups[count] = (int32_t)(count * 5 % LOAM_ADAMW_GROUPS);
    }
    a->starts = op_indices(run, "starts", starts, count);
    a->groups = op_indices(run, "groups", groups, count);
    for (int i = 0; i < LOAM_ADAMW_GROUPS; i++)
        a->rates[i] = (struct loam_adamw_rates){0.01f * (float)(i + 1), 0.1f * (float)(i % 3)};
}

static void make_scalars(struct op_run *run, struct loam_adamw_args *a)
{
    const bool broken = op_flagged(run, OP_NOT_FINITE), by_guard = op_flagged(run, OP_IN_PLACE);
    a->squared_norm = op_vector(run, "squared_norm", OP_INPUT, LOAM_F64, 1);
    op_set(&a->squared_norm, 0,
           broken && !by_guard         ? INFINITY
           : op_flagged(run, OP_LARGE) ? 123.4 * 64 * 64
                                       : 0.1 * 64 * 64);
    a->guard = op_vector(run, "guard", OP_INPUT, LOAM_F64, 1);
    op_set(&a->guard, 0, broken && by_guard ? NAN : 1e300);
    a->max_norm = 1.0f;
}

static void build_adamw(struct op_run *run)
{
    const struct op_case *c = run->test;
    struct loam_adamw_args *a = &run->args.adamw;
    a->param = op_vector(run, "param", OP_UPDATED, LOAM_F32, c->n);
    op_mark_exact(run);
    a->grad = op_vector(run, "grad", OP_INPUT, LOAM_F32, c->n);
    scale_values(&a->grad, 64.0, 0.0);
    a->grad_factor = 1.0f / 64.0f;
    a->m = op_vector(run, "m", OP_UPDATED, LOAM_F32, c->n);
    op_mark_exact(run);
    a->v = op_vector(run, "v", OP_UPDATED, LOAM_F32, c->n);
    op_mark_exact(run);
    scale_values(&a->v, 0.5, 0.51);
    if (!op_flagged(run, OP_NO_OPTIONAL)) {
        a->mirror = op_vector(run, "mirror", op_flagged(run, OP_NOT_FINITE) ? OP_UPDATED : OP_OUTPUT,
                              run->dtype == LOAM_F16 ? LOAM_F16 : LOAM_BF16, c->n);
        make_scalars(run, a);
    }
    a->rates[0] = (struct loam_adamw_rates){.learning_rate = 0.01f, .weight_decay = 0.1f};
    if (op_flagged(run, OP_GROUPS)) make_ranges(run, a);
    a->beta1 = 0.9f;
    a->beta2 = 0.999f;
    a->eps = 1e-3f; // large enough to see where it is added
    a->step = c->t;
    expect_sums(run, 4.0, 1.0);
}

static void (*const builders[OP_COUNT])(struct op_run *run) = {
#define LOAM_OP(name) [OP_##name] = build_##name,
#include "device/op_list.def"
#undef LOAM_OP
};

void op_build(struct op_run *run, const struct op_case *test, enum loam_dtype dtype)
{
    *run = (struct op_run){.test = test, .dtype = dtype};
    builders[test->op](run);
    op_snapshot(run);
}

const struct op_case op_cases[] = {
#include "op/device/cases.def"
};
const size_t op_case_count = sizeof op_cases / sizeof op_cases[0];
