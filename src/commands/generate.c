// loam generate: encodes the prompt, runs the generator and writes the text.
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/utf8.h"
#include "commands/answer.h"
#include "commands/commands.h"
#include "commands/input.h"
#include "commands/messages.h"
#include "commands/output.h"
#include "session/fit.h"
#include "session/prompt.h"

struct generate_job {
    const struct loam_settings *settings;
    const struct loam_callbacks *callbacks;
    struct loam_session session;
    struct loam_adapter_list adapters;
    struct loam_generator *generator;
    struct loam_messages messages; // of --messages
    struct loam_session_prompt prompt;
    struct loam_stops stops;
    struct loam_answer answer;
};

// ---- The prompt ----

static enum loam_status check_text(const char *source, const char *name, const char *text, size_t size,
                                   struct loam_error *error)
{
    size_t valid = loam_utf8_check(text, size);
    if (valid == size) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s%s: invalid UTF-8 at byte %zu", source, name, valid + 1);
}

static bool has_field(const struct loam_settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->fields.count; i++)
        if (strcmp(settings->fields.items[i].name, name) == 0) return true;
    return false;
}

static bool asks_for(const struct loam_template *prompt_template, const char *name)
{
    for (size_t i = 0; i < loam_template_prompt_field_count(prompt_template); i++)
        if (strcmp(loam_template_field_name(prompt_template, i), name) == 0) return true;
    return false;
}

// Checks that --field gives the fields of the template's prompt. Warns about others.
static enum loam_status check_fields(const struct generate_job *job, struct loam_error *error)
{
    const struct loam_settings *settings = job->settings;
    const struct loam_template *prompt_template = job->session.prompt_template;
    for (size_t i = 0; i < loam_template_prompt_field_count(prompt_template); i++) {
        const char *name = loam_template_field_name(prompt_template, i);
        if (!has_field(settings, name))
            return loam_fail(error, LOAM_ERROR_ARGUMENT, "--template %s asks for --field %s=VALUE",
                             settings->train.prompt_template, name);
    }
    for (size_t i = 0; i < settings->fields.count; i++) {
        const struct loam_field *field = &settings->fields.items[i];
        LOAM_TRY(check_text("--field ", field->name, field->value, field->size, error));
        if (!asks_for(prompt_template, field->name))
            loam_log_write(&job->callbacks->log, LOAM_LOG_WARNING,
                           "--field %s has no effect: the prompt of --template %s has no such field",
                           field->name, settings->train.prompt_template);
    }
    return LOAM_OK;
}

// Reads the prompt from a file, without the line break at its end, which editors add. Templates are read
// alike.
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

static enum loam_status render_prompt(struct generate_job *job, struct loam_error *error)
{
    const struct loam_generate_settings *generate = &job->settings->generate;
    struct loam_bytes *text = &job->prompt.rendered.text;
    if (generate->prompt != NULL) {
        LOAM_TRY(check_text("--prompt", "", generate->prompt, strlen(generate->prompt), error));
        return loam_bytes_append_text(text, generate->prompt, error);
    }
    if (generate->prompt_file != NULL) return read_prompt_file(generate->prompt_file, text, error);
    LOAM_TRY(check_fields(job, error));
    return loam_template_render(job->session.prompt_template, job->settings->fields.items,
                                job->settings->fields.count, &job->session.special, true,
                                &job->prompt.rendered, error);
}

static enum loam_status parse_messages(struct generate_job *job, const struct loam_bytes *text,
                                       struct loam_error *error)
{
    const char *path = job->settings->generate.messages;
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
    struct loam_messages *messages = &job->messages;
    LOAM_TRY(loam_messages_parse(messages, text->data, text->size, name, &job->callbacks->log, error));
    if (strcmp(loam_messages_role(messages, loam_messages_size(messages) - 1), "assistant") != 0)
        return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT,
                     "%s: the last message is the assistant's, so that nothing is left to answer: leave it "
                     "out",
                     name);
}

