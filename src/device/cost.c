// What each op costs (trace.h): one function an op, in the order of ops.h.
#include "device/fused.h"
#include "device/trace.h"

const char *loam_op_name(enum loam_op_id op)
{
    static const char *const names[LOAM_OP_COUNT] = {
#define LOAM_OP(name) #name,
#include "device/op_list.def"
#undef LOAM_OP
    };
    return names[op];
}

// Bytes of a tensor's elements, none of one that is absent. Gaps between strided rows do not count.
static double size(const struct loam_tensor *tensor)
{
    if (tensor->data == NULL) return 0;
    return (double)loam_tensor_count(tensor) * (double)loam_dtype_size(tensor->dtype);
}

// Of each tensor of a list that ends in NULL.
static double sizes(const struct loam_tensor *const *tensors)
{
    double sum = 0;
    for (; *tensors != NULL; tensors++)
        sum += size(*tensors);
    return sum;
}
#define SIZES(...) sizes((const struct loam_tensor *const[]){__VA_ARGS__, NULL})

// A multiplication and an addition for each of m n k elements.
static double product(int64_t m, int64_t n, int64_t k)
{
    return 2.0 * (double)m * (double)n * (double)k;
}

static struct loam_op_cost cost(double flops, double bytes)
{
    return (struct loam_op_cost){.flops = flops, .bytes = bytes};
}

// ---- matmul ----

struct loam_op_cost loam_linear_forward_cost(const struct loam_linear_forward_args *args)
{
    const struct loam_tensor *w = &args->w.tensor; // w [N, K] or [K, N]
    return cost(product(args->x.shape[0], w->shape[0], w->shape[1]),
                SIZES(&args->x, w, &args->bias, &args->residual, &args->y));
}

struct loam_op_cost loam_linear_backward_input_cost(const struct loam_linear_backward_input_args *args)
{
    const struct loam_tensor *w = &args->w.tensor; // w [N, K] or [K, N]
    return cost(product(args->dy.shape[0], w->shape[0], w->shape[1]),
                SIZES(&args->dy, w, &args->dx) + (args->accumulate ? size(&args->dx) : 0));
}

struct loam_op_cost loam_linear_backward_weight_cost(const struct loam_linear_backward_weight_args *args)
{
    return cost(product(args->dy.shape[0], args->dw.shape[0], args->dw.shape[1]),
                SIZES(&args->dy, &args->x, &args->dw, &args->dw));
}

struct loam_op_cost loam_bias_backward_cost(const struct loam_bias_backward_args *args)
{
    return cost(0, SIZES(&args->dy, &args->dbias, &args->dbias));
}

// ---- LoRA ----

struct loam_op_cost loam_lora_forward_cost(const struct loam_lora_forward_args *args)
{
    const int64_t tokens = args->x.shape[0], rank = args->a.shape[0];
    return cost(product(tokens, rank, args->a.shape[1]) + product(tokens, args->b.shape[0], rank),
                SIZES(&args->x, &args->a, &args->b, &args->bias, &args->t, &args->y, &args->y));
}

struct loam_op_cost loam_lora_backward_cost(const struct loam_lora_backward_args *args)
{
    const int64_t tokens = args->x.shape[0], rank = args->a.shape[0];
    const double inner = product(tokens, rank, args->a.shape[1]),
                 outer = product(tokens, args->b.shape[0], rank);
    const double flops = outer + (args->db.data != NULL ? outer : 0) + (args->da.data != NULL ? inner : 0) +
                         (args->dx.data != NULL ? inner : 0); // dt, db, da, dx
    return cost(flops, SIZES(&args->dy, &args->x, &args->a, &args->b, &args->t, &args->da, &args->da,
                             &args->db, &args->db, &args->dbias, &args->dbias, &args->dx, &args->dx));
}

// Of the table b as many rows are read as there are tokens.
static double token_rows(int64_t tokens, int64_t columns)
{
    return (double)tokens * (double)columns * sizeof(float);
}

