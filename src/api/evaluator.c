// Evaluators: the losses of packed batches.
#include <stdlib.h>

#include "api/packing.h"
#include "api/sized.h"
#include "base/heap.h"

struct loam_evaluator_handle {
    struct loam_packing packing;
    struct loam_decoder *decoder;
};

static enum loam_status open_evaluator(struct loam_evaluator_handle *evaluator,
                                       struct loam_model_handle *model,
                                       const struct loam_evaluator_settings *settings,
                                       struct loam_error *error)
{
    struct loam_packing *packing = &evaluator->packing;
    LOAM_TRY(loam_packing_init(packing, model, settings->adapters, settings->adapter_count, settings->tokens,
                               settings->sequences, error));
    const struct loam_decoder_limits limits = {.tokens = settings->tokens,
                                               .sequences = settings->sequences,
                                               .evaluate = true,
                                               .adapters = loam_held_adapters_segments(&packing->adapters),
                                               .adapters_of_row = settings->adapter_count > 0 ? 1 : 0};
    return loam_decoder_create(&evaluator->decoder, model->session.model, model->device->device, &limits,
                               error);
}

enum loam_status loam_evaluator_open(struct loam_evaluator_handle **out, struct loam_model_handle *model,
                                     const struct loam_evaluator_settings *settings, struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    struct loam_evaluator_settings all;
    LOAM_TRY(loam_require(out, "the place for an evaluator", error));
    *out = NULL;
    LOAM_TRY(loam_require(model, "the model", error));
    LOAM_TRY(LOAM_SIZED_READ(&all, settings, "loam_evaluator_settings", error));
    struct loam_evaluator_handle *evaluator = loam_calloc(1, sizeof *evaluator, error);
    if (evaluator == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = open_evaluator(evaluator, model, &all, error);
    if (status != LOAM_OK) {
        loam_evaluator_close(evaluator);
        return status;
    }
    *out = evaluator;
    return LOAM_OK;
}

enum loam_status loam_evaluator_run(struct loam_evaluator_handle *evaluator,
                                    const struct loam_packed_batch *batch, float *losses,
                                    struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    LOAM_TRY(loam_require(evaluator, "the evaluator", error));
    LOAM_TRY(loam_require(losses, "the room for losses", error));
    LOAM_TRY(loam_packing_fill(&evaluator->packing, evaluator->decoder, batch, error));
    LOAM_TRY(loam_decoder_evaluate(evaluator->decoder, &evaluator->packing.batch, error));
    loam_packing_copy_losses(&evaluator->packing, losses);
    return LOAM_OK;
}

void loam_evaluator_close(struct loam_evaluator_handle *evaluator)
{
    if (evaluator == NULL) return;
    loam_decoder_destroy(evaluator->decoder);
    loam_packing_deinit(&evaluator->packing);
    free(evaluator);
}
