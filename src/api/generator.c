// Generators: prompts in, tokens out.
#include "api/generator.h"

#include <math.h>
#include <stdlib.h>

#include "api/sized.h"
#include "base/heap.h"

// ---- opening ----

static enum loam_status check_settings(const struct loam_model_handle *model,
                                       const struct loam_generator_settings *settings,
                                       struct loam_error *error)
{
    const int64_t limit = loam_config_position_limit(&model->session.model->config);
    if (settings->sequences < 1)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "a generator of %d sequences: expected 1 or more",
                         (int)settings->sequences);
    if (settings->context < 1 || settings->context > limit)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "a context of %d tokens: expected 1 to %lld",
                         (int)settings->context, (long long)limit);
    return LOAM_OK;
}

static enum loam_status open_generator(struct loam_generator_handle *handle, struct loam_model_handle *model,
                                       const struct loam_generator_settings *settings,
                                       struct loam_error *error)
{
    LOAM_TRY(check_settings(model, settings, error));
    LOAM_TRY(loam_held_adapters_init(&handle->adapters, model, settings->adapters, settings->adapter_count,
                                     error));
    handle->model = model;
    model->holders++;
    handle->tokenizer = settings->tokenizer;
    if (handle->tokenizer != NULL) handle->tokenizer->holders++;
    handle->prompts = loam_calloc((size_t)settings->sequences, sizeof(struct loam_session_prompt *), error);
    if (handle->prompts == NULL) return LOAM_ERROR_MEMORY;
    handle->sequences = settings->sequences;
    const struct loam_generator_limits limits = {
        .sequences = settings->sequences,
        .context = settings->context,
        .tokens = settings->context < LOAM_PROMPT_CHUNK ? settings->context : LOAM_PROMPT_CHUNK,
        .adapters = loam_held_adapters_segments(&handle->adapters),
        .adapters_of_sequence = settings->adapter_count > 0 ? 1 : 0};
    return loam_generator_create(&handle->generator, model->session.model, model->device->device, &limits,
                                 error);
}

