// The contract of each op, in the order of ops.h.
#include "device/contract.h"
#include "device/fused.h"

#include <math.h>

static bool is_half(const struct loam_tensor *tensor)
{
    return tensor->dtype == LOAM_BF16 || tensor->dtype == LOAM_F16;
}

// An activation.
static bool is_float(const struct loam_tensor *tensor)
{
    return tensor->dtype == LOAM_F32 || is_half(tensor);
}

// A table [rows, columns] for activations of `dtype`: in the same dtype; for f32 also bf16 or f16.
static bool is_table(const struct loam_tensor *weight, enum loam_dtype dtype, int64_t rows, int64_t columns)
{
    return (weight->dtype == dtype || (dtype == LOAM_F32 && is_half(weight))) && weight->rank == 2 &&
           weight->shape[0] == rows && weight->shape[1] == columns && weight->stride[1] == 1;
}

// w [N, K], or stored as [K, N].
static bool is_weight(const struct loam_weight *w, enum loam_dtype dtype, int64_t n, int64_t k)
{
    return w->transposed ? is_table(&w->tensor, dtype, k, n) : is_table(&w->tensor, dtype, n, k);
}

// `count` contiguous elements, whatever the rank.
static bool is_vector(const struct loam_tensor *tensor, enum loam_dtype dtype, int64_t count)
{
    return tensor->dtype == dtype && loam_tensor_contiguous(tensor) && loam_tensor_count(tensor) == count;
}

static bool is_optional_vector(const struct loam_tensor *tensor, enum loam_dtype dtype, int64_t count)
{
    return tensor->data == NULL || is_vector(tensor, dtype, count);
}

// [rows, columns] with contiguous rows that may be strided.
static bool is_strided(const struct loam_tensor *tensor, enum loam_dtype dtype, int64_t rows, int64_t columns)
{
    return tensor->dtype == dtype && tensor->rank == 2 && tensor->shape[0] == rows &&
           tensor->shape[1] == columns && tensor->stride[1] == 1;
}

// [rows, columns], contiguous.
static bool is_matrix(const struct loam_tensor *tensor, enum loam_dtype dtype, int64_t rows, int64_t columns)
{
    return is_strided(tensor, dtype, rows, columns) && loam_tensor_contiguous(tensor);
}

static bool is_optional_strided(const struct loam_tensor *tensor, enum loam_dtype dtype, int64_t rows,
                                int64_t columns)
{
    return tensor->data == NULL || is_strided(tensor, dtype, rows, columns);
}

static bool is_optional_matrix(const struct loam_tensor *tensor, enum loam_dtype dtype, int64_t rows,
                               int64_t columns)
{
    return tensor->data == NULL || is_matrix(tensor, dtype, rows, columns);
}

// [rows, heads, size] whose rows and heads may be strided.
static bool is_heads(const struct loam_tensor *tensor, enum loam_dtype dtype, int64_t rows, int64_t heads,
                     int64_t size)
{
    return tensor->dtype == dtype && tensor->rank == 3 && tensor->shape[0] == rows &&
           tensor->shape[1] == heads && tensor->shape[2] == size && tensor->stride[2] == 1;
}

// A factor of what is computed; 0 is the value of a field that a caller did not set.
static bool is_factor(float factor)
{
    return isfinite(factor) && factor != 0;
}

// Of cap tanh(x / cap); 0: none.
static bool is_cap(float cap)
{
    return isfinite(cap) && cap >= 0;
}

// ---- matmul ----

const char *loam_check_linear_forward(const struct loam_linear_forward_args *args)
{
    const struct loam_tensor *x = &args->x, *y = &args->y;
    int64_t tokens = x->shape[0], k = x->shape[1], n = y->shape[1];
    if (!is_float(x)) return "x must be f32, bf16 or f16";
    if (!is_strided(x, x->dtype, tokens, k)) return "x must be [T, K] with contiguous rows";
    if (!is_weight(&args->w, x->dtype, n, k))
        return "w must be [N, K] in the dtype of x, or a half where that is f32";
    if (!is_optional_vector(&args->bias, x->dtype, n)) return "bias must be [N] in the dtype of x";
    if (y->dtype != x->dtype && y->dtype != LOAM_F32) return "y must be f32 or in the dtype of x";
    if (!is_strided(y, y->dtype, tokens, n)) return "y must be [T, N] with contiguous rows";
    if (!is_optional_strided(&args->residual, y->dtype, tokens, n)) {
        return "residual must be [T, N] in the dtype of y";
    }
    return NULL;
}

const char *loam_check_linear_backward_input(const struct loam_linear_backward_input_args *args)
{
    const struct loam_tensor *dy = &args->dy;
    int64_t tokens = dy->shape[0], n = dy->shape[1], k = args->dx.shape[1];
    if (!is_float(dy)) return "dy must be f32, bf16 or f16";
    if (!is_strided(dy, dy->dtype, tokens, n)) return "dy must be [T, N] with contiguous rows";
    if (!is_weight(&args->w, dy->dtype, n, k))
        return "w must be [N, K] in the dtype of dy, or a half where that is f32";
    if (!is_matrix(&args->dx, dy->dtype, tokens, k)) {
        return "dx must be [T, K], contiguous, in the dtype of dy";
    }
    return NULL;
}

