#include "run/job.h"

#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "io/atomic.h"
#include "model/config_text.h"

// ---- checks ----

static const char metric_option[] = "metric-for-best-model";

// What --method full excludes.
static enum loam_status check_full(const struct loam_train_settings *settings, struct loam_error *error)
{
    if (!settings->full) return LOAM_OK;
    if (settings->adapter != NULL)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "--adapter %s with --method full: an adapter is trained with --method lora only",
                         settings->adapter);
    return LOAM_OK;
}

static enum loam_status check_settings(const struct loam_train_settings *settings, struct loam_error *error)
{
    const struct {
        const char *option;
        double value;
        bool ok;
        const char *expected;
    } rules[] = {
        {"batch-size", (double)settings->batch_size,
         settings->batch_size >= 1 && settings->batch_size <= 1 << 20, "1 to 1048576"},
        {"gradient-accumulation-steps", (double)settings->accumulation,
         settings->accumulation >= 1 && settings->accumulation <= 1 << 20, "1 to 1048576"},
        {"learning-rate", settings->learning_rate,
         isfinite(settings->learning_rate) && settings->learning_rate >= 0, "0 or more"},
        {"loraplus-lr-ratio", settings->loraplus_lr_ratio,
         isfinite(settings->loraplus_lr_ratio) && settings->loraplus_lr_ratio >= 0, "above 0"},
        {"loraplus-lr-embedding", settings->loraplus_lr_embedding,
         isfinite(settings->loraplus_lr_embedding) && settings->loraplus_lr_embedding >= 0, "0 or more"},
        {"weight-decay", settings->weight_decay,
         isfinite(settings->weight_decay) && settings->weight_decay >= 0, "0 or more"},
        {"adam-beta1", settings->adam_beta1, settings->adam_beta1 >= 0 && settings->adam_beta1 < 1,
         "0 or more and less than 1"},
        {"adam-beta2", settings->adam_beta2, settings->adam_beta2 >= 0 && settings->adam_beta2 < 1,
         "0 or more and less than 1"},
        {"adam-epsilon", settings->adam_epsilon,
         isfinite(settings->adam_epsilon) && settings->adam_epsilon > 0, "above 0"},
        {"max-grad-norm", settings->max_grad_norm,
         isfinite(settings->max_grad_norm) && settings->max_grad_norm >= 0, "0 or more"},
        {"warmup-steps", (double)settings->warmup_steps, settings->warmup_steps >= 0, "0 or more"},
        {"warmup-ratio", settings->warmup_ratio, settings->warmup_ratio >= 0 && settings->warmup_ratio <= 1,
         "0 to 1"},
        {"num-train-epochs", settings->epochs, settings->max_steps > 0 || settings->epochs > 0, "above 0"},
        {"eval-steps", (double)settings->eval_steps, settings->eval_steps >= 0, "0 or more"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (rules[i].ok) continue;
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "--%s %g: expected %s", rules[i].option, rules[i].value,
                         rules[i].expected);
    }
    const char *needs_evaluation = settings->load_best_at_end                     ? "load-best-at-end"
                                   : settings->early_stopping_patience > 0        ? "early-stopping-patience"
                                   : settings->best_metric != LOAM_BEST_EVAL_LOSS ? metric_option
                                                                                  : NULL;
    if (needs_evaluation != NULL && settings->eval_data.count == 0)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "--%s depends on evaluations: it needs --eval-data",
                         needs_evaluation);
    return check_full(settings, error);
}

static enum loam_status open_session(struct loam_train_job *job, struct loam_error *error)
{
    const struct loam_train_settings *settings = job->settings;
    const struct loam_adapter_choice adapter = {.directory = settings->adapter};
    struct loam_session_options options = {
        .adapters = {&adapter, settings->adapter != NULL ? 1 : 0},
        .model = settings->model,
        .device = settings->device,
        .threads = settings->threads,
        .opened = settings->opened_device,
        .dtype = settings->dtype,
        .prompt_template = settings->prompt_template,
        .cut = settings->cut,
        .chat_template = settings->chat_template,
        .content_may_be_special = settings->content_may_be_special,
        .max_length = settings->max_length,
        .batch_size = settings->batch_size * settings->accumulation,
        .token_budget = settings->token_budget,
        .without_text = settings->data.count == 0,
        .callbacks = job->callbacks,
        .planning = job->planning,
        .offload = settings->offload,
    };
    LOAM_TRY(loam_session_open(&job->session, &options, error));
    if (settings->full && job->session.offloaded > 0)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "--offload layers=%lld with --method full: only a frozen base can be offloaded",
                         (long long)settings->offload);
    return LOAM_OK;
}

