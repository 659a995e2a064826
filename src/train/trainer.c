#include "train/trainer.h"

enum loam_status loam_trainer_init(struct loam_trainer *trainer, const struct loam_model *model,
                                   const struct loam_device *device, struct loam_trainables *set,
                                   const struct loam_trainer_settings *settings, struct loam_error *error)
{
    *trainer = (struct loam_trainer){0};
    const struct loam_decoder_limits limits = {
        .tokens = settings->tokens,
        .sequences = settings->sequences,
        .train = true,
        .checkpointing = settings->checkpointing,
        .evaluate = settings->evaluate,
        .adapters = settings->adapters,
        .adapters_of_row = settings->adapters.count > 0 ? 1 : 0,
        .gradients = set->of_model,
    };
    LOAM_TRY(loam_optimiser_init(&trainer->optimiser, set, &settings->optimiser, error));
    enum loam_status status = loam_decoder_create(&trainer->decoder, model, device, &limits, error);
    if (status != LOAM_OK) loam_trainer_deinit(trainer);
    return status;
}

void loam_trainer_deinit(struct loam_trainer *trainer)
{
    loam_trainer_release_passes(trainer);
    loam_optimiser_deinit(&trainer->optimiser);
}

void loam_trainer_release_passes(struct loam_trainer *trainer)
{
    loam_decoder_destroy(trainer->decoder);
    trainer->decoder = NULL;
}

static enum loam_status check_files(const struct loam_trainer *trainer, struct loam_error *error)
{
    if (loam_decoder_could_read(trainer->decoder)) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_IO, "a mapped file cannot be read");
}

enum loam_status loam_trainer_add(struct loam_trainer *trainer, struct loam_batch *batch, double scale,
                                  uint64_t seed, uint64_t pass, struct loam_error *error)
{
    const double factor = trainer->optimiser.loss_scale.factor;
    LOAM_TRY(loam_decoder_train(trainer->decoder, batch, scale * factor, seed, pass, error));
    return check_files(trainer, error);
}

enum loam_status loam_trainer_queue(struct loam_trainer *trainer, const struct loam_batch *batch,
                                    const struct loam_decoder_step *step, struct loam_decoder_losses *losses,
                                    struct loam_error *error)
{
    struct loam_decoder_step scaled = *step;
    scaled.scale *= trainer->optimiser.loss_scale.factor;
    LOAM_TRY(loam_decoder_queue(trainer->decoder, batch, &scaled, losses, error));
    return check_files(trainer, error);
}

enum loam_status loam_trainer_measure(struct loam_trainer *trainer, double *norm, struct loam_error *error)
{
    return loam_optimiser_gradient_norm(&trainer->optimiser, norm, error);
}

enum loam_status loam_trainer_apply(struct loam_trainer *trainer, double learning_rate,
                                    struct loam_error *error)
{
    return loam_optimiser_update(&trainer->optimiser, learning_rate, error);
}

enum loam_status loam_trainer_clear(struct loam_trainer *trainer, struct loam_error *error)
{
    return loam_optimiser_zero_gradients(&trainer->optimiser, error);
}
