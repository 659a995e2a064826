#include "commands/dialogue.h"

#include <string.h>

#include "base/log.h"
#include "commands/answer.h"
#include "commands/output.h"
#include "session/fit.h"

enum { DEFAULT_CONTEXT = 4096 }; // tokens

// ---- opening ----

static int32_t choose_context(const struct loam_dialogue *dialogue)
{
    const int64_t limit = loam_config_position_limit(&dialogue->session.model->config);
    const int64_t wanted = dialogue->settings->train.max_length;
    if (wanted > 0) return (int32_t)wanted;
    return limit < DEFAULT_CONTEXT ? (int32_t)limit : DEFAULT_CONTEXT;
}

static enum loam_status create_generator(struct loam_dialogue *dialogue, struct loam_error *error)
{
    const struct loam_session *session = &dialogue->session;
    const int32_t context = choose_context(dialogue);
    const struct loam_generator_limits limits = {.sequences = 1,
                                                 .context = context,
                                                 .tokens = context < LOAM_PROMPT_CHUNK ? context
                                                                                       : LOAM_PROMPT_CHUNK,
                                                 .adapters = loam_adapter_list_segments(&dialogue->adapters)};
    LOAM_TRY(loam_generate_check_memory(session->device, &session->model->config, session->dtype, context,
                                        "max-length", context, error));
    return loam_generator_create(&dialogue->generator, session->model, session->device, &limits, error);
}

// For loam_session_fit.
static enum loam_status rehearse(void *user, const struct loam_session *planned, struct loam_error *error)
{
    const struct loam_dialogue *dialogue = user;
    struct loam_dialogue rehearsed = {.settings = dialogue->settings, .session = *planned};
    enum loam_status status =
        loam_session_adapters(planned, &dialogue->settings->chosen, &rehearsed.adapters, error);
    if (status == LOAM_OK) status = create_generator(&rehearsed, error);
    loam_generator_destroy(rehearsed.generator);
    loam_adapter_list_deinit(&rehearsed.adapters);
    return status;
}

// Reads small files first, so that errors come before gigabytes of weights are read.
static enum loam_status open_all(struct loam_dialogue *dialogue, struct loam_error *error)
{
    const struct loam_settings *settings = dialogue->settings;
    const struct loam_train_settings *shared = &settings->train;
    const struct loam_session_options options = {.model = shared->model,
                                                 .device = shared->device,
                                                 .threads = shared->threads,
                                                 .dtype = shared->dtype,
                                                 .max_length = shared->max_length,
                                                 .chat_template = shared->chat_template,
                                                 .adapters = settings->chosen,
                                                 .content_may_be_special = shared->content_may_be_special,
                                                 .batch_size = 1,
                                                 .callbacks = dialogue->callbacks,
                                                 .offload = shared->offload,
                                                 .device_memory_limit = shared->device_memory_limit};
    LOAM_TRY(loam_session_open(&dialogue->session, &options, error));
    LOAM_TRY(loam_stops_make(&dialogue->stops, &settings->generate.stop, &dialogue->session, true, error));
    if (settings->generate.system != NULL)
        LOAM_TRY(loam_messages_set_system(&dialogue->conversation, settings->generate.system, error));
    LOAM_TRY(loam_session_fit(&dialogue->session, &options, rehearse, dialogue, error));
    LOAM_TRY(loam_session_load(&dialogue->session, false, error));
    LOAM_TRY(loam_session_adapters(&dialogue->session, &settings->chosen, &dialogue->adapters, error));
    dialogue->active = loam_adapter_list_segments(&dialogue->adapters);
    return create_generator(dialogue, error);
}

enum loam_status loam_dialogue_open(struct loam_dialogue *dialogue, const struct loam_settings *settings,
                                    const struct loam_callbacks *callbacks, struct loam_error *error)
{
    *dialogue = (struct loam_dialogue){.settings = settings, .callbacks = callbacks, .sequence = -1};
    const enum loam_status status = open_all(dialogue, error);
    if (status != LOAM_OK) loam_dialogue_close(dialogue);
    return status;
}

void loam_dialogue_close(struct loam_dialogue *dialogue)
{
    loam_generator_destroy(dialogue->generator);
    loam_adapter_list_deinit(&dialogue->adapters);
    loam_session_prompt_deinit(&dialogue->prompt);
    loam_messages_deinit(&dialogue->conversation);
    loam_stops_deinit(&dialogue->stops);
    loam_session_close(&dialogue->session);
    *dialogue = (struct loam_dialogue){.sequence = -1};
}