const char *loam_check_linear_backward_weight(const struct loam_linear_backward_weight_args *args)
{
    const struct loam_tensor *dy = &args->dy, *x = &args->x;
    int64_t tokens = dy->shape[0], n = dy->shape[1], k = x->shape[1];
    if (!is_float(dy)) return "dy must be f32, bf16 or f16";
    if (!is_strided(dy, dy->dtype, tokens, n)) return "dy must be [T, N] with contiguous rows";
    if (!is_strided(x, dy->dtype, tokens, k)) return "x must be [T, K] in the dtype of dy";
    if (!is_matrix(&args->dw, LOAM_F32, args->transposed ? k : n, args->transposed ? n : k))
        return "dw must be [N, K] f32, contiguous, or [K, N] where transposed";
    return NULL;
}

const char *loam_check_bias_backward(const struct loam_bias_backward_args *args)
{
    const struct loam_tensor *dy = &args->dy;
    if (!is_float(dy)) return "dy must be f32, bf16 or f16";
    if (!is_strided(dy, dy->dtype, dy->shape[0], dy->shape[1])) {
        return "dy must be [T, N] with contiguous rows";
    }
    if (!is_vector(&args->dbias, LOAM_F32, dy->shape[1])) return "dbias must be [N] f32";
    return NULL;
}

// ---- LoRA ----

static const char *check_dropout(const struct loam_dropout *dropout)
{
    return dropout->p >= 0.0f && dropout->p < 1.0f ? NULL : "the dropout probability must be in [0, 1)";
}

const char *loam_check_lora_forward(const struct loam_lora_forward_args *args)
{
    const struct loam_tensor *x = &args->x;
    int64_t tokens = x->shape[0], k = x->shape[1], n = args->b.shape[0], r = args->a.shape[0];
    if (!is_float(x)) return "x must be f32, bf16 or f16";
    if (!is_strided(x, x->dtype, tokens, k)) return "x must be [T, K] with contiguous rows";
    if (!is_matrix(&args->a, LOAM_F32, r, k)) return "a must be [r, K] f32, contiguous";
    if (!is_matrix(&args->b, LOAM_F32, n, r)) return "b must be [N, r] f32, contiguous";
    if (!is_optional_vector(&args->bias, LOAM_F32, n)) return "bias must be [N] f32";
    if (!is_matrix(&args->t, LOAM_F32, tokens, r)) return "t must be [T, r] f32, contiguous";
    if (!is_strided(&args->y, x->dtype, tokens, n)) return "y must be [T, N] in the dtype of x";
    return check_dropout(&args->dropout);
}

const char *loam_check_lora_backward(const struct loam_lora_backward_args *args)
{
    const struct loam_tensor *dy = &args->dy, *x = &args->x;
    int64_t tokens = dy->shape[0], n = dy->shape[1], k = x->shape[1], r = args->a.shape[0];
    if (!is_float(dy)) return "dy must be f32, bf16 or f16";
    if (!is_strided(dy, dy->dtype, tokens, n)) return "dy must be [T, N] with contiguous rows";
    if (!is_strided(x, dy->dtype, tokens, k)) return "x must be [T, K] in the dtype of dy";
    if (!is_matrix(&args->a, LOAM_F32, r, k)) return "a must be [r, K] f32, contiguous";
    if (!is_matrix(&args->b, LOAM_F32, n, r)) return "b must be [N, r] f32, contiguous";
    if (!is_matrix(&args->t, LOAM_F32, tokens, r)) return "t must be [T, r] f32, contiguous";
    if (!is_optional_matrix(&args->da, LOAM_F32, r, k)) return "da must be [r, K] f32, contiguous";
    if (!is_optional_matrix(&args->db, LOAM_F32, n, r)) return "db must be [N, r] f32, contiguous";
    if (!is_optional_vector(&args->dbias, LOAM_F32, n)) return "dbias must be [N] f32";
    if (!is_optional_matrix(&args->dx, dy->dtype, tokens, k)) {
        return "dx must be [T, K], contiguous, in the dtype of dy";
    }
    return check_dropout(&args->dropout);
}

const char *loam_check_lora_linear_forward(const struct loam_lora_linear_forward_args *args)
{
    const struct loam_linear_forward_args linear = loam_fused_linear_forward(args);
    const struct loam_lora_forward_args lora = loam_fused_lora_forward(args);
    const char *broken = loam_check_linear_forward(&linear);
    return broken != NULL ? broken : loam_check_lora_forward(&lora);
}

const char *loam_check_lora_linear_backward(const struct loam_lora_linear_backward_args *args)
{
    const struct loam_linear_backward_input_args linear = loam_fused_backward_input(args);
    const struct loam_lora_backward_args lora = loam_fused_lora_backward(args);
    const char *broken = loam_check_linear_backward_input(&linear);
    return broken != NULL ? broken : loam_check_lora_backward(&lora);
}

static const char *check_count(int count)
{
    return count >= 1 && count <= LOAM_LINEARS_MOST ? NULL : "the number of linears must be 1 to 3";
}

const char *loam_check_linears_forward(const struct loam_linears_forward_args *args)
{
    const char *broken = check_count(args->count);
    for (int i = 0; broken == NULL && i < args->count; i++) {
        const struct loam_lora_linear_forward_args part = loam_linears_forward_part_args(args, i);
        const struct loam_linear_forward_args linear = loam_fused_linear_forward(&part);
        broken =
            part.a.data != NULL ? loam_check_lora_linear_forward(&part) : loam_check_linear_forward(&linear);
        if (broken == NULL && part.y.dtype != args->x.dtype) broken = "y must be in the dtype of x";
    }
    return broken;
}

