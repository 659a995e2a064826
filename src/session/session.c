#include "session/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/decimal.h"
#include "base/file.h"

enum {
    DEFAULT_MAX_LENGTH = 1024,
    DEFAULT_TOKEN_BUDGET = 1024,
    MOST_TOKENS = 1 << 30, // tokens of a batch; sums of two such counts fit in 32 bits
};

size_t loam_device_usable(size_t free_bytes)
{
    const size_t margin = (size_t)64 << 20;
    if (free_bytes == SIZE_MAX) return SIZE_MAX; // not known
    return free_bytes > margin ? free_bytes - margin : 0;
}

static enum loam_status choose_max_length(struct loam_session *session, int64_t wanted,
                                          struct loam_error *error)
{
    const struct loam_config *config = &session->model->config;
    const bool made_shorter = config->max_positions > 0 && config->max_positions < DEFAULT_MAX_LENGTH;
    if (wanted == 0) wanted = made_shorter ? config->max_positions : DEFAULT_MAX_LENGTH;
    if (wanted < 2 || wanted > MOST_TOKENS) {
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "--max-length %lld: expected 2 to %d tokens",
                         (long long)wanted, MOST_TOKENS);
    }
    if (wanted > loam_config_position_limit(config))
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "--max-length %lld: the model was made for %lld positions", (long long)wanted,
                         (long long)config->max_positions);
    session->max_length = (int32_t)wanted;
    return LOAM_OK;
}

static enum loam_status choose_token_budget(struct loam_session *session, int64_t wanted, int64_t batch_size,
                                            struct loam_error *error)
{
    int64_t length = session->max_length;
    if (wanted == 0) {
        bool small = batch_size > 0 && batch_size < DEFAULT_TOKEN_BUDGET / length;
        wanted = small ? batch_size * length : DEFAULT_TOKEN_BUDGET;
        if (wanted < length) wanted = length;
    }
    if (wanted > MOST_TOKENS)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "--token-budget %lld: expected at most %d tokens",
                         (long long)wanted, MOST_TOKENS);
    if (wanted < length) {
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "--token-budget %lld: one example may have %lld tokens (--max-length), and must fit",
                         (long long)wanted, (long long)length);
    }
    session->token_budget = (int32_t)wanted;
    return LOAM_OK;
}