// LoRA+. The rate of an embedding is one of its own: a factor of the learning rate, which the schedule scales too.
static void set_rates(const struct loam_train_job *job)
{
    const struct loam_train_settings *settings = job->settings;
    const double ratio = settings->loraplus_lr_ratio, rate = settings->learning_rate;
    if (ratio == 0 || ratio == 1) return;
    loam_adapter_set_rates(job->adapter, ratio, rate > 0 ? settings->loraplus_lr_embedding / rate : 1);
}

// Matches the targets on the model's names, before there are weights.
static enum loam_status open_adapter(struct loam_train_job *job, struct loam_error *error)
{
    const struct loam_train_settings *settings = job->settings;
    struct loam_trainables *set = &job->trainables;
    if (settings->full) return LOAM_OK;
    if (settings->adapter != NULL)
        LOAM_TRY(loam_session_adapter(&job->session, settings->adapter, set, &job->adapter, error));
    else
        LOAM_TRY(loam_session_fresh_adapter(&job->session, &settings->lora, set, &job->adapter, error));
    set_rates(job);
    return LOAM_OK;
}

static void log_dropouts(const struct loam_train_job *job)
{
    const struct loam_config *config = &job->session.model->config;
    const char *const *keys = config->family->dropouts;
    for (size_t i = 0; keys[i] != NULL; i++)
        if (config->dropouts[i] != 0)
            loam_log_write(
                job->log, LOAM_LOG_WARNING,
                "config.json: \"%s\" is %g: transformers drops out that part of the activations in "
                "training; loam has only --lora-dropout",
                keys[i], config->dropouts[i]);
}

static enum loam_status log_adapter(const struct loam_train_job *job, struct loam_error *error)
{
    if (job->adapter == NULL) return LOAM_OK;
    struct loam_lora_settings lora = loam_adapter_settings(job->adapter);
    char *targets = loam_adapter_targets(job->adapter, error);
    char *whole = targets == NULL ? NULL : loam_adapter_whole(job->adapter, error);
    if (whole == NULL) {
        free(targets);
        return LOAM_ERROR_MEMORY;
    }
    const char *from = job->settings->adapter;
    loam_log_write(job->log, LOAM_LOG_INFO, "%s%s: r %d, alpha %g, dropout %g, target modules %s%s%s",
                   from != NULL ? "going on from adapter " : "LoRA", from != NULL ? from : "", lora.rank,
                   lora.alpha, lora.dropout, targets, whole[0] == '\0' ? "" : ", ", whole);
    free(whole);
    free(targets);
    return LOAM_OK;
}

static enum loam_status open_data(struct loam_train_job *job, struct loam_error *error)
{
    const struct loam_train_settings *settings = job->settings;
    if (settings->data.count == 0) return LOAM_OK;
    struct loam_session_data data = {.sources = &settings->data,
                                     .map = &settings->map,
                                     .loss_on = settings->loss_on,
                                     .too_long = settings->too_long,
                                     .skip_bad = settings->skip_bad,
                                     .learnt = true};
    LOAM_TRY(loam_session_dataset(&job->session, &data, &job->dataset, error));
    size_t parts;
    const struct loam_mixture_part *part = loam_dataset_parts(job->dataset, &parts);
    LOAM_TRY(loam_order_init_mixed(&job->order, part, parts, (size_t)settings->batch_size,
                                   (size_t)settings->accumulation, settings->shuffle, settings->seed, error));
    if (settings->eval_data.count == 0) return LOAM_OK;
    data.sources = &settings->eval_data;
    data.learnt = false;
    LOAM_TRY(loam_session_dataset(&job->session, &data, &job->eval_dataset, error));
    if (settings->best_metric == LOAM_BEST_EVAL_LOSS) return LOAM_OK;
    return loam_answers_check(&job->session, job->eval_dataset,
                              settings->best_metric == LOAM_BEST_ACCURACY ? LOAM_ANSWERS_CHOICE
                                                                          : LOAM_ANSWERS_TEXT,
                              metric_option, settings->max_new_tokens, error);
}

enum loam_status loam_train_job_open(struct loam_train_job *job, const struct loam_train_settings *settings,
                                     const struct loam_callbacks *callbacks, struct loam_error *error)
{
    job->settings = settings;
    job->callbacks = callbacks;
    job->answer_sequences = settings->answer_sequences;
    if (callbacks != NULL) job->log = &callbacks->log;
    LOAM_TRY(check_settings(settings, error));
    LOAM_TRY(open_session(job, error));
    LOAM_TRY(open_adapter(job, error));
    LOAM_TRY(open_data(job, error));
    log_dropouts(job);
    return log_adapter(job, error);
}

// ---- memory ----