void loam_dialogue_use(struct loam_dialogue *dialogue, size_t first, size_t count)
{
    const struct loam_segments all = loam_adapter_list_segments(&dialogue->adapters);
    dialogue->active = (struct loam_segments){count == 0 ? NULL : all.items + first, count};
    // The rows of the cache are those of the adapters that were on.
    if (dialogue->sequence >= 0) loam_generator_end(dialogue->generator, dialogue->sequence);
    dialogue->sequence = -1;
}

// ---- prompts ----

// The tokens that a prompt may have: the context, without room for --max-new-tokens, or half of the context if that is
// less.
static int32_t count_room(const struct loam_dialogue *dialogue)
{
    const int32_t context = loam_generator_context(dialogue->generator);
    const int32_t wanted = dialogue->settings->generate.max_new_tokens;
    return context - (wanted < context / 2 ? wanted : context / 2);
}

static enum loam_status encode_prompt(struct loam_dialogue *dialogue, struct loam_error *error)
{
    json_t *messages;
    LOAM_TRY(loam_messages_window(&dialogue->conversation, &messages, error));
    const struct loam_conversation conversation = {.messages = messages};
    const enum loam_status status =
        loam_session_chat_encode(&dialogue->session, &dialogue->prompt, &conversation, INT32_MAX, error);
    json_decref(messages);
    return status;
}

// Encodes the prompt, and leaves out the oldest turns while it is too long.
static enum loam_status make_prompt(struct loam_dialogue *dialogue, struct loam_error *error)
{
    struct loam_messages *conversation = &dialogue->conversation;
    const size_t dropped = conversation->dropped;
    const int32_t room = count_room(dialogue);
    LOAM_TRY(encode_prompt(dialogue, error));
    while (dialogue->prompt.example.count > room) {
        if (!loam_messages_drop_turn(conversation))
            return loam_fail(error, LOAM_ERROR_ARGUMENT,
                             "the message is too long: the prompt has %d tokens, and the context of %d has "
                             "room for %d beside the answer (--max-length, --max-new-tokens)",
                             dialogue->prompt.example.count, loam_generator_context(dialogue->generator),
                             room);
        LOAM_TRY(encode_prompt(dialogue, error));
    }
    if (conversation->dropped > dropped)
        loam_log_write(&dialogue->callbacks->log, LOAM_LOG_INFO,
                       "the context of %d tokens is full: the model no longer sees the oldest %zu messages",
                       loam_generator_context(dialogue->generator), conversation->dropped);
    return LOAM_OK;
}

// ---- answers ----

// Begins a sequence, or goes on with the rows that the cache has of the turns before.
static enum loam_status begin(struct loam_dialogue *dialogue, int32_t *kept, struct loam_error *error)
{
    const struct loam_generate_settings *settings = &dialogue->settings->generate;
    const struct loam_example *prompt = &dialogue->prompt.example;
    struct loam_generation generation = {.max_new_tokens = settings->max_new_tokens,
                                         .vocabulary =
                                             loam_tokenizer_vocabulary_size(dialogue->session.tokenizer),
                                         .sampling = settings->sampling,
                                         .special = &dialogue->session.special,
                                         .stop_ids = dialogue->stops.ids,
                                         .stop_count = dialogue->stops.id_count,
                                         .healing = &dialogue->prompt.healing};
    generation.sampling.seed += dialogue->answers++; // another answer at each try
    *kept = 0;
    if (dialogue->sequence < 0)
        return loam_generator_begin(dialogue->generator, prompt->ids, prompt->count, &generation,
                                    &dialogue->active, &dialogue->sequence, error);
    const enum loam_status status = loam_generator_continue(
        dialogue->generator, dialogue->sequence, prompt->ids, prompt->count, &generation, kept, error);
    if (status != LOAM_OK) dialogue->sequence = -1;
    return status;
}

// Writes what is left of an answer: a line break, or the answer as JSON.
static enum loam_status write_end(const struct loam_dialogue *dialogue, const struct loam_answer *answer,
                                  int32_t kept, struct loam_error *error)
{
    if (!dialogue->settings->json) return loam_output_bytes(dialogue->callbacks, "\n", 1, error);
    json_t *root = json_object();
    loam_answer_put(answer, dialogue->prompt.example.count, &root);
    loam_json_put(&root, "kept_tokens", json_integer(kept));
    return loam_output_json(dialogue->callbacks, root, JSON_COMPACT, error);
}

