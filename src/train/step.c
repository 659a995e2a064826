#include "train/step.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/heap.h"

int32_t loam_step_sequences(size_t capacity, int32_t token_budget)
{
    return capacity < (size_t)token_budget ? (int32_t)capacity : token_budget;
}

int32_t loam_step_rows(size_t capacity, int32_t token_budget)
{
    enum { MOST = 1 << 18 };
    if (token_budget >= MOST) return token_budget;
    return capacity < (size_t)(MOST / token_budget) ? (int32_t)capacity * token_budget : MOST;
}

enum loam_status loam_step_buffers_init(struct loam_step_buffers *buffers, size_t capacity,
                                        int32_t token_budget, struct loam_error *error)
{
    *buffers = (struct loam_step_buffers){.capacity = capacity,
                                          .row_capacity = loam_step_rows(capacity, token_budget)};
    LOAM_TRY(
        loam_batch_init(&buffers->batch, token_budget, loam_step_sequences(capacity, token_budget), error));
    buffers->examples = loam_calloc(capacity, sizeof *buffers->examples, error);
    buffers->parts = loam_calloc(capacity, sizeof *buffers->parts, error);
    buffers->weights = loam_calloc((size_t)buffers->row_capacity, sizeof *buffers->weights, error);
    if (buffers->examples == NULL || buffers->parts == NULL || buffers->weights == NULL) {
        loam_step_buffers_deinit(buffers);
        return LOAM_ERROR_MEMORY;
    }
    return LOAM_OK;
}

void loam_step_buffers_deinit(struct loam_step_buffers *buffers)
{
    for (size_t i = 0; i < buffers->capacity && buffers->examples != NULL; i++)
        loam_example_deinit(&buffers->examples[i]);
    free(buffers->examples);
    free(buffers->parts);
    free(buffers->weights);
    loam_batch_deinit(&buffers->batch);
    *buffers = (struct loam_step_buffers){0};
}

void loam_step_clear(struct loam_step_buffers *buffers)
{
    buffers->count = 0;
    buffers->labels = (struct loam_labels){0};
    buffers->tokens = 0;
}

void loam_step_take(struct loam_step_buffers *buffers)
{
    const struct loam_example *example = &buffers->examples[buffers->count++];
    loam_labels_add(&buffers->labels, loam_labels_count(example->weights, example->count));
    buffers->tokens += example->count;
}

enum loam_status loam_step_collect(struct loam_step_buffers *buffers, struct loam_dataset *dataset,
                                   const uint32_t *indices, size_t count, struct loam_error *error)
{
    loam_step_clear(buffers);
    if (count > buffers->capacity) {
        return loam_fail(error, LOAM_ERROR_INTERNAL, "a step of %zu examples; its buffers have room for %zu",
                         count, buffers->capacity);
    }
    for (size_t i = 0; i < count; i++) {
        struct loam_example *example = &buffers->examples[buffers->count];
        LOAM_TRY(loam_dataset_read(dataset, indices[i], example, error));
        if (!example->dropped && example->count > 0) loam_step_take(buffers);
    }
    return LOAM_OK;
}

// "a, b, c and 5 more" into `text`: the ids of examples [first, end).
static void list_ids(const struct loam_step_buffers *buffers, size_t first, size_t end, char *text,
                     size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = first; i < end; i++) {
        const char *id = buffers->examples[i].id;
        if (size - used < sizeof buffers->examples[i].id + 32) {
            snprintf(text + used, size - used, " and %zu more", end - i);
            return;
        }
        used += (size_t)snprintf(text + used, size - used, "%s%s", i > first ? ", " : "", id);
    }
}

// The remedy. Before the first update the learning rate has no influence.
static const char *advice_of(const struct loam_decoder *decoder, int64_t step)
{
    bool f32 = loam_decoder_is_f32(decoder);
    if (step == 0)
        return f32 ? "is the model, or the adapter that it goes on from, damaged?"
                   : "is the model, or the adapter that it goes on from, damaged? else try --dtype f32";
    return f32 ? "try a lower --learning-rate" : "try a lower --learning-rate or --dtype f32";
}

static enum loam_status fail_numeric(const struct loam_step_buffers *buffers,
                                     const struct loam_trainer *trainer, const char *what, double value,
                                     int64_t step, size_t first, size_t end, struct loam_error *error)
{
    char ids[400]; // so that the whole message has room for what a caller adds
    list_ids(buffers, first, end, ids, sizeof ids);
    return loam_fail(error, LOAM_ERROR_NUMERIC, "step %lld: the %s is %s; examples: %s; %s",
                     (long long)step + 1, what, isnan(value) ? "not a number" : "infinite", ids,
                     advice_of(trainer->decoder, step));
}

// Packs examples from `*next` on, as many as fit, in their order.
static enum loam_status pack(struct loam_step_buffers *buffers, size_t *next, struct loam_error *error)
{
    loam_batch_clear(&buffers->batch);
    while (*next < buffers->count && loam_batch_fits(&buffers->batch, buffers->examples[*next].count)) {
        const struct loam_example *example = &buffers->examples[*next];
        LOAM_TRY(loam_batch_append(&buffers->batch, example->id, example->ids, example->weights,
                                   example->count, error));
        ++*next;
    }
    if (buffers->batch.sequences > 0) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_INTERNAL, "record %s of %d tokens is larger than the token budget of %d",
        buffers->examples[*next].id, (int)buffers->examples[*next].count, (int)buffers->batch.token_capacity);
}

