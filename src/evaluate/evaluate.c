#include "evaluate/evaluate.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/heap.h"

// Where the losses of roles are summed. The batch has a target for every token of a conversation; `weights` and `roles`
// of its tokens are here.
struct role_sums {
    struct loam_role_losses *losses; // sums until the end
    float *weights;                  // [tokens] of a batch
    unsigned char *roles;            // [tokens] of a batch
    float *ones;                     // [tokens] of an example
};

static void sum_roles(const struct role_sums *sums, const struct loam_batch *batch, double *loss_sum)
{
    for (int32_t t = 0; t < batch->tokens; t++) {
        const unsigned char role = sums->roles[t];
        *loss_sum += (double)sums->weights[t] * (double)batch->losses[t];
        if (role == LOAM_CHAT_ROLES) continue;
        sums->losses->items[role].count++;
        sums->losses->items[role].loss += (double)batch->losses[t];
    }
}

static enum loam_status evaluate_batch(struct loam_decoder *decoder, struct loam_batch *batch,
                                       const struct role_sums *sums, struct loam_evaluation *result,
                                       double *loss_sum, struct loam_error *error)
{
    if (batch->sequences == 0) return LOAM_OK;
    LOAM_TRY(loam_decoder_evaluate(decoder, batch, error));
    if (sums == NULL)
        *loss_sum += loam_batch_loss(batch);
    else
        sum_roles(sums, batch, loss_sum);
    result->examples += batch->sequences;
    result->tokens += batch->tokens;
    loam_batch_clear(batch);
    return LOAM_OK;
}

static enum loam_status append_example(struct loam_batch *batch, const struct loam_example *example,
                                       struct loam_error *error)
{
    return loam_batch_append(batch, example->id, example->ids, example->weights, example->count, error);
}

// Appends an example. With `sums` every token of a conversation has a target.
static enum loam_status add_example(struct loam_batch *batch, const struct loam_dataset *dataset,
                                    size_t index, const struct loam_example *example,
                                    const struct role_sums *sums, struct loam_error *error)
{
    if (sums == NULL) return append_example(batch, example, error);
    const int32_t first = batch->tokens, count = example->count;
    const unsigned char *roles = loam_dataset_roles(dataset, index);
    for (int32_t t = 0; t < count; t++) {
        const bool counts = t + 1 < count;
        sums->weights[first + t] = counts ? example->weights[t + 1] : 0;
        sums->roles[first + t] = roles != NULL && counts ? roles[t + 1] : LOAM_CHAT_ROLES;
    }
    return loam_batch_append(batch, example->id, example->ids, roles != NULL ? sums->ones : example->weights,
                             count, error);
}

static enum loam_status fail_unlabelled(struct loam_error *error)
{
    return loam_fail(
        error, LOAM_ERROR_ARGUMENT,
        "no example of the evaluation set has a label that counts: all are empty, or too long for "
        "--max-length");
}

enum loam_status loam_evaluate_rehearse(struct loam_decoder *decoder, struct loam_dataset *dataset,
                                        struct loam_batch *batch, struct loam_example *example,
                                        struct loam_error *error)
{
    for (size_t i = 0; i < loam_dataset_count(dataset); i++) {
        loam_batch_clear(batch);
        LOAM_TRY(loam_dataset_read(dataset, i, example, error));
        if (example->dropped || example->count == 0) continue;
        LOAM_TRY(append_example(batch, example, error));
        if (batch->labels.count > 0) return loam_decoder_evaluate(decoder, batch, error);
    }
    return fail_unlabelled(error);
}

enum loam_status loam_evaluation_finish(struct loam_evaluation *result, double loss_sum, bool f32,
                                        struct loam_error *error)
{
    if (result->labels.count == 0) return fail_unlabelled(error);
    result->loss = loss_sum / result->labels.weight;
    result->perplexity = exp(result->loss);
    if (isfinite(result->loss)) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_NUMERIC,
        "the evaluation loss is %s: the weights are damaged, or were trained at too high a learning "
        "rate%s",
        isnan(result->loss) ? "not a number" : "infinite", f32 ? "" : ", or need --dtype f32");
}

static enum loam_status evaluate(struct loam_decoder *decoder, struct loam_dataset *dataset, size_t limit,
                                 struct loam_batch *batch, struct loam_example *example,
                                 const struct loam_callbacks *callbacks, const struct role_sums *sums,
                                 struct loam_evaluation *result, struct loam_error *error)
{
    double start = loam_clock_seconds();
    double loss_sum = 0;
    *result = (struct loam_evaluation){0};
    const size_t count = loam_dataset_limit(dataset, limit);
    loam_batch_clear(batch);
    for (size_t i = 0; i < count; i++) {
        LOAM_TRY(loam_dataset_read(dataset, i, example, error));
        if (example->dropped || example->count == 0) continue;
        if (!loam_batch_fits(batch, example->count)) {
            LOAM_TRY(evaluate_batch(decoder, batch, sums, result, &loss_sum, error));
            LOAM_TRY(
                loam_event_progress(callbacks, LOAM_ACTIVITY_EVALUATE, (int64_t)i, (int64_t)count, error));
        }
        LOAM_TRY(add_example(batch, dataset, i, example, sums, error));
        loam_labels_add(&result->labels, loam_labels_count(example->weights, example->count));
    }
    LOAM_TRY(evaluate_batch(decoder, batch, sums, result, &loss_sum, error));
    LOAM_TRY(loam_event_progress(callbacks, LOAM_ACTIVITY_EVALUATE, (int64_t)count, (int64_t)count, error));
    result->seconds = loam_clock_seconds() - start;
    return loam_evaluation_finish(result, loss_sum, loam_decoder_is_f32(decoder), error);
}

enum loam_status loam_evaluate_loss(struct loam_decoder *decoder, struct loam_dataset *dataset, size_t limit,
                                    struct loam_batch *batch, struct loam_example *example,
                                    const struct loam_callbacks *callbacks, struct loam_evaluation *result,
                                    struct loam_error *error)
{
    return evaluate(decoder, dataset, limit, batch, example, callbacks, NULL, result, error);
}

enum loam_status loam_evaluate_roles(struct loam_decoder *decoder, struct loam_dataset *dataset, size_t limit,
                                     struct loam_batch *batch, struct loam_example *example,
                                     const struct loam_callbacks *callbacks, struct loam_evaluation *result,
                                     struct loam_role_losses *roles, struct loam_error *error)
{
    const size_t tokens = (size_t)batch->token_capacity;
    struct role_sums sums = {.losses = roles,
                             .weights = loam_calloc(tokens, sizeof *sums.weights, error),
                             .roles = loam_calloc(tokens, sizeof *sums.roles, error),
                             .ones = loam_calloc(tokens, sizeof *sums.ones, error)};
    const bool all = sums.weights != NULL && sums.roles != NULL && sums.ones != NULL;
    enum loam_status status = all ? LOAM_OK : LOAM_ERROR_MEMORY;
    *roles = (struct loam_role_losses){0};
    loam_dataset_want_roles(dataset);
    for (size_t t = 0; all && t < tokens; t++)
        sums.ones[t] = 1;
    if (all) status = evaluate(decoder, dataset, limit, batch, example, callbacks, &sums, result, error);
    for (int i = 0; i < LOAM_CHAT_ROLES; i++)
        roles->items[i].loss =
            roles->items[i].count > 0 ? roles->items[i].loss / (double)roles->items[i].count : NAN;
    free(sums.weights);
    free(sums.roles);
    free(sums.ones);
    return status;
}