const char *loam_check_linears_backward(const struct loam_linears_backward_args *args)
{
    const char *broken = check_count(args->count);
    for (int i = 0; broken == NULL && i < args->count; i++) {
        const struct loam_lora_linear_backward_args part = loam_linears_backward_part_args(args, i);
        const struct loam_linear_backward_input_args linear = loam_fused_backward_input(&part);
        broken = part.a.data != NULL ? loam_check_lora_linear_backward(&part)
                                     : loam_check_linear_backward_input(&linear);
    }
    return broken;
}

const char *loam_check_lora_embedding_forward(const struct loam_lora_embedding_forward_args *args)
{
    const struct loam_tensor *y = &args->y, *b = &args->b;
    int64_t tokens = loam_tensor_count(&args->ids), size = y->shape[1], r = b->shape[1];
    if (!is_vector(&args->ids, LOAM_I32, tokens)) return "ids must be [T] i32";
    if (!is_float(y)) return "y must be f32, bf16 or f16";
    if (!is_matrix(y, y->dtype, tokens, size)) return "y must be [T, H], contiguous";
    if (!is_matrix(b, LOAM_F32, b->shape[0], r)) return "b must be [V, r] f32, contiguous";
    return is_matrix(&args->a, LOAM_F32, r, size) ? NULL : "a must be [r, H] f32, contiguous";
}

const char *loam_check_lora_embedding_backward(const struct loam_lora_embedding_backward_args *args)
{
    const struct loam_tensor *dy = &args->dy, *b = &args->b;
    int64_t tokens = loam_tensor_count(&args->ids), size = dy->shape[1], r = b->shape[1];
    if (!is_vector(&args->ids, LOAM_I32, tokens)) return "ids must be [T] i32";
    if (!is_float(dy)) return "dy must be f32, bf16 or f16";
    if (!is_matrix(dy, dy->dtype, tokens, size)) return "dy must be [T, H], contiguous";
    if (!is_matrix(b, LOAM_F32, b->shape[0], r)) return "b must be [V, r] f32, contiguous";
    if (!is_matrix(&args->a, LOAM_F32, r, size)) return "a must be [r, H] f32, contiguous";
    if (!is_matrix(&args->da, LOAM_F32, r, size)) return "da must be [r, H] f32, contiguous";
    return is_matrix(&args->db, LOAM_F32, b->shape[0], r) ? NULL : "db must be [V, r] f32, contiguous";
}

const char *loam_check_dora_norm(const struct loam_dora_norm_args *args)
{
    const struct loam_tensor *w = &args->w.tensor;
    int64_t n = args->b.shape[0], k = args->a.shape[1], r = args->a.shape[0];
    if (!is_weight(&args->w, is_float(w) ? w->dtype : LOAM_F32, n, k))
        return "w must be [N, K] f32, bf16 or f16";
    if (!is_matrix(&args->a, LOAM_F32, r, k)) return "a must be [r, K] f32, contiguous";
    if (!is_matrix(&args->b, LOAM_F32, n, r)) return "b must be [N, r] f32, contiguous";
    if (!args->columns) return is_vector(&args->norms, LOAM_F32, n) ? NULL : "norms must be [N] f32";
    if (args->w.transposed) return "w must not be transposed for norms of columns";
    return is_vector(&args->norms, LOAM_F32, k) ? NULL : "norms must be [K] f32 for columns";
}

const char *loam_check_dora_forward(const struct loam_dora_forward_args *args)
{
    const struct loam_tensor *z = &args->z;
    int64_t tokens = z->shape[0], n = z->shape[1];
    if (!is_float(z)) return "z must be f32, bf16 or f16";
    if (!is_matrix(z, z->dtype, tokens, n)) return "z must be [T, N], contiguous";
    if (!is_matrix(&args->u, z->dtype, tokens, n)) return "u must be [T, N] in the dtype of z, contiguous";
    if (!is_vector(&args->magnitude, LOAM_F32, n)) return "magnitude must be [N] f32";
    if (!is_vector(&args->norms, LOAM_F32, n)) return "norms must be [N] f32";
    if (!is_optional_vector(&args->bias, z->dtype, n)) return "bias must be [N] in the dtype of z";
    if (args->residual.data != NULL && !is_strided(&args->residual, z->dtype, tokens, n))
        return "residual must be [T, N] in the dtype of z";
    return is_strided(&args->y, z->dtype, tokens, n) ? NULL : "y must be [T, N] in the dtype of z";
}

const char *loam_check_dora_backward(const struct loam_dora_backward_args *args)
{
    const struct loam_tensor *dy = &args->dy;
    int64_t tokens = dy->shape[0], n = dy->shape[1];
    if (!is_float(dy)) return "dy must be f32, bf16 or f16";
    if (!is_strided(dy, dy->dtype, tokens, n)) return "dy must be [T, N] with contiguous rows";
    if (!is_matrix(&args->z, dy->dtype, tokens, n)) return "z must be [T, N] in the dtype of dy, contiguous";
    if (!is_matrix(&args->u, dy->dtype, tokens, n)) return "u must be [T, N] in the dtype of dy, contiguous";
    if (!is_vector(&args->magnitude, LOAM_F32, n)) return "magnitude must be [N] f32";
    if (!is_vector(&args->norms, LOAM_F32, n)) return "norms must be [N] f32";
    if (!is_optional_vector(&args->dmagnitude, LOAM_F32, n)) return "dmagnitude must be [N] f32";
    if (!is_matrix(&args->dz, dy->dtype, tokens, n)) return "dz must be [T, N] in the dtype of dy";
    return is_matrix(&args->du, dy->dtype, tokens, n) ? NULL : "du must be [T, N] in the dtype of dy";
}