// y is written once, and no product of the adapter reads it.
struct loam_op_cost loam_lora_linear_forward_cost(const struct loam_lora_linear_forward_args *args)
{
    const struct loam_linear_forward_args linear = loam_fused_linear_forward(args);
    const struct loam_lora_forward_args lora = loam_fused_lora_forward(args);
    return cost(loam_linear_forward_cost(&linear).flops + loam_lora_forward_cost(&lora).flops,
                loam_linear_forward_cost(&linear).bytes + SIZES(&args->a, &args->b, &args->t));
}

struct loam_op_cost loam_lora_linear_backward_cost(const struct loam_lora_linear_backward_args *args)
{
    const struct loam_linear_backward_input_args linear = loam_fused_backward_input(args);
    const struct loam_lora_backward_args lora = loam_fused_lora_backward(args);
    return cost(loam_linear_backward_input_cost(&linear).flops + loam_lora_backward_cost(&lora).flops,
                loam_linear_backward_input_cost(&linear).bytes + SIZES(&args->x, &args->a, &args->b, &args->t,
                                                                       &args->da, &args->da, &args->db,
                                                                       &args->db));
}

static struct loam_op_cost sum_of(struct loam_op_cost x, struct loam_op_cost y)
{
    return cost(x.flops + y.flops, x.bytes + y.bytes);
}

struct loam_op_cost loam_linears_forward_cost(const struct loam_linears_forward_args *args)
{
    struct loam_op_cost all = cost(0, 0);
    for (int i = 0; i < args->count; i++) {
        const struct loam_lora_linear_forward_args part = loam_linears_forward_part_args(args, i);
        const struct loam_linear_forward_args linear = loam_fused_linear_forward(&part);
        all = sum_of(all, part.a.data != NULL ? loam_lora_linear_forward_cost(&part)
                                              : loam_linear_forward_cost(&linear));
    }
    return all;
}

struct loam_op_cost loam_linears_backward_cost(const struct loam_linears_backward_args *args)
{
    struct loam_op_cost all = cost(0, 0);
    for (int i = 0; i < args->count; i++) {
        const struct loam_lora_linear_backward_args part = loam_linears_backward_part_args(args, i);
        const struct loam_linear_backward_input_args linear = loam_fused_backward_input(&part);
        all = sum_of(all, part.a.data != NULL ? loam_lora_linear_backward_cost(&part)
                                              : loam_linear_backward_input_cost(&linear));
    }
    return all;
}

struct loam_op_cost loam_lora_embedding_forward_cost(const struct loam_lora_embedding_forward_args *args)
{
    const int64_t tokens = args->y.shape[0], rank = args->a.shape[0];
    return cost(product(tokens, args->y.shape[1], rank),
                SIZES(&args->ids, &args->a, &args->y, &args->y) + token_rows(tokens, rank));
}

struct loam_op_cost loam_lora_embedding_backward_cost(const struct loam_lora_embedding_backward_args *args)
{
    const int64_t tokens = args->dy.shape[0], rank = args->a.shape[0];
    return cost(2 * product(tokens, args->dy.shape[1], rank),
                SIZES(&args->ids, &args->dy, &args->a, &args->da, &args->da) + 3 * token_rows(tokens, rank));
}

struct loam_op_cost loam_dora_norm_cost(const struct loam_dora_norm_args *args)
{
    return cost(product(args->b.shape[0], args->a.shape[1], args->a.shape[0] + 1),
                SIZES(&args->w.tensor, &args->a, &args->b, &args->norms));
}

struct loam_op_cost loam_dora_forward_cost(const struct loam_dora_forward_args *args)
{
    return cost(
        0, SIZES(&args->z, &args->u, &args->magnitude, &args->norms, &args->bias, &args->residual, &args->y));
}