size_t loam_train_job_reading_bytes(const struct loam_train_job *job)
{
    size_t bytes = job->dataset != NULL ? loam_dataset_reading_bytes(job->dataset) : 0;
    size_t eval = job->eval_dataset != NULL ? loam_dataset_reading_bytes(job->eval_dataset) : 0;
    return eval > bytes ? eval : bytes;
}

static enum loam_status load(struct loam_train_job *job, struct loam_error *error)
{
    const struct loam_train_settings *settings = job->settings;
    struct loam_session *session = &job->session;
    LOAM_TRY(loam_session_load(session, settings->full, error));
    if (settings->full) return loam_trainables_from_model(&job->trainables, session->model, error);
    LOAM_TRY(loam_trainables_allocate(&job->trainables, session->device, error));
    if (settings->adapter == NULL) return loam_adapter_start(job->adapter, settings->seed, error);
    LOAM_TRY(loam_adapter_fill(job->adapter, error));
    loam_adapter_warn(job->adapter, job->log);
    return LOAM_OK;
}

static enum loam_status allocate(struct loam_train_job *job, struct loam_error *error)
{
    const struct loam_train_settings *settings = job->settings;
    // A batch has at most as many examples as the data set.
    size_t batch_examples = (size_t)settings->batch_size * (size_t)settings->accumulation;
    size_t capacity = batch_examples < job->order.count ? batch_examples : job->order.count;
    const int32_t budget = job->session.token_budget;
    const struct loam_trainer_settings trainer = {
        .tokens = budget,
        .sequences = loam_step_sequences(capacity, budget),
        .checkpointing = settings->checkpointing,
        .evaluate = settings->eval_data.count > 0,
        .adapters = loam_adapter_segments(job->adapter),
        .optimiser = {.beta1 = settings->adam_beta1,
                      .beta2 = settings->adam_beta2,
                      .epsilon = settings->adam_epsilon,
                      .weight_decay = settings->weight_decay,
                      .max_grad_norm = settings->max_grad_norm,
                      .scales_loss = job->session.dtype == LOAM_F16,
                      .loss_rows = loam_step_rows(capacity, budget)},
    };
    LOAM_TRY(loam_trainer_init(&job->trainer, job->session.model, job->session.device, &job->trainables,
                               &trainer, error));
    if (!job->planning) LOAM_TRY(loam_step_buffers_init(&job->buffers, capacity, budget, error));
    if (!job->planning && job->session.device->queues)
        LOAM_TRY(loam_step_buffers_init(&job->next, capacity, budget, error));
    if (settings->best_metric == LOAM_BEST_EVAL_LOSS) return LOAM_OK;
    const struct loam_answerer_options answerer = {.answers = settings->best_metric != LOAM_BEST_ACCURACY,
                                                   .max_new_tokens = settings->max_new_tokens,
                                                   .most_sequences = job->answer_sequences};
    return loam_answerer_create(&job->answerer, &job->session, &trainer.adapters, &answerer, error);
}

enum loam_status loam_train_job_load(struct loam_train_job *job, struct loam_error *error)
{
    LOAM_TRY(load(job, error));
    return allocate(job, error);
}

enum loam_status loam_train_job_save_model(const struct loam_train_job *job, const char *directory,
                                           struct loam_error *error)
{
    const struct loam_session *session = &job->session;
    LOAM_TRY(loam_config_rewrite(directory, &session->model->config, session->dtype, error));
    return loam_model_save(session->model, session->dtype, directory, error);
}

bool loam_train_job_has_other_chat(const struct loam_train_job *job)
{
    return job->session.has_other_chat && loam_dataset_has_chats(job->dataset);
}

enum loam_status loam_train_job_save_chat(const struct loam_train_job *job, const char *directory,
                                          struct loam_error *error)
{
    const struct loam_bytes *text = &job->session.chat.text;
    if (!loam_train_job_has_other_chat(job)) return LOAM_OK;
    char *path = loam_path_join(directory, loam_chat_source_file, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    const enum loam_status status = loam_atomic_write_file(path, text->data, text->size, error);
    free(path);
    return status;
}

void loam_train_job_release_passes(struct loam_train_job *job)
{
    loam_answerer_destroy(job->answerer);
    job->answerer = NULL;
    loam_trainer_release_passes(&job->trainer);
}

void loam_train_job_close(struct loam_train_job *job)
{
    loam_step_buffers_deinit(&job->buffers);
    loam_step_buffers_deinit(&job->next);
    loam_order_deinit(&job->order);
    loam_answerer_destroy(job->answerer);
    loam_trainer_deinit(&job->trainer);
    loam_adapter_destroy(job->adapter);
    loam_trainables_deinit(&job->trainables);
    loam_dataset_destroy(job->eval_dataset);
    loam_dataset_destroy(job->dataset);
    loam_session_close(&job->session);
}
