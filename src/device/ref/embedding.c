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