static enum loam_status open_tokenizer(struct loam_session *session, struct loam_error *error)
{
    char *path = loam_path_join(session->directory, "tokenizer.json", error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_tokenizer_load(&session->tokenizer, path, error);
    free(path);
    if (status != LOAM_OK) return status;
    const struct loam_special_tokens *special = &session->special;
    LOAM_TRY(loam_special_tokens_load(&session->special, session->directory, session->tokenizer, error));
    if (special->eos >= 0 && special->note[0] != '\0')
        loam_log_write(session->log, LOAM_LOG_WARNING, "%s; %s is taken as the end of sequence",
                       special->note, special->eos_text);
    return LOAM_OK;
}

// Sets `*path` to the template that the adapters were trained with; NULL: the model's own, or not known. Warns if they
// have several.
static enum loam_status find_adapter_template(const struct loam_session *session,
                                              const struct loam_adapter_choices *adapters, char **path,
                                              struct loam_error *error)
{
    enum loam_status status = LOAM_OK;
    const char *first = NULL; // the directory of `*path`
    *path = NULL;
    for (size_t i = 0; i < adapters->count && status == LOAM_OK; i++) {
        const char *directory = adapters->items[i].directory;
        char *found;
        status = loam_chat_source_of_adapter(session->directory, directory, &found, error);
        if (found != NULL && first == NULL) {
            *path = found;
            first = directory;
            continue;
        }
        free(found);
        if (found == NULL || status != LOAM_OK) continue;
        status = loam_chat_source_of_adapter(first, directory, &found, error);
        if (found != NULL)
            loam_log_write(session->log, LOAM_LOG_WARNING,
                           "%s is another chat template than %s, which is used", found, *path);
        free(found);
    }
    return status;
}

// Opens a chat template. One that was not asked for and does not open is an error only for conversations.
static enum loam_status find_chat(struct loam_session *session, const struct loam_session_options *options,
                                  const char *name, struct loam_error *error)
{
    struct loam_error *refusal = options->chat_template != NULL ? error : &session->chat_refusal;
    const enum loam_status status =
        loam_chat_source_find(&session->chat, session->directory, name, options->has_tools, refusal);
    if (status == LOAM_OK || options->chat_template != NULL) return status;
    return status == LOAM_ERROR_MEMORY ? loam_fail(error, status, "%s", refusal->message) : LOAM_OK;
}

static enum loam_status open_chat(struct loam_session *session, const struct loam_session_options *options,
                                  struct loam_error *error)
{
    const time_t now = time(NULL);
    session->content_may_be_special = options->content_may_be_special;
    if (localtime_r(&now, &session->now) == NULL) session->now = (struct tm){.tm_year = 70, .tm_mday = 1};
    session->has_other_chat = true;
    if (options->chat_template != NULL) return find_chat(session, options, options->chat_template, error);
    char *path;
    enum loam_status status = find_adapter_template(session, &options->adapters, &path, error);
    session->has_other_chat = path != NULL;
    if (status == LOAM_OK) status = find_chat(session, options, path, error);
    free(path);
    return status;
}

static void log_created(const struct loam_session *session, const struct loam_session_options *options)
{
    if (session->device->passed_over[0] != '\0')
        loam_log_write(session->log, LOAM_LOG_WARNING, "device auto is %s: %s", session->device->name,
                       session->device->passed_over);
    if (session->device->model != NULL && options->threads > 1)
        loam_log_write(session->log, LOAM_LOG_WARNING,
                       "--threads %d has no effect on device %s, whose kernels have threads of their own",
                       options->threads, session->device->name);
    if (session->device->threads < session->device->threads_wanted)
        loam_log_write(session->log, LOAM_LOG_WARNING,
                       "no more than %d of %d threads can be started (a limit on processes or memory): %d %s",
                       session->device->threads, session->device->threads_wanted, session->device->threads,
                       session->device->threads == 1 ? "is used" : "are used");
}

static enum loam_status open_device(struct loam_session *session, const struct loam_session_options *options,
                                    struct loam_error *error)
{
    session->device = options->opened;
    if (options->opened == NULL) {
        LOAM_TRY(loam_device_create(&session->own_device, options->device, options->threads, error));
        session->device = session->own_device;
        log_created(session, options);
    }
    if (!options->planning) return LOAM_OK;
    LOAM_TRY(loam_device_create_planning(&session->planning_device, session->device, error));
    session->device = session->planning_device;
    return LOAM_OK;
}

static enum loam_status open_all(struct loam_session *session, const struct loam_session_options *options,
                                 struct loam_error *error)
{
    LOAM_TRY(open_device(session, options, error));
    if (session->device->host_memory)
        session->offloaded = 0; // --offload has no effect, which is told elsewhere
    session->dtype = options->dtype;
    if (session->dtype == LOAM_DTYPE_NONE) {
        session->dtype = loam_device_default_dtype(session->device);
        session->keep_halves = session->dtype == LOAM_F32;
    }
    if (!loam_formats_have(session->device->formats.compute, session->dtype))
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "device %s does not compute in %s: choose --dtype bf16 or f32",
                         session->device->name, loam_dtype_name(session->dtype));
    struct loam_config config;
    LOAM_TRY(loam_config_load(&config, session->directory, error));
    LOAM_TRY(loam_model_create(&session->model, &config, error));
    if (session->offloaded > config.layers)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "--offload layers=%lld: the model has %lld layers",
                         (long long)session->offloaded, (long long)config.layers);
    LOAM_TRY(choose_max_length(session, options->max_length, error));
    LOAM_TRY(choose_token_budget(session, options->token_budget, options->batch_size, error));
    if (options->without_text) return LOAM_OK;
    LOAM_TRY(open_tokenizer(session, error));
    LOAM_TRY(open_chat(session, options, error));
    if (options->prompt_template == NULL) return LOAM_OK;
    LOAM_TRY(loam_template_open(&session->prompt_template, options->prompt_template, error));
    return options->cut == NULL ? LOAM_OK
                                : loam_template_choose_cut(session->prompt_template, options->cut, error);
}

