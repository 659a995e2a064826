// Planning: the same handles, opened on a device that only counts what is taken.
#include "api/generator.h"
#include "api/sized.h"
#include "api/trainer.h"

struct planned {
    struct loam_device_handle *device;
    struct loam_model_handle *model;
    struct loam_adapter_handle *adapter;
    struct loam_trainer_handle *trainer;
    struct loam_generator_handle *generator;
};

static enum loam_status open_trainer(struct planned *planned, const struct loam_plan_settings *settings,
                                     struct loam_error *error)
{
    struct loam_trainer_config config = LOAM_TRAINER_CONFIG_INIT;
    if (planned->adapter == NULL)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "a plan with train_tokens needs lora: what is trained");
    config.tokens = settings->train_tokens;
    config.sequences = settings->train_sequences;
    config.checkpointing = settings->checkpointing;
    config.adapters = &planned->adapter;
    config.adapter_count = 1;
    return loam_trainer_open(&planned->trainer, planned->model, &config, error);
}

static enum loam_status open_generator(struct planned *planned, const struct loam_plan_settings *settings,
                                       struct loam_error *error)
{
    struct loam_generator_settings generator = LOAM_GENERATOR_SETTINGS_INIT;
    generator.context = settings->context;
    generator.sequences = settings->generate_sequences;
    generator.adapters = &planned->adapter;
    generator.adapter_count = planned->adapter != NULL;
    return loam_generator_open(&planned->generator, planned->model, &generator, error);
}

static enum loam_status open_all(struct planned *planned, const struct loam_device_handle *device,
                                 const struct loam_plan_settings *settings, struct loam_error *error)
{
    struct loam_model_settings model = LOAM_MODEL_SETTINGS_INIT;
    model.directory = settings->model;
    model.dtype = settings->dtype;
    LOAM_TRY(loam_device_open_planning(&planned->device, device, error));
    LOAM_TRY(loam_model_open(&planned->model, planned->device, &model, error));
    if (settings->lora != NULL)
        LOAM_TRY(loam_adapter_make(&planned->adapter, planned->model, settings->lora, error));
    if (settings->train_tokens != 0) LOAM_TRY(open_trainer(planned, settings, error));
    if (settings->context != 0) LOAM_TRY(open_generator(planned, settings, error));
    return LOAM_OK;
}

static void measure(const struct planned *planned, struct loam_memory_plan *plan)
{
    const struct loam_model *model = planned->model->session.model;
    plan->mapped = model->mapped_bytes;
    plan->model = model->arena.capacity;
    if (planned->adapter != NULL) plan->train = planned->adapter->adapter->arena.capacity;
    if (planned->trainer != NULL) {
        const struct loam_trainer *trainer = &planned->trainer->trainer;
        const struct loam_decoder_bytes bytes = loam_decoder_bytes(trainer->decoder);
        plan->train += planned->trainer->set.arena.capacity;
        plan->step += bytes.step;
        plan->scratch +=
            bytes.scratch + trainer->optimiser.arena.capacity + trainer->optimiser.stream.scratch.capacity;
    }
    if (planned->generator != NULL) {
        const struct loam_decoder_bytes bytes = loam_generator_bytes(planned->generator->generator);
        plan->step += bytes.step;
        plan->cache = bytes.cache;
        plan->scratch += bytes.scratch;
    }
    plan->total = plan->mapped + plan->model + plan->train + plan->step + plan->cache + plan->scratch;
}

enum loam_status loam_model_plan(const struct loam_device_handle *device,
                                 const struct loam_plan_settings *settings, struct loam_memory_plan *plan,
                                 struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    struct loam_plan_settings all;
    struct planned planned = {0};
    struct loam_memory_plan result = {0};
    LOAM_TRY(loam_require(device, "the device", error));
    LOAM_TRY(LOAM_SIZED_READ(&all, settings, "loam_plan_settings", error));
    enum loam_status status = open_all(&planned, device, &all, error);
    if (status == LOAM_OK) measure(&planned, &result);
    loam_generator_close(planned.generator);
    loam_trainer_close(planned.trainer);
    loam_adapter_close(planned.adapter);
    loam_model_close(planned.model);
    loam_device_close(planned.device);
    if (status != LOAM_OK) return status;
    return LOAM_SIZED_WRITE(plan, &result, "loam_memory_plan", error);
}
