// loam generate: the prompt, the decoder, and the text as it comes.
#include <stdlib.h>
#include <string.h>

#include "api/output.h"
#include "api/run.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/log.h"
#include "text/utf8.h"
#include "train/session.h"

struct generate_job {
    const struct loam_settings *settings;
    const struct loam_callbacks *callbacks;
    struct loam_session session;
    struct loam_adapter *adapter; // NULL: none
    struct loam_decoder *decoder;
    struct loam_decode_stream *stream;
    int32_t *prompt; // ids
    int32_t prompt_count;
    int32_t *output; // ids [max_new_tokens]
    int32_t output_count;
    int32_t taken;             // tokens so far
    struct loam_bytes text;    // of the output: all of it for JSON, else what has come since the last token
    struct loam_error failure; // of a token's text
    double seconds;
};

// ---- The prompt ----

static enum loam_status check_text(const char *source, const char *name, const char *text, size_t size,
                                   struct loam_error *error)
{
    size_t valid = loam_utf8_check(text, size);
    if (valid == size) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s%s: invalid UTF-8 at byte %zu", source, name, valid + 1);
}

static enum loam_status check_fields(const struct loam_settings *settings, struct loam_error *error)
{
    for (size_t i = 0; i < settings->field_count; i++) {
        const struct loam_field *field = &settings->fields[i];
        LOAM_TRY(check_text("--field ", field->name, field->value, field->size, error));
    }
    return LOAM_OK;
}

static enum loam_status render_template(const struct generate_job *job, struct loam_bytes *text,
                                        struct loam_error *error)
{
    const struct loam_special_tokens *special = &job->session.special;
    const char *eos =
        special->eos < 0 ? NULL : loam_tokenizer_id_to_token(job->session.tokenizer, special->eos);
    LOAM_TRY(check_fields(job->settings, error));
    struct loam_rendered rendered = {0};
    enum loam_status status =
        loam_template_render(job->session.prompt_template, job->settings->fields, job->settings->field_count,
                             eos == NULL ? "" : eos, true, &rendered, error);
    if (status == LOAM_OK) status = loam_bytes_append(text, rendered.text.data, rendered.text.size, error);
    loam_rendered_deinit(&rendered);
    return status;
}

// The last line break of a file, which editors put there, does not count; so it is with templates.
static enum loam_status read_prompt_file(const char *path, struct loam_bytes *text, struct loam_error *error)
{
    struct loam_bytes file = {0};
    enum loam_status status = loam_file_read(path, LOAM_TEXT_LIMIT, &file, error);
    size_t mark = status == LOAM_OK ? loam_byte_order_mark(file.data, file.size) : 0;
    if (status == LOAM_OK) status = check_text("", path, file.data, file.size, error);
    if (status == LOAM_OK) status = loam_bytes_append(text, file.data + mark, file.size - mark, error);
    loam_bytes_deinit(&file);
    if (status != LOAM_OK) return status;
    if (text->size == 0 || text->data[text->size - 1] != '\n') return LOAM_OK;
    text->size--;
    if (text->size > 0 && text->data[text->size - 1] == '\r') text->size--;
    return LOAM_OK;
}

static enum loam_status prompt_text(const struct generate_job *job, struct loam_bytes *text,
                                    struct loam_error *error)
{
    const struct loam_generate_settings *generate = &job->settings->generate;
    if (generate->prompt != NULL) {
        LOAM_TRY(check_text("--prompt", "", generate->prompt, strlen(generate->prompt), error));
        return loam_bytes_append_text(text, generate->prompt, error);
    }
    if (generate->prompt_file != NULL) return read_prompt_file(generate->prompt_file, text, error);
    return render_template(job, text, error);
}

// Positions that the model can tell apart. ALiBi has no table of them to run out of.
static int64_t most_positions(const struct loam_config *config)
{
    bool endless = config->family->position == LOAM_ALIBI || config->max_positions <= 0;
    return endless ? INT32_MAX : config->max_positions;
}