// Adds up the losses that were read, micro-batch by micro-batch.
static enum loam_status add_losses(struct loam_step_buffers *buffers, const struct loam_trainer *trainer,
                                   const float *losses, int64_t step, struct loam_error *error)
{
    for (size_t i = 0; i < buffers->part_count; i++) {
        const struct loam_step_part *part = &buffers->parts[i];
        double sum = 0;
        for (int32_t row = part->first_row; row < part->end_row; row++)
            sum += (double)buffers->weights[row] * (double)losses[row];
        buffers->loss_sum += sum;
        if (!isfinite(buffers->loss_sum))
            return fail_numeric(buffers, trainer, "loss", buffers->loss_sum, step, part->first, part->end,
                                error);
    }
    return LOAM_OK;
}

// Waits for the device and reads the losses that it holds.
static enum loam_status read_losses(struct loam_step_buffers *buffers, struct loam_trainer *trainer,
                                    int64_t step, struct loam_error *error)
{
    const float *losses;
    LOAM_TRY(loam_optimiser_wait(&trainer->optimiser, buffers->rows, &losses, error));
    enum loam_status status = add_losses(buffers, trainer, losses, step, error);
    buffers->part_count = 0;
    buffers->rows = 0;
    return status;
}

// Queues the examples [first, end), which are packed.
static enum loam_status queue_part(struct loam_step_buffers *buffers, struct loam_trainer *trainer,
                                   const struct loam_decoder_step *step, size_t first, size_t end,
                                   struct loam_error *error)
{
    struct loam_step_part part = {.first = first, .end = end, .first_row = buffers->rows};
    struct loam_decoder_losses losses = {.place = (float *)trainer->optimiser.losses.data + buffers->rows,
                                         .weights = buffers->weights + buffers->rows};
    LOAM_TRY(loam_trainer_queue(trainer, &buffers->batch, step, &losses, error));
    part.end_row = buffers->rows += losses.rows;
    buffers->parts[buffers->part_count++] = part;
    return LOAM_OK;
}

// Queues every micro-batch.
static enum loam_status queue_parts(struct loam_step_buffers *buffers, struct loam_trainer *trainer,
                                    int64_t step, uint64_t seed, struct loam_error *error)
{
    // No step has more micro-batches than examples, so that the numbers of the passes of two steps never
    // meet.
    struct loam_decoder_step pass = {.scale = 1.0 / buffers->labels.weight,
                                     .seed = seed,
                                     .dropout_counter = (uint64_t)step * buffers->capacity};
    for (size_t next = 0; next < buffers->count; pass.dropout_counter++) {
        const size_t first = next;
        LOAM_TRY(pack(buffers, &next, error));
        if (buffers->batch.tokens > buffers->row_capacity - buffers->rows) {
            loam_optimiser_queue_losses(&trainer->optimiser, buffers->rows);
            LOAM_TRY(read_losses(buffers, trainer, step, error));
        }
        LOAM_TRY(queue_part(buffers, trainer, &pass, first, next, error));
    }
    return LOAM_OK;
}

enum loam_status loam_step_queue(struct loam_step_buffers *buffers, struct loam_trainer *trainer,
                                 double learning_rate, int64_t step, uint64_t seed, struct loam_error *error)
{
    if (trainer->optimiser.settings.loss_rows < buffers->row_capacity)
        return loam_fail(error, LOAM_ERROR_INTERNAL, "a step of %d losses; its trainer has room for %d",
                         (int)buffers->row_capacity, (int)trainer->optimiser.settings.loss_rows);
    buffers->part_count = 0;
    buffers->rows = 0;
    buffers->loss_sum = 0;
    loam_optimiser_queue_clear(&trainer->optimiser);
    LOAM_TRY(queue_parts(buffers, trainer, step, seed, error));
    loam_optimiser_queue_losses(&trainer->optimiser, buffers->rows);
    loam_optimiser_queue_update(&trainer->optimiser, learning_rate);
    return LOAM_OK;
}

enum loam_status loam_step_wait(struct loam_step_buffers *buffers, struct loam_trainer *trainer, int64_t step,
                                struct loam_step_result *result, struct loam_error *error)
{
    struct loam_loss_scale *scale = &trainer->optimiser.loss_scale;
    const enum loam_status status = read_losses(buffers, trainer, step, error);
    if (status != LOAM_OK && status != LOAM_ERROR_NUMERIC) return status;
    const double norm = loam_optimiser_settle(&trainer->optimiser);
    const bool can_shrink = loam_loss_scale_can_shrink(scale), finite = isfinite(norm);
    if (status == LOAM_OK || !finite) loam_loss_scale_update(scale, finite);
    if (status != LOAM_OK) return status;
    *result =
        (struct loam_step_result){.loss = buffers->loss_sum / buffers->labels.weight, .grad_norm = norm};
    result->overflowed = !finite && can_shrink;
    if (finite || can_shrink) return LOAM_OK;
    return fail_numeric(buffers, trainer, "gradient norm", norm, step, 0, buffers->count, error);
}

enum loam_status loam_step_run(struct loam_step_buffers *buffers, struct loam_trainer *trainer,
                               double learning_rate, int64_t step, uint64_t seed,
                               struct loam_step_result *result, struct loam_error *error)
{
    LOAM_TRY(loam_step_queue(buffers, trainer, learning_rate, step, seed, error));
    return loam_step_wait(buffers, trainer, step, result, error);
}
