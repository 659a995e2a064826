#include "data/preflight_facts.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static const char white_space[] = " \t\r\n";

// {"messages": ...} of one question and one answer.
static json_t *make_conversation(void)
{
    return json_pack("[{s:s, s:s}, {s:s, s:s}]", "role", "user", "content", "question", "role", "assistant",
                     "content", "answer");
}

// Where the content of the last message ends in the text; SIZE_MAX: the text does not have it.
static size_t find_answer_end(const struct loam_chat_rendering *rendering)
{
    for (size_t i = rendering->span_count; i > 0; i--) {
        const struct loam_chat_span *span = &rendering->spans[i - 1];
        if (span->message == 1 && span->field != NULL && strcmp(span->field, "content") == 0)
            return span->end;
    }
    return SIZE_MAX;
}

// Whether the token has a text that decoding without special tokens leaves out.
static bool is_special(const struct loam_tokenizer *tokenizer, int32_t id)
{
    struct loam_bytes text = {0};
    struct loam_error ignored;
    bool special =
        loam_tokenizer_decode(tokenizer, &id, 1, true, &text, &ignored) == LOAM_OK && text.size == 0;
    loam_bytes_deinit(&text);
    return special;
}

static void describe_end(struct loam_chat_habit *habit, const struct loam_tokenizer *tokenizer,
                         const struct loam_encoding *encoding, const char *text)
{
    size_t end = strcspn(text, white_space);
    bool whole = encoding->count > 0 && is_special(tokenizer, encoding->ids[0]);
    if (whole && encoding->ends[0] < end) end = encoding->ends[0]; // another token follows
    while (habit->end_tokens < encoding->count && encoding->starts[habit->end_tokens] < end)
        habit->end_tokens++;
    if (habit->end_tokens == 1) habit->end_id = encoding->ids[0];
    snprintf(habit->end, sizeof habit->end, "%.*s", (int)loam_utf8_fit(text, end, sizeof habit->end - 1),
             text);
}

// Encodes the text after the answer, which begins with its end.
static enum loam_status find_end(struct loam_chat_habit *habit, const struct loam_tokenizer *tokenizer,
                                 const char *text, size_t size, struct loam_error *error)
{
    struct loam_encoding encoding = {0};
    enum loam_status status = loam_tokenizer_encode(tokenizer, text, size, false, &encoding, error);
    if (status == LOAM_OK) describe_end(habit, tokenizer, &encoding, text);
    loam_encoding_deinit(&encoding);
    return status;
}

static enum loam_status examine(struct loam_chat_habit *habit, const struct loam_chat_source *source,
                                const struct loam_preflight_input *input,
                                const struct loam_chat_rendering *rendering, struct loam_error *error)
{
    const char *bos = json_string_value(json_object_get(source->variables, "bos_token"));
    const char *text = rendering->text.data != NULL ? rendering->text.data : "";
    size_t end = find_answer_end(rendering);
    habit->known = true;
    habit->begins_with_bos =
        bos != NULL && bos[0] != '\0' && strncmp(text, bos, strlen(bos)) == 0 && input->special->bos >= 0;
    if (end == SIZE_MAX) return LOAM_OK;
    end += strspn(text + end, white_space);
    if (text[end] == '\0') return LOAM_OK;
    return find_end(habit, input->tokenizer, text + end, rendering->text.size - end, error);
}

// Renders a conversation. Only a lack of memory is a failure.
static enum loam_status find_habit(struct loam_chat_habit *habit, const struct loam_chat_source *source,
                                   const struct loam_preflight_input *input, struct loam_error *error)
{
    *habit = (struct loam_chat_habit){.end_id = -1};
    if (source == NULL || source->chat_template == NULL) return LOAM_OK;
    struct loam_chat_rendering rendering = {0};
    json_t *messages = make_conversation();
    if (messages == NULL) return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: a conversation");
    const struct loam_chat_input conversation = {
        .messages = messages,
        .variables = source->variables,
        .now = {.tm_year = 126, .tm_mday = 1}, // any date will do
    };
    enum loam_status status =
        loam_chat_template_render(source->chat_template, &conversation, &rendering, error);
    if (status == LOAM_OK)
        status = examine(habit, source, input, &rendering, error);
    else if (status != LOAM_ERROR_MEMORY)
        status = LOAM_OK;
    loam_chat_rendering_deinit(&rendering);
    json_decref(messages);
    return status;
}

enum loam_status loam_preflight_facts_find(struct loam_preflight_facts *facts,
                                           const struct loam_preflight_input *input, struct loam_error *error)
{
    *facts = (struct loam_preflight_facts){.input = input};
    if (input->model_directory != NULL &&
        loam_chat_source_find(&facts->own, input->model_directory, NULL, false, error) == LOAM_ERROR_MEMORY)
        return LOAM_ERROR_MEMORY;
    LOAM_TRY(find_habit(&facts->own_habit, &facts->own, input, error));
    return find_habit(&facts->habit, input->chat, input, error);
}

void loam_preflight_facts_deinit(struct loam_preflight_facts *facts)
{
    loam_chat_source_deinit(&facts->own);
    *facts = (struct loam_preflight_facts){0};
}

bool loam_preflight_is_chat_model(const struct loam_preflight_facts *facts)
{
    const struct loam_chat_habit *habit = &facts->own_habit;
    return habit->known && habit->end_id >= 0 &&
           loam_special_tokens_is_stop(facts->input->special, habit->end_id);
}
