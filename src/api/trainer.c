// Trainers: gradients of packed batches, and updates of the adapters.
#include "api/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/sized.h"
#include "base/heap.h"

// ---- opening ----

static enum loam_status check_config(const struct loam_trainer_config *config, struct loam_error *error)
{
    const struct {
        const char *field;
        double value;
        bool ok;
        const char *expected;
    } rules[] = {
        {"adapter_count", (double)config->adapter_count, config->adapter_count >= 1, "1 or more"},
        {"beta1", config->beta1, config->beta1 >= 0 && config->beta1 < 1, "0 or more and less than 1"},
        {"beta2", config->beta2, config->beta2 >= 0 && config->beta2 < 1, "0 or more and less than 1"},
        {"epsilon", config->epsilon, isfinite(config->epsilon) && config->epsilon > 0, "above 0"},
        {"weight_decay", config->weight_decay, isfinite(config->weight_decay) && config->weight_decay >= 0,
         "0 or more"},
        {"max_grad_norm", config->max_grad_norm,
         isfinite(config->max_grad_norm) && config->max_grad_norm >= 0, "0 or more"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (!rules[i].ok)
            return loam_fail(error, LOAM_ERROR_ARGUMENT, "struct loam_trainer_config: %s is %g: expected %s",
                             rules[i].field, rules[i].value, rules[i].expected);
    return LOAM_OK;
}

static enum loam_status parse_checkpointing(const char *text, enum loam_checkpointing *level,
                                            struct loam_error *error)
{
    static const char *const names[] = {
        [LOAM_CHECKPOINT_NONE] = "none", [LOAM_CHECKPOINT_MLP] = "mlp", [LOAM_CHECKPOINT_BLOCK] = "block"};
    *level = LOAM_CHECKPOINT_NONE;
    if (text == NULL) return LOAM_OK;
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) != 0) continue;
        *level = (enum loam_checkpointing)i;
        return LOAM_OK;
    }
    return loam_fail(error, LOAM_ERROR_ARGUMENT, "checkpointing \"%s\": expected none, mlp or block", text);
}

// Gives each adapter's matrices gradients and moments in the set.
static enum loam_status take_adapters(struct loam_trainer_handle *trainer, struct loam_error *error)
{
    const struct loam_held_adapters *held = &trainer->packing.adapters;
    trainer->first = loam_calloc(held->count + 1, sizeof *trainer->first, error);
    if (trainer->first == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < held->count; i++) {
        struct loam_adapter *adapter = held->items[i]->adapter;
        if (adapter->set != NULL)
            return loam_fail(error, LOAM_ERROR_ARGUMENT,
                             "adapter %zu of the list has a trainer already: close that one first", i);
        LOAM_TRY(loam_adapter_register(adapter, &trainer->set, error));
        trainer->first[i + 1] = trainer->set.count;
    }
    LOAM_TRY(loam_trainables_allocate(&trainer->set, trainer->packing.model->device->device, error));
    for (size_t i = 0; i < held->count; i++)
        loam_adapter_point(held->items[i]->adapter);
    return LOAM_OK;
}

static enum loam_status open_trainer(struct loam_trainer_handle *trainer, struct loam_model_handle *model,
                                     const struct loam_trainer_config *config, struct loam_error *error)
{
    struct loam_trainer_settings settings = {.tokens = config->tokens,
                                             .sequences = config->sequences,
                                             .evaluate = true,
                                             .optimiser = {.beta1 = config->beta1,
                                                           .beta2 = config->beta2,
                                                           .epsilon = config->epsilon,
                                                           .weight_decay = config->weight_decay,
                                                           .max_grad_norm = config->max_grad_norm,
                                                           .scales_loss = model->session.dtype == LOAM_F16}};
    LOAM_TRY(check_config(config, error));
    LOAM_TRY(parse_checkpointing(config->checkpointing, &settings.checkpointing, error));
    LOAM_TRY(loam_packing_init(&trainer->packing, model, config->adapters, config->adapter_count,
                               config->tokens, config->sequences, error));
    LOAM_TRY(take_adapters(trainer, error));
    settings.adapters = loam_held_adapters_segments(&trainer->packing.adapters);
    trainer->seed = config->seed;
    return loam_trainer_init(&trainer->trainer, model->session.model, model->device->device, &trainer->set,
                             &settings, error);
}