enum loam_status loam_generator_open(struct loam_generator_handle **out, struct loam_model_handle *model,
                                     const struct loam_generator_settings *settings, struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    struct loam_generator_settings all;
    LOAM_TRY(loam_require(out, "the place for a generator", error));
    *out = NULL;
    LOAM_TRY(loam_require(model, "the model", error));
    LOAM_TRY(LOAM_SIZED_READ(&all, settings, "loam_generator_settings", error));
    struct loam_generator_handle *handle = loam_calloc(1, sizeof *handle, error);
    if (handle == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = open_generator(handle, model, &all, error);
    if (status != LOAM_OK) {
        loam_generator_close(handle);
        return status;
    }
    *out = handle;
    return LOAM_OK;
}

static void release_prompt(struct loam_generator_handle *handle, int32_t sequence)
{
    struct loam_session_prompt *prompt = handle->prompts[sequence];
    handle->prompts[sequence] = NULL;
    if (prompt == NULL) return;
    loam_session_prompt_deinit(prompt);
    free(prompt);
}

void loam_generator_close(struct loam_generator_handle *handle)
{
    if (handle == NULL) return;
    loam_generator_destroy(handle->generator);
    for (int32_t i = 0; i < handle->sequences; i++)
        release_prompt(handle, i);
    free(handle->prompts);
    loam_held_adapters_deinit(&handle->adapters);
    loam_tokenizer_release(handle->tokenizer);
    loam_model_release(handle->model);
    free(handle);
}

// ---- sequences ----

static enum loam_status check_prompt(const struct loam_prompt_settings *prompt, struct loam_error *error)
{
    const struct {
        const char *field;
        double value;
        bool ok;
        const char *expected;
    } rules[] = {
        {"max_new_tokens", prompt->max_new_tokens, prompt->max_new_tokens >= 1, "1 or more"},
        {"temperature", prompt->temperature, isfinite(prompt->temperature) && prompt->temperature >= 0,
         "0 or more"},
        {"top_k", prompt->top_k, prompt->top_k >= 0, "0 or more"},
        {"top_p", prompt->top_p, prompt->top_p > 0 && prompt->top_p <= 1, "above 0 and at most 1"},
        {"min_p", prompt->min_p, prompt->min_p >= 0 && prompt->min_p <= 1, "0 to 1"},
        {"repetition_penalty", prompt->repetition_penalty,
         isfinite(prompt->repetition_penalty) && prompt->repetition_penalty > 0, "above 0"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (!rules[i].ok)
            return loam_fail(error, LOAM_ERROR_ARGUMENT, "struct loam_prompt_settings: %s is %g: expected %s",
                             rules[i].field, rules[i].value, rules[i].expected);
    if (prompt->stop_count > 0) LOAM_TRY(loam_require(prompt->stop_ids, "the prompt's stop_ids", error));
    if (prompt->ids == NULL) return loam_require(prompt->text, "both ids and text of the prompt", error);
    if (prompt->count <= INT32_MAX) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT, "a prompt of %zu tokens: expected at most %d", prompt->count,
                     INT32_MAX);
}

// Encodes the text of a prompt.
static enum loam_status encode(const struct loam_generator_handle *handle,
                               const struct loam_prompt_settings *prompt, struct loam_session_prompt *encoded,
                               struct loam_error *error)
{
    if (handle->tokenizer == NULL)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "a prompt that is a text: the generator was opened without a tokenizer");
    struct loam_session session = handle->model->session;
    session.tokenizer = handle->tokenizer->tokenizer;
    session.special = handle->tokenizer->special;
    LOAM_TRY(loam_bytes_append(&encoded->rendered.text, prompt->text, prompt->text_size, error));
    return loam_session_prompt_encode(&session, encoded, INT32_MAX, error);
}

static enum loam_status begin(struct loam_generator_handle *handle, const struct loam_prompt_settings *prompt,
                              struct loam_session_prompt *encoded, int32_t *sequence,
                              struct loam_error *error)
{
    static const struct loam_special_tokens none = {.bos = -1, .pad = -1, .eos = -1};
    const bool from_text = prompt->ids == NULL;
    struct loam_generation generation = {.max_new_tokens = prompt->max_new_tokens,
                                         .vocabulary = INT32_MAX,
                                         .sampling = {.temperature = prompt->temperature,
                                                      .top_k = prompt->top_k,
                                                      .top_p = prompt->top_p,
                                                      .min_p = prompt->min_p,
                                                      .repetition_penalty = prompt->repetition_penalty,
                                                      .seed = prompt->seed},
                                         .special = &none,
                                         .stop_ids = prompt->stop_ids,
                                         .stop_count = prompt->stop_count,
                                         .healing = from_text ? &encoded->healing : NULL};
    struct loam_segments adapters = {0};
    if (prompt->adapter != NULL) {
        adapters = (struct loam_segments){loam_held_adapters_find(&handle->adapters, prompt->adapter), 1};
        if (adapters.items == NULL)
            return loam_fail(error, LOAM_ERROR_ARGUMENT,
                             "the prompt's adapter is none of those that the generator was opened with");
    }
    if (handle->tokenizer != NULL) {
        generation.special = &handle->tokenizer->special;
        generation.vocabulary = loam_tokenizer_vocabulary_size(handle->tokenizer->tokenizer);
    }
    if (from_text) LOAM_TRY(encode(handle, prompt, encoded, error));
    const int32_t *ids = from_text ? encoded->example.ids : prompt->ids;
    const int32_t count = from_text ? encoded->example.count : (int32_t)prompt->count;
    return loam_generator_begin(handle->generator, ids, count, &generation, &adapters, sequence, error);
}

enum loam_status loam_generator_add(struct loam_generator_handle *handle,
                                    const struct loam_prompt_settings *prompt, int32_t *sequence,
                                    struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    struct loam_prompt_settings all;
    LOAM_TRY(loam_require(handle, "the generator", error));
    LOAM_TRY(loam_require(sequence, "the place for a sequence", error));
    *sequence = -1;
    LOAM_TRY(LOAM_SIZED_READ(&all, prompt, "loam_prompt_settings", error));
    LOAM_TRY(check_prompt(&all, error));
    struct loam_session_prompt *encoded = loam_calloc(1, sizeof *encoded, error);
    if (encoded == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = begin(handle, &all, encoded, sequence, error);
    if (status == LOAM_OK) {
        handle->prompts[*sequence] = encoded;
        return LOAM_OK;
    }
    loam_session_prompt_deinit(encoded);
    free(encoded);
    return status;
}

enum loam_status loam_generator_step(struct loam_generator_handle *handle, struct loam_generated *tokens,
                                     size_t *count, struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    LOAM_TRY(loam_require(handle, "the generator", error));
    LOAM_TRY(loam_require(tokens, "the room for tokens", error));
    LOAM_TRY(loam_require(count, "the place for a count", error));
    return loam_generator_advance(handle->generator, tokens, count, error);
}

void loam_generator_remove(struct loam_generator_handle *handle, int32_t sequence)
{
    if (handle == NULL || !loam_generator_has(handle->generator, sequence)) return;
    loam_generator_end(handle->generator, sequence);
    release_prompt(handle, sequence);
}