static enum loam_status check_prompt(const struct generate_job *job, struct loam_error *error)
{
    const struct loam_config *config = &job->session.model->config;
    if (job->prompt_count == 0)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "the prompt is empty: no token to begin with");
    if (job->prompt_count >= most_positions(config))
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "the prompt has %d tokens; the model was made for fewer than %lld",
                         job->prompt_count, (long long)most_positions(config));
    for (int32_t i = 0; i < job->prompt_count; i++)
        if (job->prompt[i] >= config->vocabulary)
            return loam_fail(error, LOAM_ERROR_FORMAT,
                             "token %d of the prompt is id %d, but the model's vocabulary has %lld", i,
                             job->prompt[i], (long long)config->vocabulary);
    return LOAM_OK;
}

// The ids of the prompt, with BOS in front where the tokenizer's configuration asks for it. Never EOS: the
// text goes on.
static enum loam_status encode_prompt(struct generate_job *job, const struct loam_bytes *text,
                                      struct loam_error *error)
{
    const struct loam_special_tokens *special = &job->session.special;
    struct loam_encoding encoding = {0};
    enum loam_status status =
        loam_tokenizer_encode(job->session.tokenizer, text->data, text->size, false, &encoding, error);
    bool add_bos =
        special->add_bos && special->bos >= 0 && (encoding.count == 0 || encoding.ids[0] != special->bos);
    if (status == LOAM_OK) {
        job->prompt = loam_calloc(encoding.count + add_bos, sizeof *job->prompt, error);
        if (job->prompt == NULL) status = LOAM_ERROR_MEMORY;
    }
    if (status == LOAM_OK) {
        if (add_bos) job->prompt[0] = special->bos;
        if (encoding.count > 0)
            memcpy(job->prompt + add_bos, encoding.ids, encoding.count * sizeof *job->prompt);
        job->prompt_count = (int32_t)(encoding.count + add_bos);
    }
    loam_encoding_deinit(&encoding);
    return status == LOAM_OK ? check_prompt(job, error) : status;
}

static enum loam_status make_prompt(struct generate_job *job, struct loam_error *error)
{
    struct loam_bytes text = {0};
    enum loam_status status = loam_bytes_reserve(&text, 1, error); // never NULL
    if (status == LOAM_OK) status = prompt_text(job, &text, error);
    if (status == LOAM_OK) status = encode_prompt(job, &text, error);
    loam_bytes_deinit(&text);
    return status;
}

// ---- The text as it comes ----

static enum loam_status flush_text(struct generate_job *job, struct loam_error *error)
{
    if (job->settings->json) return LOAM_OK; // kept for the end
    LOAM_TRY(loam_output_bytes(job->callbacks, job->text.data, job->text.size, error));
    loam_bytes_clear(&job->text);
    return LOAM_OK;
}

static bool take_token(void *user, int32_t id)
{
    struct generate_job *job = user;
    return loam_decode_stream_push(job->stream, id, &job->text, &job->failure) == LOAM_OK &&
           flush_text(job, &job->failure) == LOAM_OK &&
           loam_event_progress(job->callbacks, LOAM_ACTIVITY_GENERATE, ++job->taken,
                               job->settings->generate.max_new_tokens, &job->failure) == LOAM_OK;
}

static bool take_piece(void *user)
{
    struct generate_job *job = user;
    return loam_event_progress(job->callbacks, LOAM_ACTIVITY_GENERATE, 0,
                               job->settings->generate.max_new_tokens, &job->failure) == LOAM_OK;
}

static enum loam_status generate(struct generate_job *job, struct loam_error *error)
{
    const struct loam_generate_settings *settings = &job->settings->generate;
    struct loam_generation generation = {.max_new_tokens = settings->max_new_tokens,
                                         .vocabulary = loam_tokenizer_vocabulary_size(job->session.tokenizer),
                                         .sampling = settings->sampling,
                                         .special = &job->session.special,
                                         .token = take_token,
                                         .piece = take_piece,
                                         .user = job};
    double start = loam_clock_seconds();
    LOAM_TRY(loam_generate_ids(job->decoder, job->prompt, job->prompt_count, &generation, job->output,
                               &job->output_count, error));
    job->seconds = loam_clock_seconds() - start;
    if (job->failure.status != LOAM_OK) {
        *error = job->failure;
        return error->status;
    }
    LOAM_TRY(loam_decode_stream_finish(job->stream, &job->text, error));
    return flush_text(job, error);
}