struct loam_op_cost loam_dora_backward_cost(const struct loam_dora_backward_args *args)
{
    return cost(0, SIZES(&args->dy, &args->z, &args->u, &args->magnitude, &args->norms, &args->dmagnitude,
                         &args->dmagnitude, &args->dz, &args->du));
}

struct loam_op_cost loam_dropout_cost(const struct loam_dropout_args *args)
{
    return cost(0, SIZES(&args->x, &args->y) + (args->accumulate ? size(&args->y) : 0));
}

// ---- embedding ----

struct loam_op_cost loam_embedding_forward_cost(const struct loam_embedding_forward_args *args)
{
    return cost(0, SIZES(&args->ids, &args->y, &args->y)); // as many bytes of the table as are written
}

struct loam_op_cost loam_embedding_backward_cost(const struct loam_embedding_backward_args *args)
{
    const double rows = (double)args->dy.shape[0] * (double)args->dy.shape[1] * sizeof(float);
    return cost(0, SIZES(&args->ids, &args->dy) + 2 * rows);
}

// Few tokens have a row of their own.
struct loam_op_cost loam_replace_rows_forward_cost(const struct loam_replace_rows_forward_args *args)
{
    return cost(0, SIZES(&args->ids, &args->tokens, &args->rows));
}

struct loam_op_cost loam_replace_rows_backward_cost(const struct loam_replace_rows_backward_args *args)
{
    return cost(0, SIZES(&args->ids, &args->tokens, &args->drows, &args->drows));
}

struct loam_op_cost loam_replace_columns_forward_cost(const struct loam_replace_columns_forward_args *args)
{
    return cost(0, SIZES(&args->x, &args->x, &args->x, &args->tokens));
}

struct loam_op_cost loam_replace_columns_backward_cost(const struct loam_replace_columns_backward_args *args)
{
    return cost(0, SIZES(&args->dx, &args->dx, &args->dx, &args->tokens));
}

struct loam_op_cost loam_gather_rows_cost(const struct loam_gather_rows_args *args)
{
    return cost(0, SIZES(&args->rows, &args->y, &args->y)); // reads as many bytes of x as it writes
}

// ---- norm ----

struct loam_op_cost loam_layernorm_forward_cost(const struct loam_layernorm_forward_args *args)
{
    return cost(0, SIZES(&args->x, &args->w, &args->b, &args->y, &args->mean, &args->rstd));
}

struct loam_op_cost loam_layernorm_backward_cost(const struct loam_layernorm_backward_args *args)
{
    return cost(0, SIZES(&args->dy, &args->x, &args->w, &args->mean, &args->rstd, &args->dx, &args->dw,
                         &args->dw, &args->db, &args->db) +
                       (args->accumulate ? size(&args->dx) : 0));
}

struct loam_op_cost loam_rmsnorm_forward_cost(const struct loam_rmsnorm_forward_args *args)
{
    return cost(0, SIZES(&args->x, &args->w, &args->y, &args->rstd));
}

struct loam_op_cost loam_rmsnorm_backward_cost(const struct loam_rmsnorm_backward_args *args)
{
    return cost(0, SIZES(&args->dy, &args->x, &args->w, &args->rstd, &args->dx, &args->dw, &args->dw) +
                       (args->accumulate ? size(&args->dx) : 0));
}

// ---- residual stream ----

struct loam_op_cost loam_add_scaled_cost(const struct loam_add_scaled_args *args)
{
    return cost(0, SIZES(&args->x, &args->residual, &args->y));
}

struct loam_op_cost loam_cast_cost(const struct loam_cast_args *args)
{
    return cost(0, SIZES(&args->x, &args->y));
}

// ---- position ----

struct loam_op_cost loam_rope_table_cost(const struct loam_rope_table_args *args)
{
    return cost(0, SIZES(&args->positions, &args->frequencies, &args->table));
}

struct loam_op_cost loam_rope_cost(const struct loam_rope_args *args)
{
    return cost(0, SIZES(&args->x, &args->x, &args->table));
}