const char *loam_check_dropout(const struct loam_dropout_args *args)
{
    const struct loam_tensor *x = &args->x;
    if (!is_float(x)) return "x must be f32, bf16 or f16";
    if (!is_strided(x, x->dtype, x->shape[0], x->shape[1])) return "x must be [T, K] with contiguous rows";
    if (!is_matrix(&args->y, x->dtype, x->shape[0], x->shape[1]))
        return "y must be [T, K], contiguous, in the dtype of x";
    return check_dropout(&args->dropout);
}

// ---- embedding ----

const char *loam_check_embedding_forward(const struct loam_embedding_forward_args *args)
{
    const struct loam_tensor *table = &args->table;
    int64_t tokens = loam_tensor_count(&args->ids);
    if (!is_vector(&args->ids, LOAM_I32, tokens)) return "ids must be [T] i32";
    if (!is_strided(table, table->dtype, table->shape[0], table->shape[1])) {
        return "table must be [V, H]";
    }
    if (!is_float(&args->y) || !is_table(table, args->y.dtype, table->shape[0], table->shape[1]))
        return "table must be [V, H] in the dtype of y, or a half where that is f32";
    if (!is_matrix(&args->y, args->y.dtype, tokens, table->shape[1])) return "y must be [T, H], contiguous";
    return NULL;
}

const char *loam_check_embedding_backward(const struct loam_embedding_backward_args *args)
{
    const struct loam_tensor *dy = &args->dy, *dtable = &args->dtable;
    int64_t tokens = loam_tensor_count(&args->ids);
    if (!is_vector(&args->ids, LOAM_I32, tokens)) return "ids must be [T] i32";
    if (!is_float(dy)) return "dy must be f32, bf16 or f16";
    if (!is_matrix(dy, dy->dtype, tokens, dtable->shape[1])) return "dy must be [T, H], contiguous";
    if (!is_matrix(dtable, LOAM_F32, dtable->shape[0], dtable->shape[1])) {
        return "dtable must be [V, H] f32, contiguous";
    }
    return NULL;
}

const char *loam_check_replace_rows_forward(const struct loam_replace_rows_forward_args *args)
{
    const struct loam_tensor *y = &args->y;
    int64_t tokens = loam_tensor_count(&args->ids), n = loam_tensor_count(&args->tokens);
    if (!is_vector(&args->ids, LOAM_I32, tokens)) return "ids must be [T] i32";
    if (!is_vector(&args->tokens, LOAM_I32, n)) return "tokens must be [n] i32";
    if (!is_float(y)) return "y must be f32, bf16 or f16";
    if (!is_matrix(y, y->dtype, tokens, y->shape[1])) return "y must be [T, H], contiguous";
    if (!is_matrix(&args->rows, LOAM_F32, n, y->shape[1])) return "rows must be [n, H] f32, contiguous";
    return isfinite(args->factor) ? NULL : "factor must be finite";
}

const char *loam_check_replace_rows_backward(const struct loam_replace_rows_backward_args *args)
{
    const struct loam_tensor *dy = &args->dy;
    int64_t tokens = loam_tensor_count(&args->ids), n = loam_tensor_count(&args->tokens);
    if (!is_vector(&args->ids, LOAM_I32, tokens)) return "ids must be [T] i32";
    if (!is_vector(&args->tokens, LOAM_I32, n)) return "tokens must be [n] i32";
    if (!is_float(dy)) return "dy must be f32, bf16 or f16";
    if (!is_matrix(dy, dy->dtype, tokens, dy->shape[1])) return "dy must be [T, H], contiguous";
    if (!is_optional_matrix(&args->drows, LOAM_F32, n, dy->shape[1])) {
        return "drows must be [n, H] f32, contiguous";
    }
    return isfinite(args->factor) ? NULL : "factor must be finite";
}

static const char *check_columns(const struct loam_tensor *x, const struct loam_tensor *tokens,
                                 const struct loam_tensor *y, float factor)
{
    int64_t n = loam_tensor_count(tokens);
    if (!is_vector(tokens, LOAM_I32, n)) return "tokens must be [n] i32";
    if (!is_matrix(x, LOAM_F32, y->shape[0], n)) return "the n columns must be [T, n] f32, contiguous";
    if (!is_matrix(y, LOAM_F32, y->shape[0], y->shape[1])) return "y must be [T, V] f32, contiguous";
    if (n > y->shape[1]) return "tokens must not be more than V";
    return isfinite(factor) ? NULL : "factor must be finite";
}

const char *loam_check_replace_columns_forward(const struct loam_replace_columns_forward_args *args)
{
    return check_columns(&args->x, &args->tokens, &args->y, args->factor);
}

const char *loam_check_replace_columns_backward(const struct loam_replace_columns_backward_args *args)
{
    return check_columns(&args->dx, &args->tokens, &args->dy, args->factor);
}

