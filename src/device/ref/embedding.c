#include "device/ref/ref.h"

const char *loam_ref_embedding_forward_refuses(const struct loam_device *device,
                                               const struct loam_embedding_forward_args *args)
{
    (void)device;
    const struct loam_tensor *table = &args->table;
    int64_t tokens = loam_tensor_count(&args->ids);
    if (!loam_check_vector(&args->ids, LOAM_I32, tokens)) return "ids must be [T] i32";
    if (!loam_check_strided(table, table->dtype, table->shape[0], table->shape[1])) {
        return "table must be [V, H]";
    }
    if (!loam_check_activation(&args->y) ||
        !loam_check_weight(table, args->y.dtype, table->shape[0], table->shape[1]))
        return "table must be [V, H] in the dtype of y, or a half where that is f32";
    if (!loam_check_matrix(&args->y, args->y.dtype, tokens, table->shape[1]))
        return "y must be [T, H], contiguous";
    return NULL;
}

enum loam_status loam_ref_embedding_forward(struct loam_stream *stream,
                                            const struct loam_embedding_forward_args *args)
{
    (void)stream;
    const struct loam_tensor *table = &args->table, *y = &args->y;
    for (int64_t t = 0; t < y->shape[0]; t++) {
        int64_t id = ref_index(&args->ids, t);
        for (int64_t h = 0; h < y->shape[1]; h++) {
            ref_store(y, ref_at(y, t, h), ref_load(table, ref_at(table, id, h)));
        }
    }
    return LOAM_OK;
}

const char *loam_ref_embedding_backward_refuses(const struct loam_device *device,
                                                const struct loam_embedding_backward_args *args)
{
    (void)device;
    const struct loam_tensor *dy = &args->dy, *dtable = &args->dtable;
    int64_t tokens = loam_tensor_count(&args->ids);
    if (!loam_check_vector(&args->ids, LOAM_I32, tokens)) return "ids must be [T] i32";
    if (!loam_check_activation(dy)) return "dy must be f32 or bf16";
    if (!loam_check_matrix(dy, dy->dtype, tokens, dtable->shape[1])) return "dy must be [T, H], contiguous";
    if (!loam_check_matrix(dtable, LOAM_F32, dtable->shape[0], dtable->shape[1])) {
        return "dtable must be [V, H] f32, contiguous";
    }
    return NULL;
}

enum loam_status loam_ref_embedding_backward(struct loam_stream *stream,
                                             const struct loam_embedding_backward_args *args)
{
    (void)stream;
    const struct loam_tensor *dy = &args->dy, *dtable = &args->dtable;
    for (int64_t t = 0; t < dy->shape[0]; t++) {
        int64_t id = ref_index(&args->ids, t);
        for (int64_t h = 0; h < dy->shape[1]; h++) {
            ref_add(dtable, ref_at(dtable, id, h), ref_load(dy, ref_at(dy, t, h)));
        }
    }
    return LOAM_OK;
}

const char *loam_ref_gather_rows_refuses(const struct loam_device *device,
                                         const struct loam_gather_rows_args *args)
{
    (void)device;
    const struct loam_tensor *x = &args->x;
    int64_t count = loam_tensor_count(&args->rows);
    if (!loam_check_vector(&args->rows, LOAM_I32, count)) return "rows must be [R] i32";
    if (!loam_check_activation(x)) return "x must be f32 or bf16";
    if (!loam_check_strided(x, x->dtype, x->shape[0], x->shape[1])) return "x must be [T, H]";
    if (!loam_check_matrix(&args->y, x->dtype, count, x->shape[1]))
        return "y must be [R, H] in the dtype of x, contiguous";
    return NULL;
}

enum loam_status loam_ref_gather_rows(struct loam_stream *stream, const struct loam_gather_rows_args *args)
{
    (void)stream;
    const struct loam_tensor *x = &args->x, *y = &args->y;
    for (int64_t i = 0; i < y->shape[0]; i++) {
        int64_t row = ref_index(&args->rows, i);
        for (int64_t h = 0; h < y->shape[1]; h++)
            ref_store(y, ref_at(y, i, h), ref_load(x, ref_at(x, row, h)));
    }
    return LOAM_OK;
}