static enum loam_status prepare(struct generate_job *job, struct loam_error *error)
{
    const struct loam_model *model = job->session.model;
    int64_t context = (int64_t)job->prompt_count + job->settings->generate.max_new_tokens;
    if (context > most_positions(&model->config)) context = most_positions(&model->config);
    struct loam_decoder_limits limits = {.tokens = job->prompt_count < LOAM_PROMPT_CHUNK ? job->prompt_count
                                                                                         : LOAM_PROMPT_CHUNK,
                                         .sequences = 1,
                                         .context = (int32_t)context,
                                         .generate = true};
    LOAM_TRY(loam_decoder_create(&job->decoder, model, job->session.device, &limits, error));
    LOAM_TRY(loam_decode_stream_create(&job->stream, job->session.tokenizer, true, error));
    job->output = loam_calloc((size_t)job->settings->generate.max_new_tokens, sizeof *job->output, error);
    return job->output == NULL ? error->status : LOAM_OK;
}

static enum loam_status report_json(const struct generate_job *job, struct loam_error *error)
{
    json_t *ids = json_array();
    for (int32_t i = 0; i < job->output_count; i++)
        loam_json_push(&ids, json_integer(job->output[i]));
    json_t *root =
        json_pack("{s:s%, s:o, s:i, s:i, s:o, s:o}", "text", job->text.data == NULL ? "" : job->text.data,
                  job->text.size, "ids", ids, "prompt_tokens", job->prompt_count, "new_tokens",
                  job->output_count, "seconds", loam_json_number(job->seconds), "tokens_per_second",
                  loam_json_number((double)job->output_count / job->seconds));
    return loam_output_json(job->callbacks, root, JSON_INDENT(2), error);
}

static enum loam_status open_adapter(struct generate_job *job, struct loam_error *error)
{
    const char *directory = job->settings->train.adapter;
    if (directory == NULL) return LOAM_OK;
    LOAM_TRY(loam_adapter_open(&job->adapter, job->session.model, directory, NULL, error));
    const char *notice = loam_adapter_notice(job->adapter);
    if (notice != NULL) loam_log_write(&job->callbacks->log, LOAM_LOG_WARNING, "%s", notice);
    return LOAM_OK;
}

// Small files and the prompt first, so that what is wrong with them is told before gigabytes are read.
static enum loam_status run(struct generate_job *job, struct loam_error *error)
{
    const struct loam_train_settings *shared = &job->settings->train;
    struct loam_session_options options = {.model = shared->model,
                                           .device = shared->device,
                                           .threads = shared->threads,
                                           .dtype = shared->dtype,
                                           .prompt_template = shared->prompt_template,
                                           .batch_size = 1,
                                           .callbacks = job->callbacks};
    LOAM_TRY(loam_session_open(&job->session, &options, error));
    LOAM_TRY(make_prompt(job, error));
    LOAM_TRY(loam_session_load(&job->session, false, error));
    LOAM_TRY(open_adapter(job, error));
    LOAM_TRY(prepare(job, error));
    LOAM_TRY(generate(job, error));
    return job->settings->json ? report_json(job, error) : loam_output_bytes(job->callbacks, "\n", 1, error);
}

enum loam_status loam_run_generate(const struct loam_settings *settings,
                                   const struct loam_callbacks *callbacks, struct loam_error *error)
{
    struct generate_job job = {.settings = settings, .callbacks = callbacks};
    enum loam_status status = run(&job, error);
    free(job.output);
    free(job.prompt);
    loam_bytes_deinit(&job.text);
    loam_decode_stream_destroy(job.stream);
    loam_decoder_destroy(job.decoder);
    loam_adapter_destroy(job.adapter);
    loam_session_close(&job.session);
    return status;
}