const char *loam_check_gather_rows(const struct loam_gather_rows_args *args)
{
    const struct loam_tensor *x = &args->x;
    int64_t count = loam_tensor_count(&args->rows);
    if (!is_vector(&args->rows, LOAM_I32, count)) return "rows must be [R] i32";
    if (!is_float(x)) return "x must be f32, bf16 or f16";
    if (!is_strided(x, x->dtype, x->shape[0], x->shape[1])) return "x must be [T, H]";
    if (!is_matrix(&args->y, x->dtype, count, x->shape[1]))
        return "y must be [R, H] in the dtype of x, contiguous";
    return NULL;
}

// ---- norm ----

const char *loam_check_layernorm_forward(const struct loam_layernorm_forward_args *args)
{
    const struct loam_tensor *x = &args->x;
    int64_t tokens = x->shape[0], h = x->shape[1];
    if (!is_float(x)) return "x must be f32, bf16 or f16";
    if (!is_matrix(x, x->dtype, tokens, h)) return "x must be [T, H], contiguous";
    if (!is_vector(&args->w, x->dtype, h)) return "w must be [H] in the dtype of x";
    if (!is_optional_vector(&args->b, x->dtype, h)) return "b must be [H] in the dtype of x";
    if (!is_matrix(&args->y, x->dtype, tokens, h)) return "y must be [T, H] in the dtype of x";
    if (!is_vector(&args->mean, LOAM_F32, tokens)) return "mean must be [T] f32";
    if (!is_vector(&args->rstd, LOAM_F32, tokens)) return "rstd must be [T] f32";
    return NULL;
}

const char *loam_check_layernorm_backward(const struct loam_layernorm_backward_args *args)
{
    const struct loam_tensor *dy = &args->dy;
    int64_t tokens = dy->shape[0], h = dy->shape[1];
    if (!is_float(dy)) return "dy must be f32, bf16 or f16";
    if (!is_matrix(dy, dy->dtype, tokens, h)) return "dy must be [T, H], contiguous";
    if (!is_matrix(&args->x, dy->dtype, tokens, h)) return "x must be [T, H] in the dtype of dy";
    if (!is_vector(&args->w, dy->dtype, h)) return "w must be [H] in the dtype of dy";
    if (!is_vector(&args->mean, LOAM_F32, tokens)) return "mean must be [T] f32";
    if (!is_vector(&args->rstd, LOAM_F32, tokens)) return "rstd must be [T] f32";
    if (!is_matrix(&args->dx, dy->dtype, tokens, h)) return "dx must be [T, H] in the dtype of dy";
    if (!is_optional_vector(&args->dw, LOAM_F32, h)) return "dw must be [H] f32";
    if (!is_optional_vector(&args->db, LOAM_F32, h)) return "db must be [H] f32";
    if (args->accumulate && args->dx.data == dy->data) return "dx may be dy only where it is not added to";
    return NULL;
}

static const char *check_norm_offset(float offset)
{
    return isfinite(offset) ? NULL : "the offset of the weight must be finite";
}

const char *loam_check_rmsnorm_forward(const struct loam_rmsnorm_forward_args *args)
{
    const struct loam_tensor *x = &args->x;
    int64_t tokens = x->shape[0], h = x->shape[1];
    if (!is_float(x)) return "x must be f32, bf16 or f16";
    if (!is_matrix(x, x->dtype, tokens, h)) return "x must be [T, H], contiguous";
    if (!is_vector(&args->w, x->dtype, h)) return "w must be [H] in the dtype of x";
    if (!is_matrix(&args->y, x->dtype, tokens, h)) return "y must be [T, H] in the dtype of x";
    if (!is_vector(&args->rstd, LOAM_F32, tokens)) return "rstd must be [T] f32";
    return check_norm_offset(args->offset);
}

const char *loam_check_rmsnorm_backward(const struct loam_rmsnorm_backward_args *args)
{
    const struct loam_tensor *dy = &args->dy;
    int64_t tokens = dy->shape[0], h = dy->shape[1];
    if (!is_float(dy)) return "dy must be f32, bf16 or f16";
    if (!is_matrix(dy, dy->dtype, tokens, h)) return "dy must be [T, H], contiguous";
    if (!is_matrix(&args->x, dy->dtype, tokens, h)) return "x must be [T, H] in the dtype of dy";
    if (!is_vector(&args->w, dy->dtype, h)) return "w must be [H] in the dtype of dy";
    if (!is_vector(&args->rstd, LOAM_F32, tokens)) return "rstd must be [T] f32";
    if (!is_matrix(&args->dx, dy->dtype, tokens, h)) return "dx must be [T, H] in the dtype of dy";
    if (!is_optional_vector(&args->dw, LOAM_F32, h)) return "dw must be [H] f32";
    if (args->accumulate && args->dx.data == dy->data) return "dx may be dy only where it is not added to";
    return check_norm_offset(args->offset);
}

// ---- residual stream ----

const char *loam_check_add_scaled(const struct loam_add_scaled_args *args)
{
    const struct loam_tensor *x = &args->x;
    int64_t rows = x->shape[0], h = x->shape[1];
    if (!is_float(x)) return "x must be f32, bf16 or f16";
    if (!is_strided(x, x->dtype, rows, h)) return "x must be [T, H] with contiguous rows";
    if (!is_optional_strided(&args->residual, x->dtype, rows, h)) return "residual must be as x";
    if (!is_strided(&args->y, x->dtype, rows, h)) return "y must be as x";
    return NULL;
}

