// loam tokenize: turns text or conversations into ids for the text callback, or ids into text. The text comes from the
// input callback.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"
#include "base/log.h"
#include "commands/commands.h"
#include "commands/input.h"
#include "commands/output.h"
#include "commands/tokenize_messages.h"
#include "text/special.h"

struct tokenize_job {
    const struct loam_tokenize_settings *settings;
    const struct loam_train_settings *shared; // options that train has too
    bool json;
    const struct loam_callbacks *callbacks;
    struct loam_tokenizer *tokenizer;
    struct loam_special_tokens special;
    struct loam_encoding encoding;
    struct loam_bytes input;
    struct loam_bytes output;
    struct loam_chat_tokens chat; // of --messages
};

// {"ids": [...], "tokens": [...]}, and "learnt" if there are weights
static json_t *ids_json(const struct tokenize_job *job, const int32_t *ids, const float *weights,
                        size_t count)
{
    json_t *all = json_array(), *tokens = json_array(), *learnt = json_array();
    for (size_t i = 0; i < count; i++) {
        loam_json_push(&all, json_integer(ids[i]));
        loam_json_push(&tokens, json_string(loam_tokenizer_id_to_token(job->tokenizer, ids[i])));
        if (weights != NULL) loam_json_push(&learnt, json_real((double)weights[i]));
    }
    json_t *root = json_pack("{s:o, s:o}", "ids", all, "tokens", tokens);
    if (weights != NULL)
        loam_json_put(&root, "learnt", learnt);
    else
        json_decref(learnt);
    return root;
}

static enum loam_status write_ids(struct tokenize_job *job, const int32_t *ids, const float *weights,
                                  size_t count, struct loam_error *error)
{
    if (job->json)
        return loam_output_json(job->callbacks, ids_json(job, ids, weights, count), JSON_COMPACT, error);
    loam_bytes_clear(&job->output);
    for (size_t i = 0; i < count; i++)
        LOAM_TRY(loam_bytes_format(&job->output, error, "%s%d", i == 0 ? "" : " ", ids[i]));
    LOAM_TRY(loam_bytes_append_text(&job->output, "\n", error));
    return loam_output_bytes(job->callbacks, job->output.data, job->output.size, error);
}

static enum loam_status encode_text(struct tokenize_job *job, const char *text, size_t size,
                                    struct loam_error *error)
{
    LOAM_TRY(loam_tokenizer_encode(job->tokenizer, text, size, job->settings->special_tokens, &job->encoding,
                                   error));
    if (job->settings->special_tokens)
        LOAM_TRY(loam_special_tokens_surround(&job->special, &job->encoding, error));
    return write_ids(job, job->encoding.ids, NULL, job->encoding.count, error);
}

static enum loam_status encode_messages(struct tokenize_job *job, const char *text, size_t size,
                                        struct loam_error *error)
{
    const char *path = job->settings->messages;
    const bool is_prompt = job->settings->add_generation_prompt;
    const struct loam_example *example = &job->chat.example;
    LOAM_TRY(loam_chat_tokens_encode(&job->chat, text, size, strcmp(path, "-") == 0 ? "input" : path,
                                     is_prompt, error));
    return write_ids(job, example->ids, is_prompt ? NULL : example->weights, (size_t)example->count, error);
}

// Parses ids separated by white space into the encoding.
static enum loam_status parse_ids(struct tokenize_job *job, const char *text, size_t size,
                                  struct loam_error *error)
{
    static const char space[] = " \t\r\n\v\f";
    const char *end = text + size;
    size_t count = 0, capacity = size / 2 + 1;
    free(job->encoding.ids);
    job->encoding = (struct loam_encoding){.ids = loam_calloc(capacity, sizeof(int32_t), error)};
    if (job->encoding.ids == NULL) return error->status;
    for (;;) {
        while (text < end && memchr(space, *text, sizeof space - 1) != NULL)
            text++;
        if (text == end) break;
        char *rest;
        errno = 0;
        long id = strtol(text, &rest, 10);
        bool whole = rest == end || (rest < end && memchr(space, *rest, sizeof space - 1) != NULL);
        if (rest == text || !whole || errno != 0 || id < 0 || id > INT32_MAX)
            return loam_fail(error, LOAM_ERROR_FORMAT, "input: \"%.*s\" is not a token id",
                             (int)strcspn(text, space), text);
        job->encoding.ids[count++] = (int32_t)id;
        text = rest;
    }
    job->encoding.count = count;
    return LOAM_OK;
}

