// loam tokenize: turns text from the input callback into ids for the text callback, or ids into text.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"
#include "base/log.h"
#include "commands/commands.h"
#include "commands/output.h"
#include "text/special.h"

struct tokenize_job {
    const struct loam_tokenize_settings *settings;
    bool json;
    const struct loam_callbacks *callbacks;
    struct loam_tokenizer *tokenizer;
    struct loam_special_tokens special;
    struct loam_encoding encoding;
    struct loam_bytes input;
    struct loam_bytes output;
};

static enum loam_status read_input(struct tokenize_job *job, struct loam_error *error)
{
    enum { BLOCK = 1 << 16, LIMIT = 1 << 30 }; // bytes; the limit stops an endless input
    if (job->callbacks->input == NULL) return loam_fail(error, LOAM_ERROR_ARGUMENT, "tokenize has no input");
    for (;;) {
        LOAM_TRY(loam_bytes_reserve(&job->input, job->input.size + BLOCK + 1, error));
        ptrdiff_t size =
            job->callbacks->input(job->callbacks->user, job->input.data + job->input.size, BLOCK);
        if (size < 0) return loam_fail(error, LOAM_ERROR_IO, "the input could not be read");
        if (size == 0) break;
        job->input.size += (size_t)size;
        if (job->input.size > LIMIT)
            return loam_fail(error, LOAM_ERROR_FORMAT, "the input has more than %d bytes: split it", LIMIT);
    }
    job->input.data[job->input.size] = '\0';
    return LOAM_OK;
}

// {"ids": [...], "tokens": [...]}
static json_t *encoding_json(const struct tokenize_job *job)
{
    json_t *ids = json_array(), *tokens = json_array();
    for (size_t i = 0; i < job->encoding.count; i++) {
        int32_t id = job->encoding.ids[i];
        loam_json_push(&ids, json_integer(id));
        loam_json_push(&tokens, json_string(loam_tokenizer_id_to_token(job->tokenizer, id)));
    }
    return json_pack("{s:o, s:o}", "ids", ids, "tokens", tokens);
}

static enum loam_status encode_text(struct tokenize_job *job, const char *text, size_t size,
                                    struct loam_error *error)
{
    LOAM_TRY(loam_tokenizer_encode(job->tokenizer, text, size, job->settings->special_tokens, &job->encoding,
                                   error));
    if (job->settings->special_tokens)
        LOAM_TRY(loam_special_tokens_surround(&job->special, &job->encoding, error));
    if (job->json) return loam_output_json(job->callbacks, encoding_json(job), JSON_COMPACT, error);
    loam_bytes_clear(&job->output);
    for (size_t i = 0; i < job->encoding.count; i++)
        LOAM_TRY(loam_bytes_format(&job->output, error, "%s%d", i == 0 ? "" : " ", job->encoding.ids[i]));
    LOAM_TRY(loam_bytes_append_text(&job->output, "\n", error));
    return loam_output_bytes(job->callbacks, job->output.data, job->output.size, error);
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
    if (job->settings->decode || special->add_eos || special->eos < 0) return;
    loam_log_write(&job->callbacks->log, LOAM_LOG_INFO,
                   "training adds %s (%d) after a text without a template", special->eos_text,
                   (int)special->eos);
}

enum loam_status loam_run_tokenize(const struct loam_settings *settings,
                                   const struct loam_callbacks *callbacks, struct loam_error *error)
{
    struct tokenize_job job = {
        .settings = &settings->tokenize, .json = settings->json, .callbacks = callbacks};
    char *path = loam_path_join(settings->train.model, "tokenizer.json", error);
    if (path == NULL) return error->status;
    enum loam_status status = loam_tokenizer_load(&job.tokenizer, path, error);
    free(path);
    if (status == LOAM_OK)
        status = loam_special_tokens_load(&job.special, settings->train.model, job.tokenizer, error);
    if (status == LOAM_OK) report_training_eos(&job);
    if (status == LOAM_OK) status = read_input(&job, error);
    if (status == LOAM_OK) status = convert_input(&job, error);
    loam_bytes_deinit(&job.output);
    loam_bytes_deinit(&job.input);
    loam_encoding_deinit(&job.encoding);
    loam_special_tokens_deinit(&job.special);
    loam_tokenizer_destroy(job.tokenizer);
    return status;
}