const char *loam_check_cast(const struct loam_cast_args *args)
{
    const struct loam_tensor *x = &args->x, *y = &args->y;
    if (!is_float(x) || !is_float(y)) return "x and y must be f32, bf16 or f16";
    if (!is_strided(x, x->dtype, x->shape[0], x->shape[1])) return "x must be [T, H] with contiguous rows";
    return is_strided(y, y->dtype, x->shape[0], x->shape[1]) ? NULL : "y must be [T, H] with contiguous rows";
}

// ---- position ----

const char *loam_check_rope_table(const struct loam_rope_table_args *args)
{
    int64_t tokens = loam_tensor_count(&args->positions), half = loam_tensor_count(&args->frequencies);
    if (!is_vector(&args->positions, LOAM_I32, tokens)) return "positions must be [T] i32";
    if (!is_vector(&args->frequencies, LOAM_F32, half)) return "frequencies must be [R/2] f32";
    if (!is_matrix(&args->table, LOAM_F32, tokens, 2 * half)) return "table must be [T, R] f32";
    if (!is_factor(args->factor)) return "factor must be finite and not 0";
    if (args->query_context < 0) return "query_context must not be negative";
    if (!isfinite(args->query_beta)) return "query_beta must be finite";
    return NULL;
}

const char *loam_check_rope(const struct loam_rope_args *args)
{
    const struct loam_tensor *x = &args->x;
    if (!is_float(x)) return "x must be f32, bf16 or f16";
    if (!is_heads(x, x->dtype, x->shape[0], x->shape[1], x->shape[2])) {
        return "x must be [T, heads, R] with contiguous heads";
    }
    if (x->shape[2] % 2 != 0) return "the number of rotated elements must be even";
    if (!is_matrix(&args->table, LOAM_F32, x->shape[0], x->shape[2])) return "table must be [T, R] f32";
    return NULL;
}

const char *loam_check_ropes(const struct loam_ropes_args *args)
{
    const char *broken = loam_check_rope(&args->query);
    if (broken == NULL) broken = loam_check_rope(&args->key);
    if (broken == NULL && args->query.x.shape[0] != args->key.x.shape[0])
        broken = "query and key must have the same tokens";
    return broken;
}

// ---- attention ----

static const char *check_attention_inputs(const struct loam_tensor *q, const struct loam_tensor *k,
                                          const struct loam_tensor *v,
                                          const struct loam_attention_shape *shape)
{
    int64_t heads = q->shape[1], groups = k->shape[1], size = q->shape[2];
    int64_t offsets = loam_tensor_count(&shape->q_offsets);
    if (!is_float(q)) return "q must be f32, bf16 or f16";
    if (!is_heads(q, q->dtype, q->shape[0], heads, size)) return "q must be [Tq, Q, D]";
    if (!is_heads(k, q->dtype, k->shape[0], groups, size)) return "k must be [Tkv, G, D] in q's dtype";
    if (!is_heads(v, q->dtype, k->shape[0], groups, size)) return "v must be [Tkv, G, D] in q's dtype";
    if (groups < 1 || heads % groups != 0) return "the query heads must be a multiple of the key/value heads";
    if (offsets < 1 || !is_vector(&shape->q_offsets, LOAM_I32, offsets)) {
        return "q_offsets must be [S + 1] i32";
    }
    if (!is_vector(&shape->kv_offsets, LOAM_I32, offsets)) return "kv_offsets must be [S + 1] i32";
    if (!is_optional_vector(&shape->slopes, LOAM_F32, heads)) return "slopes must be [Q] f32";
    if (shape->max_q < 0 || shape->max_kv < shape->max_q) return "max_kv must be at least max_q";
    if (shape->window < 0) return "window must not be negative";
    if (!is_cap(shape->softcap)) return "softcap must be finite and not negative";
    if (shape->softcap > 0 && shape->slopes.data != NULL) return "softcap and slopes exclude each other";
    return NULL;
}

const char *loam_check_attention_forward(const struct loam_attention_forward_args *args)
{
    const struct loam_tensor *q = &args->q;
    const char *reason = check_attention_inputs(q, &args->k, &args->v, &args->shape);
    if (reason != NULL) return reason;
    if (!is_vector(&args->out, q->dtype, loam_tensor_count(q))) {
        return "out must be [Tq, Q, D], contiguous, in the dtype of q";
    }
    if (!is_vector(&args->lse, LOAM_F32, q->shape[0] * q->shape[1])) return "lse must be [Q, Tq] f32";
    return NULL;
}

const char *loam_check_attention_backward(const struct loam_attention_backward_args *args)
{
    const struct loam_tensor *q = &args->q, *k = &args->k;
    int64_t size = q->shape[2];
    const char *reason = check_attention_inputs(q, k, &args->v, &args->shape);
    if (reason != NULL) return reason;
    if (!is_vector(&args->out, q->dtype, loam_tensor_count(q))) {
        return "out must be [Tq, Q, D], contiguous, in the dtype of q";
    }
    if (!is_vector(&args->lse, LOAM_F32, q->shape[0] * q->shape[1])) return "lse must be [Q, Tq] f32";
    if (!is_vector(&args->dout, q->dtype, loam_tensor_count(q))) {
        return "dout must be [Tq, Q, D], contiguous, in the dtype of q";
    }
    if (!is_heads(&args->dq, q->dtype, q->shape[0], q->shape[1], size)) return "dq must be as q";
    if (!is_heads(&args->dk, q->dtype, k->shape[0], k->shape[1], size)) return "dk must be as k";
    if (!is_heads(&args->dv, q->dtype, k->shape[0], k->shape[1], size)) return "dv must be as v";
    return NULL;
}