enum loam_status loam_session_open(struct loam_session *session, const struct loam_session_options *options,
                                   struct loam_error *error)
{
    *session = (struct loam_session){.directory = options->model,
                                     .callbacks = options->callbacks,
                                     .streamed = options->streamed,
                                     .offloaded = options->offload > 0 ? options->offload : 0};
    if (options->callbacks != NULL) session->log = &options->callbacks->log;
    enum loam_status status = open_all(session, options, error);
    if (status != LOAM_OK) loam_session_close(session);
    return status;
}

void loam_session_close(struct loam_session *session)
{
    loam_template_destroy(session->prompt_template);
    loam_chat_source_deinit(&session->chat);
    loam_tokenizer_destroy(session->tokenizer);
    loam_special_tokens_deinit(&session->special);
    loam_model_destroy(session->model);
    loam_device_destroy(session->planning_device);
    loam_device_destroy(session->own_device);
    *session = (struct loam_session){0};
}

enum loam_status loam_session_chat(const struct loam_session *session, struct loam_chat_options *options,
                                   struct loam_error *error)
{
    if (session->chat.chat_template == NULL)
        return loam_fail(error, session->chat_refusal.status,
                         "a conversation needs a chat template, such as --chat-template chatml: %s",
                         session->chat_refusal.message);
    *options = (struct loam_chat_options){
        .name = "the conversation",
        .source = &session->chat,
        .tokenizer = session->tokenizer,
        .special = &session->special,
        .max_length = session->max_length,
        .vocabulary = (int32_t)session->model->config.vocabulary,
        .content_may_be_special = session->content_may_be_special,
        .now = session->now,
    };
    return LOAM_OK;
}

// Logs the dtype of activations, the dtype of matrices if it is another, the device and its threads.
static void log_device(const struct loam_session *session)
{
    const struct loam_device *device = session->device;
    const enum loam_dtype matrices = session->model->matrix_dtype;
    const bool levels = device->isa != NULL, kept = matrices != session->dtype;
    const bool ours = levels && (kept || !loam_formats_have(device->formats.preferred, matrices));
    const char *detail = levels ? device->isa : device->model;
    char threads[32] = "";
    if (device->model == NULL) (void)snprintf(threads, sizeof threads, " with %d threads", device->threads);
    loam_log_write(session->log, LOAM_LOG_INFO, "computing in %s%s%s on device %s%s%s%s%s%s",
                   loam_dtype_name(session->dtype), kept ? " with matrices of " : "",
                   kept ? loam_dtype_name(matrices) : "", device->name, detail != NULL ? " (" : "",
                   detail != NULL ? detail : "", detail != NULL ? ")" : "", threads,
                   ours ? "; their products are made in 16-bit block floating point" : "");
}

static void log_offload(const struct loam_session *session)
{
    const struct loam_offload *offload = session->model->offload;
    char copied[LOAM_MEMORY_SIZE];
    if (offload != NULL)
        loam_log_write(session->log, LOAM_LOG_INFO,
                       "%lld of %lld layers stay in the host's memory: each forward (one for a generated "
                       "token) and each backward copies %s to device %s",
                       (long long)offload->count, (long long)offload->model_layers,
                       loam_memory_format((size_t)offload->count * offload->layer_bytes, copied),
                       session->device->name);
}

enum loam_status loam_session_load(struct loam_session *session, bool writable, struct loam_error *error)
{
    struct loam_load_options options = {.dtype = session->dtype,
                                        .keep_halves = session->keep_halves,
                                        .writable = writable,
                                        .streamed = session->streamed,
                                        .offloaded = session->offloaded,
                                        .callbacks = session->callbacks};
    loam_config_log(&session->model->config, session->log);
    LOAM_TRY(loam_model_load(session->model, session->directory, session->device, &options, error));
    log_device(session);
    log_offload(session);
    return LOAM_OK;
}