// Reads the messages and the tools.
static enum loam_status read_messages(struct generate_job *job, struct loam_error *error)
{
    const struct loam_generate_settings *generate = &job->settings->generate;
    struct loam_bytes text = {0};
    enum loam_status status = loam_input_read(job->callbacks, "generate", generate->messages, &text, error);
    if (status == LOAM_OK) status = parse_messages(job, &text, error);
    loam_bytes_clear(&text);
    if (status == LOAM_OK && generate->tools != NULL)
        status = loam_file_read(generate->tools, LOAM_TEXT_LIMIT, &text, error);
    if (status == LOAM_OK && generate->tools != NULL)
        status = loam_messages_parse_tools(&job->messages, text.data, text.size, generate->tools, error);
    loam_bytes_deinit(&text);
    return status;
}

static enum loam_status encode_prompt(struct generate_job *job, struct loam_error *error)
{
    if (job->settings->generate.messages == NULL) {
        LOAM_TRY(render_prompt(job, error));
        return loam_session_prompt_encode(&job->session, &job->prompt, INT32_MAX, error);
    }
    const struct loam_conversation conversation = {.messages = job->messages.items,
                                                   .tools = job->messages.tools};
    return loam_session_chat_encode(&job->session, &job->prompt, &conversation, INT32_MAX, error);
}

static enum loam_status make_prompt(struct generate_job *job, struct loam_error *error)
{
    const int64_t positions = loam_config_position_limit(&job->session.model->config);
    const int32_t *count = &job->prompt.example.count;
    LOAM_TRY(encode_prompt(job, error));
    if (*count == 0)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "the prompt is empty: no token to begin with");
    if (*count < positions) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT,
                     "the prompt has %d tokens; the model was made for fewer than %lld", *count,
                     (long long)positions);
}

// ---- Generation ----

// Most new tokens: --max-new-tokens, or the rest of the context. The last token needs no place in it.
static int32_t most_new_tokens(const struct generate_job *job)
{
    int32_t room = loam_generator_context(job->generator) - job->prompt.example.count + 1;
    int32_t wanted = job->settings->generate.max_new_tokens;
    return wanted < room ? wanted : room;
}

static enum loam_status prepare(struct generate_job *job, struct loam_error *error)
{
    const struct loam_model *model = job->session.model;
    const int32_t prompt = job->prompt.example.count, wanted = job->settings->generate.max_new_tokens;
    const int64_t positions = loam_config_position_limit(&model->config);
    int64_t context = (int64_t)prompt + wanted;
    if (context > positions) context = positions;
    const struct loam_generator_limits limits = {.tokens =
                                                     prompt < LOAM_PROMPT_CHUNK ? prompt : LOAM_PROMPT_CHUNK,
                                                 .sequences = 1,
                                                 .context = (int32_t)context,
                                                 .adapters = loam_adapter_list_segments(&job->adapters)};
    LOAM_TRY(loam_generate_check_memory(job->session.device, &model->config, job->session.dtype, context,
                                        "max-new-tokens", wanted, error));
    return loam_generator_create(&job->generator, model, job->session.device, &limits, error);
}

// For loam_session_fit.
static enum loam_status rehearse(void *user, const struct loam_session *planned, struct loam_error *error)
{
    const struct generate_job *job = user;
    struct generate_job rehearsed = {.settings = job->settings, .session = *planned, .prompt = job->prompt};
    enum loam_status status =
        loam_session_adapters(planned, &job->settings->chosen, &rehearsed.adapters, error);
    if (status == LOAM_OK) status = prepare(&rehearsed, error);
    loam_generator_destroy(rehearsed.generator);
    loam_adapter_list_deinit(&rehearsed.adapters);
    return status;
}