const char *loam_check_kv_append(const struct loam_kv_append_args *args)
{
    const struct loam_tensor *x = &args->x, *cache = &args->cache;
    if (!is_float(x)) return "x must be f32, bf16 or f16";
    if (!is_heads(x, x->dtype, x->shape[0], x->shape[1], x->shape[2])) return "x must be [T, G, D]";
    if (!is_heads(cache, x->dtype, cache->shape[0], x->shape[1], x->shape[2]) ||
        !loam_tensor_contiguous(cache)) {
        return "cache must be [capacity, G, D], contiguous, in the dtype of x";
    }
    if (args->first < 0 || args->first + x->shape[0] > cache->shape[0])
        return "the rows must fit in the cache";
    return NULL;
}

// ---- MLP ----

static bool is_activation(enum loam_activation kind)
{
    return (size_t)kind < LOAM_ACTIVATION_COUNT;
}

const char *loam_check_activation_forward(const struct loam_activation_forward_args *args)
{
    const struct loam_tensor *x = &args->x;
    int64_t count = loam_tensor_count(x);
    if (!is_activation(args->kind)) return "the activation is unknown";
    if (!is_float(x)) return "x must be f32, bf16 or f16";
    if (!is_vector(x, x->dtype, count)) return "x must be contiguous";
    if (!is_vector(&args->y, x->dtype, count)) return "y must be as x";
    return NULL;
}

const char *loam_check_activation_backward(const struct loam_activation_backward_args *args)
{
    const struct loam_tensor *x = &args->x;
    int64_t count = loam_tensor_count(x);
    if (!is_activation(args->kind)) return "the activation is unknown";
    if (!is_float(x)) return "x must be f32, bf16 or f16";
    if (!is_vector(x, x->dtype, count)) return "x must be contiguous";
    if (!is_vector(&args->dy, x->dtype, count)) return "dy must be as x";
    if (!is_vector(&args->dx, x->dtype, count)) return "dx must be as x";
    return NULL;
}

const char *loam_check_gated_activation_forward(const struct loam_gated_activation_forward_args *args)
{
    const struct loam_tensor *gate = &args->gate;
    int64_t tokens = gate->shape[0], f = gate->shape[1];
    if (!is_activation(args->kind)) return "the activation is unknown";
    if (!is_float(gate)) return "gate must be f32, bf16 or f16";
    if (!is_strided(gate, gate->dtype, tokens, f)) return "gate must be [T, F] with contiguous rows";
    if (!is_strided(&args->up, gate->dtype, tokens, f)) return "up must be as gate";
    if (!is_strided(&args->y, gate->dtype, tokens, f)) return "y must be as gate";
    return NULL;
}

const char *loam_check_gated_activation_backward(const struct loam_gated_activation_backward_args *args)
{
    const struct loam_tensor *gate = &args->gate;
    int64_t tokens = gate->shape[0], f = gate->shape[1];
    if (!is_activation(args->kind)) return "the activation is unknown";
    if (!is_float(gate)) return "gate must be f32, bf16 or f16";
    if (!is_strided(gate, gate->dtype, tokens, f)) return "gate must be [T, F] with contiguous rows";
    if (!is_strided(&args->up, gate->dtype, tokens, f)) return "up must be as gate";
    if (!is_strided(&args->dy, gate->dtype, tokens, f)) return "dy must be as gate";
    if (!is_strided(&args->dgate, gate->dtype, tokens, f)) return "dgate must be as gate";
    if (!is_strided(&args->dup, gate->dtype, tokens, f)) return "dup must be as gate";
    return NULL;
}

// ---- loss ----

const char *loam_check_linear_cross_entropy(const struct loam_linear_cross_entropy_args *args)
{
    const struct loam_tensor *h = &args->h, *w = &args->w.tensor;
    int64_t tokens = h->shape[0], size = h->shape[1], vocabulary = w->shape[0];
    if (!is_float(h)) return "h must be f32, bf16 or f16";
    if (!is_strided(h, h->dtype, tokens, size)) return "h must be [T, H]";
    if (args->w.transposed || !is_table(w, h->dtype, vocabulary, size))
        return "w must be [V, H], not transposed, in the dtype of h, or a half where that is f32";
    if (!is_optional_vector(&args->bias, h->dtype, vocabulary)) return "bias must be [V] in the dtype of h";
    if (!is_factor(args->logit_factor)) return "logit_factor must be finite and not 0";
    if (!is_cap(args->logit_softcap)) return "logit_softcap must be finite and not negative";
    if (!is_vector(&args->targets, LOAM_I32, tokens)) return "targets must be [T] i32";
    if (!is_vector(&args->losses, LOAM_F32, tokens)) return "losses must be [T] f32";
    const bool gradients = args->dh.data != NULL || args->dw.data != NULL || args->dbias.data != NULL;
    if (gradients && !is_vector(&args->factors, LOAM_F32, tokens))
        return "factors must be [T] f32 where there are gradients";
    if (!is_optional_matrix(&args->dh, h->dtype, tokens, size)) {
        return "dh must be [T, H], contiguous, in the dtype of h";
    }
    if (!is_optional_matrix(&args->dw, LOAM_F32, vocabulary, size)) {
        return "dw must be [V, H] f32, contiguous";
    }
    if (!is_optional_vector(&args->dbias, LOAM_F32, vocabulary)) return "dbias must be [V] f32";
    return NULL;
}

