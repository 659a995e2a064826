#include "model/batch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "device/ops.h"

// Whether row t of a sequence counts.
static bool row_counts(const float *weights, int32_t count, int32_t t)
{
    return weights != NULL && t + 1 < count && weights[t + 1] != 0;
}

struct loam_labels loam_labels_count(const float *weights, int32_t count)
{
    struct loam_labels labels = {0};
    for (int32_t t = 0; t < count; t++) {
        if (!row_counts(weights, count, t)) continue;
        labels.count++;
        labels.weight += (double)weights[t + 1];
    }
    return labels;
}

void loam_labels_add(struct loam_labels *labels, struct loam_labels other)
{
    labels->count += other.count;
    labels->weight += other.weight;
}

enum loam_status loam_batch_init(struct loam_batch *batch, int32_t token_capacity, int32_t sequence_capacity,
                                 struct loam_error *error)
{
    *batch = (struct loam_batch){0};
    if (token_capacity < 1 || sequence_capacity < 1)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "a batch needs room for a token and a sequence, not %d and %d", (int)token_capacity,
                         (int)sequence_capacity);
    const size_t tokens = (size_t)token_capacity;
    batch->token_capacity = token_capacity;
    batch->sequence_capacity = sequence_capacity;
    batch->ids = loam_calloc(tokens, sizeof *batch->ids, error);
    batch->positions = loam_calloc(tokens, sizeof *batch->positions, error);
    batch->offsets = loam_calloc((size_t)sequence_capacity + 1, sizeof *batch->offsets, error);
    batch->targets = loam_calloc(tokens, sizeof *batch->targets, error);
    batch->weights = loam_calloc(tokens, sizeof *batch->weights, error);
    batch->rows = loam_calloc(tokens, sizeof *batch->rows, error);
    batch->losses = loam_calloc(tokens, sizeof *batch->losses, error);
    if (batch->ids != NULL && batch->positions != NULL && batch->offsets != NULL && batch->targets != NULL &&
        batch->weights != NULL && batch->rows != NULL && batch->losses != NULL)
        return LOAM_OK;
    loam_batch_deinit(batch);
    return LOAM_ERROR_MEMORY;
}

void loam_batch_deinit(struct loam_batch *batch)
{
    free(batch->ids);
    free(batch->positions);
    free(batch->offsets);
    free(batch->targets);
    free(batch->weights);
    free(batch->rows);
    free(batch->losses);
    *batch = (struct loam_batch){0};
}

void loam_batch_clear(struct loam_batch *batch)
{
    batch->tokens = 0;
    batch->sequences = 0;
    batch->max_sequence = 0;
    batch->labels = (struct loam_labels){0};
    batch->offsets[0] = 0;
}

bool loam_batch_fits(const struct loam_batch *batch, int32_t count)
{
    return batch->sequences < batch->sequence_capacity && count <= batch->token_capacity - batch->tokens;
}

// Appends rows; `batch->tokens` is still that of the rows before them.
static void append_rows(struct loam_batch *batch, const int32_t *ids, const float *weights, int32_t count)
{
    const int32_t first = batch->tokens;
    int64_t counted = batch->labels.count;
    memcpy(batch->ids + first, ids, (size_t)count * sizeof *ids);
    for (int32_t t = 0; t < count; t++) {
        const bool counts = row_counts(weights, count, t);
        batch->positions[first + t] = t;
        batch->targets[first + t] = counts ? ids[t + 1] : LOAM_NO_TARGET;
        batch->weights[first + t] = counts ? weights[t + 1] : 0;
        batch->losses[first + t] = 0;
        if (counts) batch->rows[counted++] = first + t;
    }
    loam_labels_add(&batch->labels, loam_labels_count(weights, count));
}

static enum loam_status check_weights(const char *name, const float *weights, int32_t count,
                                      struct loam_error *error)
{
    for (int32_t t = 0; weights != NULL && t < count; t++)
        if (!isfinite(weights[t]) || weights[t] < 0)
            return loam_fail(error, LOAM_ERROR_ARGUMENT,
                             "record %s: token %d has the weight %g; expected a finite number of 0 or more",
                             name, (int)t, (double)weights[t]);
    return LOAM_OK;
}

enum loam_status loam_batch_append(struct loam_batch *batch, const char *name, const int32_t *ids,
                                   const float *weights, int32_t count, struct loam_error *error)
{
    if (count < 1)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "record %s has no tokens to put into a batch", name);
    if (!loam_batch_fits(batch, count))
        return loam_fail(
            error, LOAM_ERROR_ARGUMENT,
            "record %s of %d tokens does not fit: %d of %d tokens and %d of %d sequences are taken", name,
            (int)count, (int)batch->tokens, (int)batch->token_capacity, (int)batch->sequences,
            (int)batch->sequence_capacity);
    LOAM_TRY(check_weights(name, weights, count, error));
    append_rows(batch, ids, weights, count);
    batch->tokens += count;
    batch->sequences++;
    batch->offsets[batch->sequences] = batch->tokens;
    if (count > batch->max_sequence) batch->max_sequence = count;
    return LOAM_OK;
}

double loam_batch_loss(const struct loam_batch *batch)
{
    double sum = 0;
    for (int32_t t = 0; t < batch->tokens; t++)
        sum += (double)batch->weights[t] * (double)batch->losses[t];
    return sum;
}
