// loam_train_run: everything that can be checked is checked first, then the weights come in, then the loop,
// then the output.
#include <math.h>
#include <stdlib.h>

#include "train/loop.h"
#include "train/output.h"
#include "train/session.h"

// All that a run holds, so that one function releases it.
struct train_run {
    const struct loam_train_settings *settings;
    const struct loam_callbacks *callbacks;
    const struct loam_log *log;
    struct loam_session session;
    struct loam_dataset *dataset;
    struct loam_dataset *eval_dataset;
    struct loam_trainables trainables;
    struct loam_adapter *adapter; // NULL: --method full
    struct loam_decoder *decoder;
    struct loam_optimiser optimiser;
    struct loam_order order;
    struct loam_step_buffers buffers;
    struct loam_output output;
    struct loam_metrics metrics;
    struct loam_loop loop;
};

static void close_run(struct train_run *run)
{
    loam_metrics_deinit(&run->metrics);
    loam_output_deinit(&run->output);
    loam_step_buffers_deinit(&run->buffers);
    loam_order_deinit(&run->order);
    loam_optimiser_deinit(&run->optimiser);
    loam_decoder_destroy(run->decoder);
    loam_adapter_destroy(run->adapter);
    loam_trainables_deinit(&run->trainables);
    loam_dataset_destroy(run->eval_dataset);
    loam_dataset_destroy(run->dataset);
    loam_session_close(&run->session);
}

// ---- checks ----

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
    if (settings->full && settings->adapter != NULL) {
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "--adapter %s with --method full: an adapter is trained with --method lora only",
                         settings->adapter);
    }
    return LOAM_OK;
}

static enum loam_status open_session(struct train_run *run, struct loam_error *error)
{
    const struct loam_train_settings *settings = run->settings;
    struct loam_session_options options = {
        .model = settings->model,
        .device = settings->device,
        .threads = settings->threads,
        .dtype = settings->dtype,
        .prompt_template = settings->prompt_template,
        .max_length = settings->max_length,
        .batch_size = settings->batch_size * settings->accumulation,
        .token_budget = settings->token_budget,
        .log = run->log,
    };
    return loam_session_open(&run->session, &options, error);
}

// Matches the targets on the model's names, before there are weights.
static enum loam_status open_adapter(struct train_run *run, struct loam_error *error)
{
    const struct loam_train_settings *settings = run->settings;
    struct loam_model *model = run->session.model;
    if (settings->full) return LOAM_OK;
    if (settings->adapter == NULL)
        return loam_adapter_create(&run->adapter, model, &settings->lora, &run->trainables, error);
    LOAM_TRY(loam_adapter_open(&run->adapter, model, settings->adapter, &run->trainables, error));
    const char *notice = loam_adapter_notice(run->adapter);
    if (notice != NULL) loam_log_write(run->log, LOAM_LOG_WARNING, "%s", notice);
    return LOAM_OK;
}

static enum loam_status log_adapter(const struct train_run *run, struct loam_error *error)
{
    if (run->adapter == NULL) return LOAM_OK;
    struct loam_lora_settings lora = loam_adapter_settings(run->adapter);
    char *targets = loam_adapter_targets(run->adapter, error);
    if (targets == NULL) return LOAM_ERROR_MEMORY;
    const char *from = run->settings->adapter;
    loam_log_write(run->log, LOAM_LOG_INFO, "%s%s: r %d, alpha %g, dropout %g, target modules %s",
                   from != NULL ? "going on from adapter " : "LoRA", from != NULL ? from : "", lora.rank,
                   lora.alpha, lora.dropout, targets);
    free(targets);
    return LOAM_OK;
}

static enum loam_status open_data(struct train_run *run, struct loam_error *error)
{
    const struct loam_train_settings *settings = run->settings;
    struct loam_session_data data = {settings->data, settings->loss_on, settings->too_long,
                                     settings->skip_bad};
    LOAM_TRY(loam_session_dataset(&run->session, &data, &run->dataset, error));
    LOAM_TRY(loam_order_init(&run->order, loam_dataset_count(run->dataset), (size_t)settings->batch_size,
                             (size_t)settings->accumulation, settings->shuffle, settings->seed, error));
    LOAM_TRY(loam_order_total_steps(&run->order, settings->epochs, settings->max_steps,
                                    &run->loop.total_steps, error));
    if (settings->eval_data == NULL) return LOAM_OK;
    data.path = settings->eval_data;
    return loam_session_dataset(&run->session, &data, &run->eval_dataset, error);
}

// ---- memory ----

