#include "api/packing.h"

#include <stdlib.h>
#include <string.h>

#include "api/sized.h"
#include "base/heap.h"

static enum loam_status allocate(struct loam_packing *packing, int32_t tokens, int32_t sequences,
                                 struct loam_error *error)
{
    if (tokens < 1 || sequences < 1)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "%s is %d: expected 1 or more",
                         tokens < 1 ? "tokens" : "sequences", (int)(tokens < 1 ? tokens : sequences));
    LOAM_TRY(loam_batch_init(&packing->batch, tokens, sequences, error));
    packing->segments = loam_calloc((size_t)sequences, sizeof *packing->segments, error);
    packing->ones = loam_calloc((size_t)tokens, sizeof *packing->ones, error);
    if (packing->segments == NULL || packing->ones == NULL) return LOAM_ERROR_MEMORY;
    for (int32_t i = 0; i < tokens; i++)
        packing->ones[i] = 1.0f;
    return LOAM_OK;
}

enum loam_status loam_packing_init(struct loam_packing *packing, struct loam_model_handle *model,
                                   struct loam_adapter_handle *const *adapters, size_t adapter_count,
                                   int32_t tokens, int32_t sequences, struct loam_error *error)
{
    *packing = (struct loam_packing){0};
    LOAM_TRY(loam_held_adapters_init(&packing->adapters, model, adapters, adapter_count, error));
    packing->model = model;
    model->holders++;
    enum loam_status status = allocate(packing, tokens, sequences, error);
    if (status != LOAM_OK) loam_packing_deinit(packing);
    return status;
}

void loam_packing_deinit(struct loam_packing *packing)
{
    loam_batch_deinit(&packing->batch);
    free(packing->segments);
    free(packing->ones);
    loam_held_adapters_deinit(&packing->adapters);
    loam_model_release(packing->model);
    *packing = (struct loam_packing){0};
}

// ---- batches ----

static enum loam_status check_offsets(const struct loam_packing *packing,
                                      const struct loam_packed_batch *batch, struct loam_error *error)
{
    const struct loam_batch *room = &packing->batch;
    if (batch->sequences < 1 || batch->sequences > room->sequence_capacity)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "a batch of %d sequences: expected 1 to %d",
                         (int)batch->sequences, (int)room->sequence_capacity);
    LOAM_TRY(loam_require(batch->offsets, "the batch's offsets", error));
    LOAM_TRY(loam_require(batch->ids, "the batch's ids", error));
    if (batch->offsets[0] != 0)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "the first offset is %d: expected 0",
                         (int)batch->offsets[0]);
    for (int32_t i = 0; i < batch->sequences; i++)
        if (batch->offsets[i + 1] <= batch->offsets[i])
            return loam_fail(error, LOAM_ERROR_ARGUMENT,
                             "sequence %d begins at token %d and ends at %d: expected at least one token",
                             (int)i, (int)batch->offsets[i], (int)batch->offsets[i + 1]);
    if (batch->offsets[batch->sequences] <= room->token_capacity) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT, "a batch of %d tokens: expected at most %d",
                     (int)batch->offsets[batch->sequences], (int)room->token_capacity);
}

static enum loam_status check_lengths(const struct loam_packing *packing,
                                      const struct loam_packed_batch *batch, struct loam_error *error)
{
    const int64_t limit = loam_config_position_limit(&packing->model->session.model->config);
    for (int32_t i = 0; i < batch->sequences; i++)
        if (batch->offsets[i + 1] - batch->offsets[i] > limit)
            return loam_fail(error, LOAM_ERROR_ARGUMENT,
                             "sequence %d has %d tokens: the model was made for %lld positions", (int)i,
                             (int)(batch->offsets[i + 1] - batch->offsets[i]), (long long)limit);
    return LOAM_OK;
}

