// Rows of the embedding that were never trained: a reserved token that the data uses.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/heap.h"
#include "data/preflight_checks.h"

// The largest value of a row that counts as zero. Trained values are larger by many orders of magnitude.
static const float zero = 1e-16F;

// Whether all values of a row are zero, or equal. `detail` receives which.
static bool is_untrained(const float *row, int64_t count, char detail[LOAM_PREFLIGHT_DETAIL])
{
    bool zeros = true, equal = true;
    for (int64_t i = 0; i < count; i++) {
        zeros = zeros && fabsf(row[i]) <= zero;
        equal = equal && row[i] == row[0];
    }
    if (zeros)
        snprintf(detail, LOAM_PREFLIGHT_DETAIL, "zero");
    else if (equal && count > 1)
        snprintf(detail, LOAM_PREFLIGHT_DETAIL, "%g", (double)row[0]);
    return zeros || (equal && count > 1);
}

// Brings row `id` of the embedding to the host as f32. `stored` has room for it as it is stored.
static enum loam_status read_row(const struct loam_tensor *embedding, int64_t id, struct loam_stream *stream,
                                 void *stored, float *row, struct loam_error *error)
{
    struct loam_tensor one = loam_tensor_rows(embedding, id, 1);
    loam_download(stream, stored, one.data, loam_tensor_bytes(&one));
    LOAM_TRY(loam_stream_finish(stream, error));
    loam_convert(row, LOAM_F32, stored, one.dtype, (size_t)loam_tensor_count(&one));
    return LOAM_OK;
}

static enum loam_status find_in(const struct loam_tensor *embedding, const struct loam_preflight *preflight,
                                int64_t rows, struct loam_stream *stream, struct loam_preflight_tally *tally,
                                struct loam_error *error)
{
    char detail[LOAM_PREFLIGHT_DETAIL] = "";
    const size_t width = (size_t)embedding->shape[1];
    float *row = loam_calloc(2 * width, sizeof *row, error); // the row as f32, then as it is stored
    enum loam_status status = row == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
    for (int64_t id = 0; id < rows && status == LOAM_OK; id++) {
        if (preflight->first_use[id] == 0) continue;
        status = read_row(embedding, id, stream, row + width, row, error);
        if (status != LOAM_OK || !is_untrained(row, embedding->shape[1], detail)) continue;
        if (tally->records++ > 0) continue;
        tally->first = preflight->first_use[id] - 1;
        tally->token = (int32_t)id;
        snprintf(tally->detail, sizeof tally->detail, "%s", detail);
    }
    free(row);
    return status;
}

enum loam_status loam_preflight_find_untrained(const struct loam_preflight_facts *facts,
                                               const struct loam_preflight *preflight,
                                               struct loam_preflight_tally *tally, struct loam_error *error)
{
    const struct loam_model *model = facts->model;
    const struct loam_tensor *embedding = &model->embedding->value;
    int64_t rows = facts->input->vocabulary;
    struct loam_stream stream;
    if (embedding->rank != 2 || embedding->data == NULL) return LOAM_OK;
    if (rows > embedding->shape[0]) rows = embedding->shape[0];
    LOAM_TRY(loam_stream_init(&stream, model->device, 0, error));
    enum loam_status status = find_in(embedding, preflight, rows, &stream, tally, error);
    loam_stream_deinit(&stream);
    return status;
}