static enum loam_status load(struct train_run *run, struct loam_error *error)
{
    const struct loam_train_settings *settings = run->settings;
    struct loam_session *session = &run->session;
    LOAM_TRY(loam_session_load(session, settings->full, error));
    if (settings->full) return loam_trainables_from_model(&run->trainables, session->model, error);
    LOAM_TRY(loam_trainables_allocate(&run->trainables, session->device, error));
    if (settings->adapter != NULL) return loam_adapter_fill(run->adapter, error);
    return loam_adapter_start(run->adapter, settings->seed, error);
}

static enum loam_status allocate(struct train_run *run, struct loam_error *error)
{
    const struct loam_train_settings *settings = run->settings;
    struct loam_optimiser_settings optimiser = {
        .beta1 = settings->adam_beta1,
        .beta2 = settings->adam_beta2,
        .epsilon = settings->adam_epsilon,
        .weight_decay = settings->weight_decay,
        .max_grad_norm = settings->max_grad_norm,
    };
    LOAM_TRY(loam_optimiser_init(&run->optimiser, &run->trainables, &optimiser, error));
    // No more examples than there are: a batch larger than the data set is the data set.
    size_t wanted = (size_t)settings->batch_size * (size_t)settings->accumulation;
    size_t capacity = wanted < run->order.count ? wanted : run->order.count;
    LOAM_TRY(loam_step_buffers_init(&run->buffers, capacity, run->session.token_budget, error));
    struct loam_decoder_limits limits = {
        .tokens = run->buffers.batch.token_capacity,
        .sequences = run->buffers.batch.sequence_capacity,
        .train = true,
        .evaluate = settings->eval_data != NULL,
    };
    return loam_decoder_create(&run->decoder, run->session.model, run->session.device, &limits, error);
}

static void prepare_loop(struct train_run *run)
{
    struct loam_loop *loop = &run->loop;
    loop->settings = run->settings;
    loop->callbacks = run->callbacks;
    loop->decoder = run->decoder;
    loop->optimiser = &run->optimiser;
    loop->order = &run->order;
    loop->dataset = run->dataset;
    loop->eval_dataset = run->eval_dataset;
    loop->buffers = &run->buffers;
    loop->metrics = &run->metrics;
    loop->schedule = loam_schedule_make(run->settings, loop->total_steps);
    loop->trainable_parameters = loam_trainables_total(&run->trainables);
    loop->parameters = loam_model_parameter_total(run->session.model);
    if (run->adapter != NULL) loop->parameters += loop->trainable_parameters;
}

// ---- output ----

static enum loam_status save(struct train_run *run, struct loam_error *error)
{
    const char *model = run->settings->model;
    LOAM_TRY(loam_output_copy_files(&run->output, model, run->settings->full, error));
    LOAM_TRY(loam_output_write_card(&run->output, &run->loop, run->adapter, error));
    if (run->adapter != NULL) return loam_adapter_save(run->adapter, model, run->output.directory, error);
    return loam_model_save(run->session.model, run->session.dtype, run->output.directory, error);
}

static enum loam_status train(struct train_run *run, struct loam_error *error)
{
    LOAM_TRY(load(run, error));
    LOAM_TRY(allocate(run, error));
    prepare_loop(run);
    LOAM_TRY(loam_loop_run(&run->loop, error));
    loam_session_report(&run->session, run->settings->data, run->dataset);
    if (run->eval_dataset != NULL)
        loam_session_report(&run->session, run->settings->eval_data, run->eval_dataset);
    return save(run, error);
}

static enum loam_status check_and_train(struct train_run *run, struct loam_error *error)
{
    LOAM_TRY(check_settings(run->settings, error));
    LOAM_TRY(open_session(run, error));
    LOAM_TRY(open_adapter(run, error));
    LOAM_TRY(open_data(run, error));
    LOAM_TRY(log_adapter(run, error));
    LOAM_TRY(loam_output_open(&run->output, run->settings, error));
    loam_metrics_init(&run->metrics, run->output.metrics_path);
    enum loam_status status = train(run, error);
    if (status != LOAM_OK) loam_output_abandon(&run->output);
    return status;
}

enum loam_status loam_train_run(const struct loam_train_settings *settings,
                                const struct loam_callbacks *callbacks, struct loam_error *error)
{
    struct train_run run = {.settings = settings, .callbacks = callbacks};
    if (callbacks != NULL) run.log = &callbacks->log;
    loam_metrics_init(&run.metrics, NULL);
    enum loam_status status = check_and_train(&run, error);
    close_run(&run);
    return status;
}