static enum loam_status check_ids(const struct loam_packing *packing, const struct loam_packed_batch *batch,
                                  struct loam_error *error)
{
    const int64_t vocabulary = packing->model->session.model->config.vocabulary;
    for (int32_t i = 0; i < batch->sequences; i++)
        for (int32_t t = batch->offsets[i]; t < batch->offsets[i + 1]; t++)
            if (batch->ids[t] < 0 || batch->ids[t] >= vocabulary)
                return loam_fail(
                    error, LOAM_ERROR_ARGUMENT, "token %d of sequence %d is id %d: expected 0 to %lld",
                    (int)(t - batch->offsets[i]), (int)i, (int)batch->ids[t], (long long)vocabulary - 1);
    return LOAM_OK;
}

static enum loam_status copy(struct loam_packing *packing, const struct loam_packed_batch *batch,
                             struct loam_error *error)
{
    const float *weights = batch->weights != NULL ? batch->weights : packing->ones;
    loam_batch_clear(&packing->batch);
    for (int32_t i = 0; i < batch->sequences; i++) {
        const int32_t first = batch->offsets[i];
        char name[32];
        snprintf(name, sizeof name, "of sequence %d", (int)i);
        LOAM_TRY(loam_batch_append(&packing->batch, name, batch->ids + first, weights + first,
                                   batch->offsets[i + 1] - first, error));
    }
    return LOAM_OK;
}

static enum loam_status find_adapter(const struct loam_packing *packing,
                                     const struct loam_packed_batch *batch, int32_t sequence,
                                     const struct loam_segment **segment, struct loam_error *error)
{
    *segment = NULL;
    if (batch->adapters == NULL) {
        *segment = packing->adapters.segments; // of the only adapter
        if (packing->adapters.count == 0) *segment = NULL;
        return LOAM_OK;
    }
    const struct loam_adapter_handle *adapter = batch->adapters[sequence];
    if (adapter == NULL) return LOAM_OK;
    *segment = loam_held_adapters_find(&packing->adapters, adapter);
    if (*segment != NULL) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT,
                     "the adapter of sequence %d is none of those that the handle was opened with",
                     (int)sequence);
}

// Sequences beside each other that go through the same adapter are one segment.
static enum loam_status adapt(struct loam_packing *packing, struct loam_decoder *decoder,
                              const struct loam_packed_batch *batch, struct loam_error *error)
{
    size_t count = 0;
    if (batch->adapters == NULL && packing->adapters.count > 1)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "the handle has %zu adapters, and the batch does not say which sequence takes which",
                         packing->adapters.count);
    for (int32_t i = 0; i < batch->sequences; i++) {
        const struct loam_segment *found;
        const int32_t first = batch->offsets[i], rows = batch->offsets[i + 1] - first;
        LOAM_TRY(find_adapter(packing, batch, i, &found, error));
        if (found == NULL) continue;
        struct loam_segment *last = count > 0 ? &packing->segments[count - 1] : NULL;
        if (last != NULL && last->adapter == found->adapter && last->first + last->rows == first) {
            last->rows += rows;
            continue;
        }
        packing->segments[count] = *found;
        packing->segments[count].first = first;
        packing->segments[count++].rows = rows;
    }
    const struct loam_segments segments = {packing->segments, count};
    return loam_decoder_adapt(decoder, &segments, error);
}

enum loam_status loam_packing_fill(struct loam_packing *packing, struct loam_decoder *decoder,
                                   const struct loam_packed_batch *batch, struct loam_error *error)
{
    struct loam_packed_batch all;
    LOAM_TRY(LOAM_SIZED_READ(&all, batch, "loam_packed_batch", error));
    LOAM_TRY(check_offsets(packing, &all, error));
    LOAM_TRY(check_lengths(packing, &all, error));
    LOAM_TRY(check_ids(packing, &all, error));
    LOAM_TRY(copy(packing, &all, error));
    return adapt(packing, decoder, &all, error);
}

void loam_packing_copy_losses(const struct loam_packing *packing, float *losses)
{
    if (losses == NULL) return;
    memcpy(losses, packing->batch.losses, (size_t)packing->batch.tokens * sizeof *losses);
}
