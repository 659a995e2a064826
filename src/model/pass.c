// What every part of a pass uses: memory from the step arena, norms, dropout, rows.
#include "model/pass.h"

struct loam_tensor loam_pass_tensor(struct loam_pass *pass, enum loam_dtype dtype, int64_t rows,
                                    int64_t columns)
{
    size_t bytes = (size_t)(rows * columns) * loam_dtype_size(dtype);
    return loam_tensor_2d(loam_arena_alloc(pass->arena, bytes), dtype, rows, columns);
}

struct loam_tensor loam_pass_rows_of(struct loam_pass *pass, int64_t rows, int64_t columns)
{
    return loam_pass_tensor(pass, pass->model->dtype, rows, columns);
}

struct loam_tensor loam_pass_rows(struct loam_pass *pass, int64_t columns)
{
    return loam_pass_rows_of(pass, pass->tokens, columns);
}

struct loam_tensor loam_pass_rows_and_zeros(struct loam_pass *pass, int64_t rows, int64_t columns)
{
    struct loam_tensor all = loam_pass_rows_of(pass, rows + 1, columns);
    struct loam_tensor zeros = loam_tensor_rows(&all, rows, 1);
    if (zeros.data != NULL) loam_zero(pass->stream, zeros.data, loam_tensor_bytes(&zeros));
    return all;
}

struct loam_tensor loam_pass_f32(struct loam_pass *pass, int64_t rows, int64_t columns)
{
    return loam_pass_tensor(pass, LOAM_F32, rows, columns);
}

static struct loam_tensor pass_f32_vector(struct loam_pass *pass, int64_t count)
{
    void *data = loam_arena_alloc(pass->arena, (size_t)count * sizeof(float));
    return loam_tensor_1d(data, LOAM_F32, count);
}

bool loam_norm_trained(const struct loam_decoder *decoder, const struct loam_norm *norm)
{
    return loam_decoder_gradient(decoder, norm->w).data != NULL ||
           loam_decoder_gradient(decoder, norm->b).data != NULL;
}

// ---- norms ----

struct loam_norm_stats loam_pass_norm_stats(struct loam_pass *pass, const struct loam_norm *norm,
                                            int64_t rows)
{
    struct loam_norm_stats stats = {0};
    if (norm->kind == LOAM_LAYERNORM) stats.mean = pass_f32_vector(pass, rows);
    stats.rstd = pass_f32_vector(pass, rows);
    return stats;
}

void loam_decoder_norm(struct loam_pass *pass, const struct loam_norm *norm, struct loam_tensor x,
                       struct loam_norm_stats stats, struct loam_tensor y)
{
    const float eps = (float)pass->model->config.norm_eps;
    if (norm->kind == LOAM_LAYERNORM)
        loam_layernorm_forward(pass->stream,
                               &(struct loam_layernorm_forward_args){.x = x,
                                                                     .w = loam_pass_value(pass, norm->w),
                                                                     .b = loam_pass_value(pass, norm->b),
                                                                     .eps = eps,
                                                                     .y = y,
                                                                     .mean = stats.mean,
                                                                     .rstd = stats.rstd});
    else
        loam_rmsnorm_forward(pass->stream,
                             &(struct loam_rmsnorm_forward_args){.x = x,
                                                                 .w = loam_pass_value(pass, norm->w),
                                                                 .offset = norm->offset,
                                                                 .eps = eps,
                                                                 .y = y,
                                                                 .rstd = stats.rstd});
}

void loam_decoder_norm_backward(struct loam_pass *pass, const struct loam_norm *norm, struct loam_tensor dy,
                                struct loam_tensor x, struct loam_norm_stats stats, struct loam_tensor dx,
                                bool accumulate)
{
    if (norm->kind == LOAM_LAYERNORM)
        loam_layernorm_backward(
            pass->stream, &(struct loam_layernorm_backward_args){.dy = dy,
                                                                 .x = x,
                                                                 .w = loam_pass_value(pass, norm->w),
                                                                 .mean = stats.mean,
                                                                 .rstd = stats.rstd,
                                                                 .dx = dx,
                                                                 .accumulate = accumulate,
                                                                 .dw = loam_pass_gradient(pass, norm->w),
                                                                 .db = loam_pass_gradient(pass, norm->b)});
    else
        loam_rmsnorm_backward(pass->stream,
                              &(struct loam_rmsnorm_backward_args){.dy = dy,
                                                                   .x = x,
                                                                   .w = loam_pass_value(pass, norm->w),
                                                                   .offset = norm->offset,
                                                                   .rstd = stats.rstd,
                                                                   .dx = dx,
                                                                   .accumulate = accumulate,
                                                                   .dw = loam_pass_gradient(pass, norm->w)});
}

// ---- dropout and rows ----

struct loam_dropout loam_pass_dropout(const struct loam_pass *pass, const struct loam_lora_slot *slot,
                                      int64_t element)
{
    return (struct loam_dropout){.p = pass->gradients ? slot->dropout : 0.0f,
                                 .seed = pass->seed,
                                 .stream = loam_rng_stream(LOAM_RNG_DROPOUT, slot->index),
                                 .counter = (pass->dropout_counter << 32) + (uint64_t)element};
}

void loam_pass_take_rows(struct loam_pass *pass, struct loam_tensor rows, struct loam_tensor x,
                         struct loam_tensor y)
{
    loam_gather_rows(pass->stream, &(struct loam_gather_rows_args){.x = x, .rows = rows, .y = y});
}
