#include "evaluate/run.h"

#include "evaluate/answers.h"
#include "session/fit.h"

enum { DEFAULT_SEQUENCES = 256 };

// Everything that an evaluation owns, released by close_run.
struct evaluation_run {
    const struct loam_evaluate_settings *settings;
    const struct loam_callbacks *callbacks; // may be NULL
    struct loam_session session;
    struct loam_dataset *dataset;
    bool has_choices;
    struct loam_adapter_list adapters;
    struct loam_decoder *decoder;
    int32_t sequences; // of a batch of the decoder
    struct loam_answerer *answerer;
    struct loam_batch batch;
    struct loam_example example;
};

static void close_run(struct evaluation_run *run)
{
    loam_example_deinit(&run->example);
    loam_batch_deinit(&run->batch);
    loam_answerer_destroy(run->answerer);
    loam_decoder_destroy(run->decoder);
    loam_adapter_list_deinit(&run->adapters);
    loam_dataset_destroy(run->dataset);
    loam_session_close(&run->session);
}

static size_t limit_of(const struct loam_evaluate_settings *settings)
{
    return settings->limit > 0 ? (size_t)settings->limit : 0;
}

// ---- what computes ----

static bool answers(const struct evaluation_run *run)
{
    return run->settings->generate || run->has_choices;
}

static enum loam_status create_decoder(struct evaluation_run *run, struct loam_error *error)
{
    const struct loam_evaluate_settings *settings = run->settings;
    const int64_t sequences = settings->batch_size > 0 ? settings->batch_size : DEFAULT_SEQUENCES;
    const int32_t tokens = run->session.token_budget;
    const struct loam_decoder_limits limits = {.tokens = tokens,
                                               .sequences = sequences < tokens ? (int32_t)sequences : tokens,
                                               .evaluate = true,
                                               .adapters = loam_adapter_list_segments(&run->adapters)};
    run->sequences = limits.sequences;
    return loam_decoder_create(&run->decoder, run->session.model, run->session.device, &limits, error);
}

static enum loam_status create_answerer(struct evaluation_run *run, struct loam_error *error)
{
    const struct loam_evaluate_settings *settings = run->settings;
    const struct loam_segments adapters = loam_adapter_list_segments(&run->adapters);
    const bool few = settings->limit > 0 && settings->limit < INT32_MAX && !run->has_choices;
    const struct loam_answerer_options options = {.answers = settings->generate,
                                                  .max_new_tokens = settings->max_new_tokens,
                                                  .most_sequences = few ? (int32_t)settings->limit : 0};
    return loam_answerer_create(&run->answerer, &run->session, &adapters, &options, error);
}

// For loam_session_fit.
static enum loam_status rehearse(void *user, const struct loam_session *planned, struct loam_error *error)
{
    const struct evaluation_run *run = user;
    struct evaluation_run rehearsed = {
        .settings = run->settings, .session = *planned, .has_choices = run->has_choices};
    enum loam_status status =
        loam_session_adapters(planned, &run->settings->adapters, &rehearsed.adapters, error);
    if (status == LOAM_OK)
        status = answers(run) ? create_answerer(&rehearsed, error) : create_decoder(&rehearsed, error);
    loam_answerer_destroy(rehearsed.answerer);
    loam_decoder_destroy(rehearsed.decoder);
    loam_adapter_list_deinit(&rehearsed.adapters);
    return status;
}

// ---- the run ----

static enum loam_status open_run(struct evaluation_run *run, struct loam_error *error)
{
    const struct loam_evaluate_settings *settings = run->settings;
    struct loam_session_options options = {
        .model = settings->model,
        .device = settings->device,
        .threads = settings->threads,
        .dtype = settings->dtype,
        .prompt_template = settings->prompt_template,
        .cut = settings->cut,
        .chat_template = settings->chat_template,
        .adapters = settings->adapters,
        .content_may_be_special = settings->content_may_be_special,
        .max_length = settings->max_length,
        .batch_size = settings->batch_size,
        .token_budget = settings->token_budget,
        .callbacks = run->callbacks,
        .offload = settings->offload,
        .device_memory_limit = settings->device_memory_limit,
    };
    LOAM_TRY(loam_session_open(&run->session, &options, error));
    struct loam_session_data data = {.sources = &settings->data,
                                     .map = &settings->map,
                                     .loss_on = settings->loss_on,
                                     .too_long = settings->too_long,
                                     .skip_bad = settings->skip_bad};
    LOAM_TRY(loam_session_dataset(&run->session, &data, &run->dataset, error));
    if (settings->generate)
        LOAM_TRY(loam_answers_check(&run->session, run->dataset, LOAM_ANSWERS_OR_CHOICES, "generate",
                                    settings->max_new_tokens, error));
    LOAM_TRY(loam_dataset_has_choices(run->dataset, &run->has_choices, error));
    LOAM_TRY(loam_session_fit(&run->session, &options, rehearse, run, error));
    LOAM_TRY(loam_session_load(&run->session, false, error));
    return loam_session_adapters(&run->session, &settings->adapters, &run->adapters, error);
}

static enum loam_status measure_loss(struct evaluation_run *run, struct loam_evaluate_result *result,
                                     struct loam_error *error)
{
    const struct loam_evaluate_settings *settings = run->settings;
    LOAM_TRY(create_decoder(run, error));
    LOAM_TRY(loam_batch_init(&run->batch, run->session.token_budget, run->sequences, error));
    result->has_roles = loam_dataset_has_chats(run->dataset);
    if (result->has_roles)
        return loam_evaluate_roles(run->decoder, run->dataset, limit_of(settings), &run->batch, &run->example,
                                   run->callbacks, &result->loss, &result->roles, error);
    return loam_evaluate_loss(run->decoder, run->dataset, limit_of(settings), &run->batch, &run->example,
                              run->callbacks, &result->loss, error);
}

static enum loam_status answer(struct evaluation_run *run, struct loam_evaluate_result *result,
                               struct loam_error *error)
{
    LOAM_TRY(create_answerer(run, error));
    return loam_answerer_evaluate(run->answerer, run->dataset, limit_of(run->settings), result, error);
}

static enum loam_status evaluate(struct evaluation_run *run, struct loam_evaluate_result *result,
                                 struct loam_error *error)
{
    if (answers(run))
        LOAM_TRY(answer(run, result, error));
    else
        LOAM_TRY(measure_loss(run, result, error));
    loam_session_report(&run->session, run->dataset);
    return LOAM_OK;
}

enum loam_status loam_evaluate_run(const struct loam_evaluate_settings *settings,
                                   const struct loam_callbacks *callbacks,
                                   struct loam_evaluate_result *result, struct loam_error *error)
{
    *result = (struct loam_evaluate_result){0};
    struct evaluation_run run = {.settings = settings, .callbacks = callbacks};
    enum loam_status status = open_run(&run, error);
    if (status == LOAM_OK) status = evaluate(&run, result, error);
    close_run(&run);
    return status;
}