static void report_end(const struct loam_dialogue *dialogue, const struct loam_answer *answer)
{
    const struct loam_log *log = &dialogue->callbacks->log;
    if (answer->is_interrupted && answer->text.size == 0)
        loam_log_write(log, LOAM_LOG_INFO, "stopped before the answer began; the message is taken back");
    else if (answer->is_interrupted)
        loam_log_write(log, LOAM_LOG_INFO, "stopped; the conversation keeps the answer as far as it came");
    else if (answer->finish == LOAM_FINISH_LENGTH)
        loam_log_write(log, LOAM_LOG_INFO, "the answer has the %d tokens of --max-new-tokens",
                       dialogue->settings->generate.max_new_tokens);
    else if (answer->finish == LOAM_FINISH_CONTEXT)
        loam_log_write(log, LOAM_LOG_INFO, "the answer fills the context of %d tokens (--max-length)",
                       loam_generator_context(dialogue->generator));
}

static enum loam_status generate(struct loam_dialogue *dialogue, struct loam_answer *answer,
                                 struct loam_error *error)
{
    const int32_t wanted = dialogue->settings->generate.max_new_tokens;
    int32_t kept;
    LOAM_TRY(begin(dialogue, &kept, error));
    const int32_t room = loam_generator_context(dialogue->generator) - dialogue->prompt.example.count + 1;
    const struct loam_answer_settings settings = {.callbacks = dialogue->callbacks,
                                                  .tokenizer = dialogue->session.tokenizer,
                                                  .stops = &dialogue->stops,
                                                  .healing = &dialogue->prompt.healing,
                                                  .most = wanted < room ? wanted : room,
                                                  .wanted = wanted,
                                                  .is_written = !dialogue->settings->json};
    const enum loam_status status = loam_answer_generate(answer, &settings, dialogue->generator, error);
    if (status != LOAM_OK && !answer->is_interrupted) return status;
    LOAM_TRY(write_end(dialogue, answer, kept, error));
    report_end(dialogue, answer);
    return LOAM_OK;
}

// Answers the last message. `*is_answered`: the conversation has the answer.
static enum loam_status answer_last(struct loam_dialogue *dialogue, bool *is_answered,
                                    struct loam_error *error)
{
    struct loam_answer answer = {0};
    *is_answered = false;
    LOAM_TRY(make_prompt(dialogue, error));
    enum loam_status status = generate(dialogue, &answer, error);
    if (status == LOAM_OK && (answer.text.size > 0 || !answer.is_interrupted)) {
        status = loam_messages_add(&dialogue->conversation, "assistant", answer.text.data, answer.text.size,
                                   error);
        *is_answered = status == LOAM_OK;
    }
    loam_answer_deinit(&answer);
    return status;
}

// Removes messages from `kept` on, adds the user's `text` unless it is NULL, and answers. Where there is no answer,
// restores the conversation.
static enum loam_status take_turn(struct loam_dialogue *dialogue, size_t kept, const char *text, size_t size,
                                  struct loam_error *error)
{
    struct loam_messages *conversation = &dialogue->conversation;
    json_t *before = json_copy(conversation->items);
    if (before == NULL && conversation->items != NULL)
        return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: a conversation");
    const size_t dropped = conversation->dropped;
    bool is_answered = false;
    loam_messages_shorten(conversation, kept);
    enum loam_status status =
        text == NULL ? LOAM_OK : loam_messages_add(conversation, "user", text, size, error);
    if (status == LOAM_OK) status = answer_last(dialogue, &is_answered, error);
    if (is_answered) {
        json_decref(before);
        return status;
    }
    json_decref(conversation->items);
    conversation->items = before;
    conversation->dropped = dropped;
    return status;
}

enum loam_status loam_dialogue_say(struct loam_dialogue *dialogue, const char *text, size_t size,
                                   struct loam_error *error)
{
    return take_turn(dialogue, loam_messages_size(&dialogue->conversation), text, size, error);
}

enum loam_status loam_dialogue_retry(struct loam_dialogue *dialogue, struct loam_error *error)
{
    const size_t count = loam_messages_size(&dialogue->conversation);
    if (count == 0 || strcmp(loam_messages_role(&dialogue->conversation, count - 1), "assistant") != 0)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "there is no answer to try again");
    if (dialogue->settings->generate.sampling.temperature <= 0)
        loam_log_write(&dialogue->callbacks->log, LOAM_LOG_INFO,
                       "without --temperature the answer is always the same");
    return take_turn(dialogue, count - 1, NULL, 0, error);
}