static enum loam_status generate(struct generate_job *job, struct loam_error *error)
{
    const struct loam_generate_settings *settings = &job->settings->generate;
    const struct loam_generation generation = {.max_new_tokens = settings->max_new_tokens,
                                               .vocabulary =
                                                   loam_tokenizer_vocabulary_size(job->session.tokenizer),
                                               .sampling = settings->sampling,
                                               .special = &job->session.special,
                                               .stop_ids = job->stops.ids,
                                               .stop_count = job->stops.id_count,
                                               .healing = &job->prompt.healing};
    const struct loam_answer_settings answer = {.callbacks = job->callbacks,
                                                .tokenizer = job->session.tokenizer,
                                                .stops = &job->stops,
                                                .healing = &job->prompt.healing,
                                                .most = most_new_tokens(job),
                                                .wanted = settings->max_new_tokens,
                                                .is_written = !job->settings->json};
    const struct loam_segments adapters = loam_adapter_list_segments(&job->adapters);
    const struct loam_example *prompt = &job->prompt.example;
    int32_t sequence;
    LOAM_TRY(loam_generator_begin(job->generator, prompt->ids, prompt->count, &generation, &adapters,
                                  &sequence, error));
    return loam_answer_generate(&job->answer, &answer, job->generator, error);
}

static void report_full_context(const struct generate_job *job)
{
    if (job->answer.finish != LOAM_FINISH_CONTEXT) return;
    loam_log_write(
        &job->callbacks->log, LOAM_LOG_WARNING,
        "the context is full after %d of the %d tokens of --max-new-tokens: the model was made for "
        "%lld positions, of which the prompt takes %d",
        job->answer.count, job->settings->generate.max_new_tokens,
        (long long)loam_config_position_limit(&job->session.model->config), job->prompt.example.count);
}

static enum loam_status report_json(const struct generate_job *job, struct loam_error *error)
{
    json_t *root = json_object();
    loam_answer_put(&job->answer, job->prompt.example.count, &root);
    return loam_output_json(job->callbacks, root, JSON_INDENT(2), error);
}

static struct loam_session_options session_options(const struct generate_job *job)
{
    const struct loam_train_settings *shared = &job->settings->train;
    return (struct loam_session_options){.model = shared->model,
                                         .device = shared->device,
                                         .threads = shared->threads,
                                         .dtype = shared->dtype,
                                         .prompt_template = shared->prompt_template,
                                         .chat_template = shared->chat_template,
                                         .adapters = job->settings->chosen,
                                         .has_tools = job->messages.tools != NULL,
                                         .content_may_be_special = shared->content_may_be_special,
                                         .batch_size = 1,
                                         .callbacks = job->callbacks,
                                         .offload = shared->offload,
                                         .device_memory_limit = shared->device_memory_limit};
}

// Reads small files and encodes the prompt first, so that errors come before gigabytes of weights are read.
static enum loam_status run(struct generate_job *job, struct loam_error *error)
{
    const bool has_messages = job->settings->generate.messages != NULL;
    if (has_messages) LOAM_TRY(read_messages(job, error));
    const struct loam_session_options options = session_options(job);
    LOAM_TRY(loam_session_open(&job->session, &options, error));
    LOAM_TRY(make_prompt(job, error));
    LOAM_TRY(loam_stops_make(&job->stops, &job->settings->generate.stop, &job->session, has_messages, error));
    LOAM_TRY(loam_session_fit(&job->session, &options, rehearse, job, error));
    LOAM_TRY(loam_session_load(&job->session, false, error));
    LOAM_TRY(loam_session_adapters(&job->session, &job->settings->chosen, &job->adapters, error));
    LOAM_TRY(prepare(job, error));
    LOAM_TRY(generate(job, error));
    LOAM_TRY(job->settings->json ? report_json(job, error)
                                 : loam_output_bytes(job->callbacks, "\n", 1, error));
    report_full_context(job);
    return LOAM_OK;
}

enum loam_status loam_run_generate(const struct loam_settings *settings,
                                   const struct loam_callbacks *callbacks, struct loam_error *error)
{
    struct generate_job job = {.settings = settings, .callbacks = callbacks};
    enum loam_status status = run(&job, error);
    loam_answer_deinit(&job.answer);
    loam_stops_deinit(&job.stops);
    loam_session_prompt_deinit(&job.prompt);
    loam_messages_deinit(&job.messages);
    loam_generator_destroy(job.generator);
    loam_adapter_list_deinit(&job.adapters);
    loam_session_close(&job.session);
    return status;
}