struct loam_op_cost loam_ropes_cost(const struct loam_ropes_args *args)
{
    return sum_of(loam_rope_cost(&args->query), loam_rope_cost(&args->key));
}

// ---- attention ----

// `products` matrix products over the pairs that are seen, each of D multiplications and additions a pair and
// head.
static double attention_flops(const struct loam_attention_shape *shape, const struct loam_tensor *q,
                              int products)
{
    return products * product(shape->pairs, q->shape[1], q->shape[2]);
}

struct loam_op_cost loam_attention_forward_cost(const struct loam_attention_forward_args *args)
{
    return cost(attention_flops(&args->shape, &args->q, 2), // scores, out
                SIZES(&args->q, &args->k, &args->v, &args->out, &args->lse));
}

struct loam_op_cost loam_attention_backward_cost(const struct loam_attention_backward_args *args)
{
    return cost(attention_flops(&args->shape, &args->q, 4), // dv, dp, dq, dk; the scores are recomputed
                SIZES(&args->q, &args->k, &args->v, &args->out, &args->lse, &args->dout, &args->dq, &args->dk,
                      &args->dv));
}

struct loam_op_cost loam_kv_append_cost(const struct loam_kv_append_args *args)
{
    return cost(0, SIZES(&args->x, &args->x));
}

// ---- MLP ----

struct loam_op_cost loam_activation_forward_cost(const struct loam_activation_forward_args *args)
{
    return cost(0, SIZES(&args->x, &args->y));
}

struct loam_op_cost loam_activation_backward_cost(const struct loam_activation_backward_args *args)
{
    return cost(0, SIZES(&args->x, &args->dy, &args->dx));
}

struct loam_op_cost loam_gated_activation_forward_cost(const struct loam_gated_activation_forward_args *args)
{
    return cost(0, SIZES(&args->gate, &args->up, &args->y));
}

struct loam_op_cost
loam_gated_activation_backward_cost(const struct loam_gated_activation_backward_args *args)
{
    return cost(0, SIZES(&args->gate, &args->up, &args->dy, &args->dgate, &args->dup));
}

// ---- loss ----

struct loam_op_cost loam_linear_cross_entropy_cost(const struct loam_linear_cross_entropy_args *args)
{
    const struct loam_tensor *w = &args->w.tensor; // w [V, H]
    const int products = 1 + (args->dh.data != NULL) + (args->dw.data != NULL);
    const double row = (double)w->shape[1] * (double)loam_dtype_size(args->h.dtype);
    return cost(products * product(args->counted, w->shape[0], w->shape[1]),
                (double)args->counted * row + SIZES(w, &args->bias, &args->targets, &args->factors,
                                                    &args->losses, &args->dh, &args->dw, &args->dw,
                                                    &args->dbias, &args->dbias));
}

struct loam_op_cost loam_cross_entropy_cost(const struct loam_cross_entropy_args *args)
{
    return cost(0, SIZES(&args->products, &args->targets, &args->factors, &args->losses) +
                       (args->factors.data != NULL ? size(&args->products) : 0));
}

struct loam_op_cost loam_cap_logits_cost(const struct loam_cap_logits_args *args)
{
    return cost(0, SIZES(&args->x, &args->x));
}

struct loam_op_cost loam_top_logits_cost(const struct loam_top_logits_args *args)
{
    return cost(0, SIZES(&args->x, &args->allowed, &args->factors, &args->asked, &args->values, &args->ids,
                         &args->sums, &args->faults, &args->answers));
}

// ---- optimiser ----

struct loam_op_cost loam_squared_norm_cost(const struct loam_squared_norm_args *args)
{
    return cost(0, SIZES(&args->x, &args->result));
}

struct loam_op_cost loam_adamw_cost(const struct loam_adamw_args *args)
{
    return cost(0, SIZES(&args->param, &args->param, &args->grad, &args->m, &args->m, &args->v, &args->v,
                         &args->mirror));
}
