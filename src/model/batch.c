#include "model/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"

enum loam_status loam_batch_init(struct loam_batch *batch, int32_t token_capacity, int32_t sequence_capacity,
                                 struct loam_error *error)
{
    *batch = (struct loam_batch){0};
    if (token_capacity < 1 || sequence_capacity < 1)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "a batch needs room for a token and a sequence, not %d and %d", (int)token_capacity,
                         (int)sequence_capacity);
    batch->token_capacity = token_capacity;
    batch->sequence_capacity = sequence_capacity;
    const struct {
        int32_t **array;
        size_t count;
    } arrays[] = {
        {&batch->ids, (size_t)token_capacity},
        {&batch->labels, (size_t)token_capacity},
        {&batch->positions, (size_t)token_capacity},
        {&batch->offsets, (size_t)sequence_capacity + 1},
    };
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        *arrays[i].array = loam_calloc(arrays[i].count, sizeof(int32_t), error);
        if (*arrays[i].array == NULL) {
            loam_batch_deinit(batch);
            return LOAM_ERROR_MEMORY;
        }
    }
    return LOAM_OK;
}

void loam_batch_deinit(struct loam_batch *batch)
{
    free(batch->ids);
    free(batch->labels);
    free(batch->positions);
    free(batch->offsets);
    *batch = (struct loam_batch){0};
}

void loam_batch_clear(struct loam_batch *batch)
{
    batch->tokens = 0;
    batch->sequences = 0;
    batch->max_sequence = 0;
    batch->label_count = 0;
    batch->offsets[0] = 0;
}

bool loam_batch_fits(const struct loam_batch *batch, int32_t count)
{
    return batch->sequences < batch->sequence_capacity && count <= batch->token_capacity - batch->tokens;
}

enum loam_status loam_batch_append(struct loam_batch *batch, const char *name, const int32_t *ids,
                                   int32_t label_start, int32_t count, struct loam_error *error)
{
    if (count < 1)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "record %s has no tokens to put into a batch", name);
    if (!loam_batch_fits(batch, count))
        return loam_fail(
            error, LOAM_ERROR_ARGUMENT,
            "record %s of %d tokens does not fit: %d of %d tokens and %d of %d sequences are taken", name,
            (int)count, (int)batch->tokens, (int)batch->token_capacity, (int)batch->sequences,
            (int)batch->sequence_capacity);
    int32_t *labels = batch->labels + batch->tokens;       // [count]
    int32_t *positions = batch->positions + batch->tokens; // [count]
    memcpy(batch->ids + batch->tokens, ids, (size_t)count * sizeof *ids);
    for (int32_t t = 0; t < count; t++) {
        // A position predicts the token after it; the last one has none.
        bool counts = t + 1 < count && t + 1 >= label_start;
        labels[t] = counts ? ids[t + 1] : LOAM_IGNORED_LABEL;
        positions[t] = t;
        batch->label_count += counts;
    }
    batch->tokens += count;
    batch->sequences++;
    batch->offsets[batch->sequences] = batch->tokens;
    if (count > batch->max_sequence) batch->max_sequence = count;
    return LOAM_OK;
}
