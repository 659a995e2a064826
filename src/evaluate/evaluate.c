#include "evaluate/evaluate.h"

#include <math.h>

#include "base/clock.h"

static enum loam_status evaluate_batch(struct loam_decoder *decoder, struct loam_batch *batch,
                                       struct loam_evaluation *result, double *loss_sum,
                                       struct loam_error *error)
{
    if (batch->sequences == 0) return LOAM_OK;
    LOAM_TRY(loam_decoder_evaluate(decoder, batch, error));
    *loss_sum += loam_batch_loss(batch);
    result->examples += batch->sequences;
    result->tokens += batch->tokens;
    loam_labels_add(&result->labels, batch->labels);
    loam_batch_clear(batch);
    return LOAM_OK;
}

static enum loam_status append_example(struct loam_batch *batch, const struct loam_example *example,
                                       struct loam_error *error)
{
    return loam_batch_append(batch, example->id, example->ids, example->weights, example->count, error);
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

enum loam_status loam_evaluate_loss(struct loam_decoder *decoder, struct loam_dataset *dataset, size_t limit,
                                    struct loam_batch *batch, struct loam_example *example,
                                    const struct loam_callbacks *callbacks, struct loam_evaluation *result,
                                    struct loam_error *error)
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
            LOAM_TRY(evaluate_batch(decoder, batch, result, &loss_sum, error));
            LOAM_TRY(
                loam_event_progress(callbacks, LOAM_ACTIVITY_EVALUATE, (int64_t)i, (int64_t)count, error));
        }
        LOAM_TRY(append_example(batch, example, error));
    }
    LOAM_TRY(evaluate_batch(decoder, batch, result, &loss_sum, error));
    LOAM_TRY(loam_event_progress(callbacks, LOAM_ACTIVITY_EVALUATE, (int64_t)count, (int64_t)count, error));
    result->seconds = loam_clock_seconds() - start;
    return loam_evaluation_finish(result, loss_sum, loam_decoder_is_f32(decoder), error);
}
