#include "device/ref/ref.h"

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

// ---- trained tokens ----

// The row of a token; -1: it has none.
static int64_t find_row(const struct loam_tensor *tokens, int32_t id)
{
    for (int64_t j = 0; j < loam_tensor_count(tokens); j++)
        if (ref_index(tokens, j) == id) return j;
    return -1;
}

enum loam_status loam_ref_replace_rows_forward(struct loam_stream *stream,
                                               const struct loam_replace_rows_forward_args *args)
{
    (void)stream;
    const struct loam_tensor *rows = &args->rows, *y = &args->y;
    const double factor = (double)args->factor;
    for (int64_t t = 0; t < y->shape[0]; t++) {
        const int64_t row = find_row(&args->tokens, ref_index(&args->ids, t));
        for (int64_t h = 0; h < y->shape[1] && row >= 0; h++)
            ref_store(y, ref_at(y, t, h),
                      (1 - factor) * ref_load(y, ref_at(y, t, h)) +
                          factor * ref_load(rows, ref_at(rows, row, h)));
    }
    return LOAM_OK;
}

enum loam_status loam_ref_replace_rows_backward(struct loam_stream *stream,
                                                const struct loam_replace_rows_backward_args *args)
{
    (void)stream;
    const struct loam_tensor *drows = &args->drows, *dy = &args->dy;
    const double factor = (double)args->factor;
    for (int64_t t = 0; t < dy->shape[0]; t++) {
        const int64_t row = find_row(&args->tokens, ref_index(&args->ids, t));
        for (int64_t h = 0; h < dy->shape[1] && row >= 0; h++) {
            const double gradient = ref_load(dy, ref_at(dy, t, h));
            if (drows->data != NULL) ref_add(drows, ref_at(drows, row, h), factor * gradient);
            ref_store(dy, ref_at(dy, t, h), (1 - factor) * gradient);
        }
    }
    return LOAM_OK;
}

enum loam_status loam_ref_replace_columns_forward(struct loam_stream *stream,
                                                  const struct loam_replace_columns_forward_args *args)
{
    (void)stream;
    const struct loam_tensor *x = &args->x, *y = &args->y;
    const double factor = (double)args->factor;
    for (int64_t t = 0; t < y->shape[0]; t++)
        for (int64_t j = 0; j < x->shape[1]; j++) {
            const int64_t at = ref_at(y, t, ref_index(&args->tokens, j));
            ref_store(y, at, (1 - factor) * ref_load(y, at) + factor * ref_load(x, ref_at(x, t, j)));
        }
    return LOAM_OK;
}

enum loam_status loam_ref_replace_columns_backward(struct loam_stream *stream,
                                                   const struct loam_replace_columns_backward_args *args)
{
    (void)stream;
    const struct loam_tensor *dx = &args->dx, *dy = &args->dy;
    const double factor = (double)args->factor;
    for (int64_t t = 0; t < dy->shape[0]; t++)
        for (int64_t j = 0; j < dx->shape[1]; j++) {
            const int64_t at = ref_at(dy, t, ref_index(&args->tokens, j));
            const double gradient = ref_load(dy, at);
            ref_store(dx, ref_at(dx, t, j), factor * gradient);
            ref_store(dy, at, (1 - factor) * gradient);
        }
    return LOAM_OK;
}