enum loam_status loam_session_adapter(const struct loam_session *session, const char *directory,
                                      struct loam_trainables *set, struct loam_adapter **out,
                                      struct loam_error *error)
{
    *out = NULL;
    if (directory == NULL) return LOAM_OK;
    LOAM_TRY(set == NULL && session->keeps_masters
                 ? loam_adapter_open_trainable(out, session->model, directory, error)
                 : loam_adapter_open(out, session->model, directory, set, error));
    loam_adapter_warn(*out, session->log);
    return LOAM_OK;
}

enum loam_status loam_session_adapters(const struct loam_session *session,
                                       const struct loam_adapter_choices *choices,
                                       struct loam_adapter_list *adapters, struct loam_error *error)
{
    return loam_adapter_list_open(adapters, session->model, choices, session->log, error);
}

enum loam_status loam_session_fresh_adapter(const struct loam_session *session,
                                            const struct loam_lora_settings *settings,
                                            struct loam_trainables *set, struct loam_adapter **out,
                                            struct loam_error *error)
{
    LOAM_TRY(loam_adapter_create(out, session->model, settings, set, error));
    loam_adapter_warn(*out, session->log);
    return LOAM_OK;
}

enum loam_status loam_session_dataset(const struct loam_session *session,
                                      const struct loam_session_data *data, struct loam_dataset **out,
                                      struct loam_error *error)
{
    struct loam_chat_options chat;
    const bool has_chat = session->chat.chat_template != NULL;
    if (has_chat) LOAM_TRY(loam_session_chat(session, &chat, error));
    struct loam_dataset_options options = {
        .chat = has_chat ? &chat : NULL,
        .chat_refusal = session->chat_refusal.message,
        .sources = data->sources,
        .takes_all = !data->learnt,
        .map = data->map,
        .prompt_template = session->prompt_template,
        .loss_on = data->loss_on,
        .too_long = data->too_long,
        .max_length = session->max_length,
        .skip_bad = data->skip_bad,
        .tokenizer = session->tokenizer,
        .special = &session->special,
        .vocabulary = (int32_t)session->model->config.vocabulary,
        .callbacks = session->callbacks,
    };
    LOAM_TRY(loam_dataset_open(out, &options, error));
    loam_dataset_tell(*out, session->log);
    enum loam_status status = loam_dataset_try(*out, error);
    if (status == LOAM_OK && data->loss_on > LOAM_LOSS_ON_ALL && !loam_dataset_has_template(*out))
        loam_log_write(
            session->log, LOAM_LOG_WARNING,
            "%s: --loss-on %s has no effect without --template: the loss counts over the whole text",
            loam_dataset_name(*out), loam_loss_on_name(data->loss_on));
    if (status != LOAM_OK) {
        loam_dataset_destroy(*out);
        *out = NULL;
    }
    return status;
}

void loam_session_report(const struct loam_session *session, const struct loam_dataset *dataset)
{
    const char *path = loam_dataset_name(dataset);
    struct loam_dataset_counts counts = loam_dataset_counts(dataset);
    const char *unit = counts.split > 0 ? "examples" : "records";
    if (counts.skipped_bad > 0) {
        loam_log_write(session->log, LOAM_LOG_WARNING, "%s: %zu broken records were skipped", path,
                       counts.skipped_bad);
    }
    if (counts.without_label > 0) {
        loam_log_write(session->log, LOAM_LOG_WARNING,
                       "%s: of %zu %s, %zu give nothing to learn: they have a single token, or no completion "
                       "within %d tokens",
                       path, counts.examples, unit, counts.without_label, (int)session->max_length);
    }
    if (counts.cut + counts.dropped > 0) {
        loam_log_write(session->log, LOAM_LOG_WARNING,
                       "%s: of %zu %s, %zu were longer than %d tokens and cut, %zu could not be cut and "
                       "were dropped",
                       path, counts.examples, unit, counts.cut, (int)session->max_length, counts.dropped);
    }
}