enum loam_status loam_trainer_open(struct loam_trainer_handle **out, struct loam_model_handle *model,
                                   const struct loam_trainer_config *config, struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    struct loam_trainer_config all;
    LOAM_TRY(loam_require(out, "the place for a trainer", error));
    *out = NULL;
    LOAM_TRY(loam_require(model, "the model", error));
    LOAM_TRY(LOAM_SIZED_READ(&all, config, "loam_trainer_config", error));
    struct loam_trainer_handle *trainer = loam_calloc(1, sizeof *trainer, error);
    if (trainer == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = open_trainer(trainer, model, &all, error);
    if (status != LOAM_OK) {
        loam_trainer_close(trainer);
        return status;
    }
    *out = trainer;
    return LOAM_OK;
}

void loam_trainer_close(struct loam_trainer_handle *trainer)
{
    if (trainer == NULL) return;
    const struct loam_held_adapters *held = &trainer->packing.adapters;
    loam_trainer_deinit(&trainer->trainer);
    for (size_t i = 0; i < held->count; i++)
        if (held->items[i]->adapter->set == &trainer->set) loam_adapter_unregister(held->items[i]->adapter);
    loam_trainables_deinit(&trainer->set);
    loam_packing_deinit(&trainer->packing);
    free(trainer->first);
    free(trainer);
}

// ---- passes ----

enum loam_status loam_trainer_accumulate(struct loam_trainer_handle *trainer,
                                         const struct loam_packed_batch *batch, float *losses,
                                         struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    LOAM_TRY(loam_require(trainer, "the trainer", error));
    struct loam_packing *packing = &trainer->packing;
    LOAM_TRY(loam_packing_fill(packing, trainer->trainer.decoder, batch, error));
    LOAM_TRY(loam_trainer_add(&trainer->trainer, &packing->batch, 1.0, trainer->seed,
                              (uint64_t)trainer->passes++, error));
    loam_packing_copy_losses(packing, losses);
    return LOAM_OK;
}

enum loam_status loam_trainer_evaluate(struct loam_trainer_handle *trainer,
                                       const struct loam_packed_batch *batch, float *losses,
                                       struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    LOAM_TRY(loam_require(trainer, "the trainer", error));
    LOAM_TRY(loam_require(losses, "the room for losses", error));
    struct loam_packing *packing = &trainer->packing;
    LOAM_TRY(loam_packing_fill(packing, trainer->trainer.decoder, batch, error));
    LOAM_TRY(loam_decoder_evaluate(trainer->trainer.decoder, &packing->batch, error));
    loam_packing_copy_losses(packing, losses);
    return LOAM_OK;
}

enum loam_status loam_trainer_update(struct loam_trainer_handle *trainer, double learning_rate, double *norm,
                                     struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    double measured = 0;
    LOAM_TRY(loam_require(trainer, "the trainer", error));
    if (!isfinite(learning_rate) || learning_rate < 0)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "a learning rate of %g: expected 0 or more",
                         learning_rate);
    LOAM_TRY(loam_trainer_measure(&trainer->trainer, &measured, error));
    if (norm != NULL) *norm = measured;
    if (isfinite(measured)) LOAM_TRY(loam_trainer_apply(&trainer->trainer, learning_rate, error));
    LOAM_TRY(loam_trainer_clear(&trainer->trainer, error));
    struct loam_loss_scale *scale = &trainer->trainer.optimiser.loss_scale;
    const bool can_shrink = loam_loss_scale_can_shrink(scale);
    loam_loss_scale_update(scale, isfinite(measured));
    if (isfinite(measured)) return LOAM_OK;
    if (can_shrink)
        return loam_fail(
            error, LOAM_ERROR_NUMERIC,
            "the gradients leave the range of f16: nothing was updated; the scale of the loss is %g now",
            scale->factor);
    return loam_fail(error, LOAM_ERROR_NUMERIC,
                     "the gradient norm is %s: nothing was updated; try a lower learning rate",
                     isnan(measured) ? "not a number" : "infinite");
}