static enum loam_status decode_text(struct tokenize_job *job, const char *text, size_t size,
                                    struct loam_error *error)
{
    LOAM_TRY(parse_ids(job, text, size, error));
    loam_bytes_clear(&job->output);
    LOAM_TRY(loam_tokenizer_decode(job->tokenizer, job->encoding.ids, job->encoding.count,
                                   !job->settings->special_tokens, &job->output, error));
    if (job->json) {
        json_t *root =
            json_pack("{s:s%}", "text", job->output.data == NULL ? "" : job->output.data, job->output.size);
        return loam_output_json(job->callbacks, root, JSON_COMPACT, error);
    }
    // Without --lines nothing is added, so that decoding returns the encoded text to the byte.
    if (job->settings->lines) LOAM_TRY(loam_bytes_append_text(&job->output, "\n", error));
    return loam_output_bytes(job->callbacks, job->output.data, job->output.size, error);
}

static enum loam_status convert_text(struct tokenize_job *job, const char *text, size_t size,
                                     struct loam_error *error)
{
    if (job->settings->messages != NULL) return encode_messages(job, text, size, error);
    return (job->settings->decode ? decode_text : encode_text)(job, text, size, error);
}

static enum loam_status convert_input(struct tokenize_job *job, struct loam_error *error)
{
    const char *text = job->input.data, *end = text + job->input.size;
    if (!job->settings->lines) return convert_text(job, text, job->input.size, error);
    for (size_t line = 1; text < end; line++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t size = (size_t)((newline == NULL ? end : newline) - text);
        if (convert_text(job, text, size, error) != LOAM_OK) return loam_fail_prefix(error, "line %zu", line);
        text += size + 1;
    }
    return LOAM_OK;
}

// Reports the EOS that training adds to a text without a template. The ids of tokenize do not include it.
static void report_training_eos(const struct tokenize_job *job)
{
    const struct loam_special_tokens *special = &job->special;
    if (job->settings->decode || job->settings->messages != NULL || special->add_eos || special->eos < 0)
        return;
    loam_log_write(&job->callbacks->log, LOAM_LOG_INFO,
                   "training adds %s (%d) after a text without a template", special->eos_text,
                   (int)special->eos);
}

static enum loam_status open_job(struct tokenize_job *job, const char *model, struct loam_error *error)
{
    const struct loam_train_settings *shared = job->shared;
    char *path = loam_path_join(model, "tokenizer.json", error);
    if (path == NULL) return error->status;
    enum loam_status status = loam_tokenizer_load(&job->tokenizer, path, error);
    free(path);
    LOAM_TRY(status);
    LOAM_TRY(loam_special_tokens_load(&job->special, model, job->tokenizer, error));
    if (job->settings->messages == NULL) return LOAM_OK;
    LOAM_TRY(loam_chat_tokens_open(&job->chat, model, shared->chat_template, job->tokenizer, &job->special,
                                   error));
    job->chat.options.content_may_be_special = shared->content_may_be_special;
    return LOAM_OK;
}

enum loam_status loam_run_tokenize(const struct loam_settings *settings,
                                   const struct loam_callbacks *callbacks, struct loam_error *error)
{
    struct tokenize_job job = {.settings = &settings->tokenize,
                               .shared = &settings->train,
                               .json = settings->json,
                               .callbacks = callbacks};
    enum loam_status status = open_job(&job, settings->train.model, error);
    if (status == LOAM_OK) report_training_eos(&job);
    const char *path = job.settings->messages == NULL ? "-" : job.settings->messages;
    if (status == LOAM_OK) status = loam_input_read(callbacks, "tokenize", path, &job.input, error);
    if (status == LOAM_OK) status = convert_input(&job, error);
    loam_bytes_deinit(&job.output);
    loam_bytes_deinit(&job.input);
    loam_encoding_deinit(&job.encoding);
    loam_chat_tokens_deinit(&job.chat);
    loam_special_tokens_deinit(&job.special);
    loam_tokenizer_destroy(job.tokenizer);
    return status;
}