const char *loam_check_cross_entropy(const struct loam_cross_entropy_args *args)
{
    const struct loam_tensor *products = &args->products;
    int64_t tokens = products->shape[0];
    if (!is_matrix(products, LOAM_F32, tokens, products->shape[1])) {
        return "products must be [T, V] f32, contiguous";
    }
    if (!is_factor(args->logit_factor)) return "logit_factor must be finite and not 0";
    if (!is_cap(args->logit_softcap)) return "logit_softcap must be finite and not negative";
    if (!is_vector(&args->targets, LOAM_I32, tokens)) return "targets must be [T] i32";
    if (!is_optional_vector(&args->factors, LOAM_F32, tokens)) return "factors must be [T] f32";
    return is_vector(&args->losses, LOAM_F32, tokens) ? NULL : "losses must be [T] f32";
}

const char *loam_check_cap_logits(const struct loam_cap_logits_args *args)
{
    const struct loam_tensor *x = &args->x;
    if (!is_matrix(x, LOAM_F32, x->shape[0], x->shape[1])) return "x must be [T, V] f32, contiguous";
    if (!is_factor(args->factor)) return "factor must be finite and not 0";
    if (!is_cap(args->softcap)) return "softcap must be finite and not negative";
    return NULL;
}

const char *loam_check_top_logits(const struct loam_top_logits_args *args)
{
    const struct loam_tensor *x = &args->x, *values = &args->values, *asked = &args->asked;
    const int64_t tokens = x->shape[0], vocabulary = x->shape[1], k = values->shape[1];
    if (!is_matrix(x, LOAM_F32, tokens, vocabulary)) return "x must be [T, V] f32, contiguous";
    if (args->limit < 1 || args->limit > vocabulary) return "limit must be 1 to V";
    if (!is_optional_matrix(&args->allowed, LOAM_I32, tokens, (vocabulary + 31) / 32))
        return "allowed must be [T, (V + 31) / 32] i32, contiguous";
    if (k < 1 || k > LOAM_MOST_TOP_LOGITS || !is_matrix(values, LOAM_F32, tokens, k))
        return "values must be [T, k] f32, contiguous, k at most 256";
    if (!is_matrix(&args->ids, LOAM_I32, tokens, k)) return "ids must be [T, k] i32, contiguous";
    if (!is_optional_vector(&args->sums, LOAM_F32, tokens)) return "sums must be [T] f32";
    if (args->sums.data != NULL && !is_vector(&args->factors, LOAM_F32, tokens))
        return "factors must be [T] f32 where there are sums";
    if (!is_vector(&args->faults, LOAM_I32, tokens)) return "faults must be [T] i32";
    if (asked->data == NULL) return args->answers.data == NULL ? NULL : "answers need ids that are asked for";
    if (!is_matrix(asked, LOAM_I32, tokens, asked->shape[1])) return "asked must be [T, m] i32, contiguous";
    if (!is_matrix(&args->answers, LOAM_F32, tokens, asked->shape[1])) return "answers must be [T, m] f32";
    return NULL;
}

// ---- optimiser ----

const char *loam_check_squared_norm(const struct loam_squared_norm_args *args)
{
    if (!is_vector(&args->x, LOAM_F32, loam_tensor_count(&args->x))) return "x must be [n] f32";
    if (!is_vector(&args->result, LOAM_F64, 1)) return "result must be [1] f64";
    return NULL;
}

// Which elements have which rates.
static const char *check_ranges(const struct loam_adamw_args *args)
{
    const int64_t ranges = loam_tensor_count(&args->starts);
    if (args->starts.data == NULL) return args->groups.data == NULL ? NULL : "groups need starts";
    if (ranges < 1 || !is_vector(&args->starts, LOAM_I32, ranges)) return "starts must be [R] i32";
    return is_vector(&args->groups, LOAM_I32, ranges) ? NULL : "groups must be [R] i32";
}

const char *loam_check_adamw(const struct loam_adamw_args *args)
{
    int64_t count = loam_tensor_count(&args->param);
    if (!is_vector(&args->param, LOAM_F32, count)) return "param must be [n] f32";
    if (!is_vector(&args->grad, LOAM_F32, count)) return "grad must be [n] f32";
    if (!is_vector(&args->m, LOAM_F32, count)) return "m must be [n] f32";
    if (!is_vector(&args->v, LOAM_F32, count)) return "v must be [n] f32";
    if (args->mirror.data != NULL &&
        (!is_half(&args->mirror) || !is_vector(&args->mirror, args->mirror.dtype, count)))
        return "mirror must be [n] bf16 or f16";
    if (!is_optional_vector(&args->squared_norm, LOAM_F64, 1)) return "squared_norm must be [1] f64";
    if (!is_optional_vector(&args->guard, LOAM_F64, 1)) return "guard must be [1] f64";
    if (!is_factor(args->grad_factor)) return "grad_factor must be finite and not 0";
    if (args->max_norm < 0) return "max_norm must not be negative";
    if (args->max_norm > 0 && args->squared_norm.data == NULL) return "max_norm needs squared_norm";
    if (args->step < 1) return "step counts from 1";
    return check_ranges(args);
}
