#include "data/chat_encode.h"

#include <string.h>

#include "base/grow.h"
#include "base/json.h"
#include "base/utf8.h"
#include "text/unicode.h"

// ---- The template ----

static enum loam_status render(struct loam_chat_work *work, const struct loam_chat_options *options,
                               const json_t *messages, const json_t *tools, bool is_prompt,
                               struct loam_error *error)
{
    const struct loam_chat_input input = {
        .messages = messages,
        .tools = tools,
        .variables = options->source->variables,
        .add_generation_prompt = is_prompt,
        .now = options->now,
    };
    return loam_chat_template_render(options->source->chat_template, &input, &work->rendering, error);
}

// Removes the EOS that some templates write after a conversation, and not after a prompt.
static void drop_eos(const struct loam_chat_options *options, struct loam_bytes *text)
{
    const json_t *token = json_object_get(options->source->variables, "eos_token");
    const size_t size = json_string_length(token);
    if (size > 0 && text->size >= size &&
        memcmp(text->data + text->size - size, json_string_value(token), size) == 0)
        text->size -= size;
}

// Sets the header: what a prompt has behind the same messages without one.
static enum loam_status compare_prompt(struct loam_chat_work *work, const struct loam_chat_options *options,
                                       const json_t *messages, const json_t *tools, struct loam_error *error)
{
    struct loam_error refusal = {.status = LOAM_OK}; // a template may refuse such a conversation
    struct loam_bytes without = {0};
    const struct loam_bytes *text = &work->rendering.text;
    loam_bytes_clear(&work->header);
    enum loam_status status = render(work, options, messages, tools, false, &refusal);
    if (status == LOAM_OK) status = loam_bytes_append(&without, text->data, text->size, &refusal);
    if (status == LOAM_OK) status = render(work, options, messages, tools, true, &refusal);
    drop_eos(options, &without);
    const bool continues = status == LOAM_OK && text->size > without.size &&
                           (without.size == 0 || memcmp(text->data, without.data, without.size) == 0);
    if (continues)
        status =
            loam_bytes_append(&work->header, text->data + without.size, text->size - without.size, &refusal);
    loam_bytes_deinit(&without);
    return status == LOAM_ERROR_MEMORY ? loam_fail(error, status, "%s", refusal.message) : LOAM_OK;
}

static enum loam_status find_header(struct loam_chat_work *work, const struct loam_chat_options *options,
                                    struct loam_error *error)
{
    const bool for_tools = options->source->is_for_tools;
    json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", "Hi");
    json_t *tools = for_tools ? json_array() : NULL;
    enum loam_status status = messages != NULL && (tools != NULL || !for_tools)
                                  ? compare_prompt(work, options, messages, tools, error)
                                  : loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: a conversation");
    json_decref(tools);
    json_decref(messages);
    return status;
}

static bool is_blank(const char *text, size_t size)
{
    size_t length;
    for (size_t at = 0; at < size; at += length)
        if (!loam_char_is_whitespace(loam_utf8_decode(text + at, &length))) return false;
    return true;
}

// Lists the added tokens that have a meaning for the template without being marked as special.
static enum loam_status find_reserved(struct loam_chat_work *work, const struct loam_chat_options *options,
                                      struct loam_error *error)
{
    struct loam_added_text token;
    work->reserved_count = 0;
    for (size_t i = 0; loam_tokenizer_added(options->tokenizer, i, &token); i++) {
        if (token.special || is_blank(token.text, token.size) ||
            !loam_chat_template_writes(options->source->chat_template, token.text, token.size))
            continue;
        int32_t *grown = loam_grow(work->reserved, &work->reserved_capacity, work->reserved_count + 1,
                                   sizeof *grown, error);
        if (grown == NULL) return loam_failure(error);
        work->reserved = grown;
        work->reserved[work->reserved_count++] = token.id;
    }
    return LOAM_OK;
}

enum loam_status loam_chat_prepare(struct loam_chat_work *work, const struct loam_chat_options *options,
                                   struct loam_error *error)
{
    if (work->source == options->source) return LOAM_OK;
    work->source = NULL;
    LOAM_TRY(find_header(work, options, error));
    const struct loam_text_input header = {.text = work->header.data, .size = work->header.size};
    LOAM_TRY(loam_prompt_encode(&work->prompt, options->tokenizer, &header, error));
    work->header_is_whole = header.size > 0 && work->prompt.cut == header.size;
    LOAM_TRY(find_reserved(work, options, error));
    const char *end = options->source->end;
    work->end = end != NULL ? loam_tokenizer_token_to_id(options->tokenizer, end) : -1;
    work->source = options->source;
    return LOAM_OK;
}

bool loam_chat_is_stop(const struct loam_chat_work *work, const struct loam_chat_options *options, int32_t id)
{
    return id == work->end || loam_special_tokens_is_stop(options->special, id);
}

bool loam_chat_ends_turn(const struct loam_chat_work *work, const struct loam_chat_options *options,
                         int32_t id)
{
    const struct loam_bytes *header = &work->header;
    if (loam_chat_is_stop(work, options, id)) return true;
    const char *text = loam_tokenizer_id_to_token(options->tokenizer, id);
    if (text == NULL || !loam_tokenizer_is_special(options->tokenizer, id)) return false;
    return header->size == 0 || memmem(header->data, header->size, text, strlen(text)) == NULL;
}

// ---- What is plain text ----

// Whether a role is a word, which may be part of a token that the template builds, such as <|user|>.
static bool is_word(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const char c = text[i];
        const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_letter && c != '_' && c != '-') return false;
    }
    return true;
}

static enum loam_status add_plain(struct loam_chat_work *work, struct loam_plain_range range,
                                  struct loam_error *error)
{
    struct loam_plain_range *last = work->plain_count > 0 ? &work->plain[work->plain_count - 1] : NULL;
    if (last != NULL && last->end == range.start && last->keeps_reserved == range.keeps_reserved) {
        last->end = range.end;
        return LOAM_OK;
    }
    struct loam_plain_range *grown =
        loam_grow(work->plain, &work->plain_capacity, work->plain_count + 1, sizeof *grown, error);
    if (grown == NULL) return loam_failure(error);
    work->plain = grown;
    work->plain[work->plain_count++] = range;
    return LOAM_OK;
}

static enum loam_status find_plain(struct loam_chat_work *work, const struct loam_chat_options *options,
                                   struct loam_error *error)
{
    const struct loam_chat_rendering *rendering = &work->rendering;
    work->plain_count = 0;
    if (options->content_may_be_special) return LOAM_OK;
    for (size_t i = 0, start = 0; i < rendering->span_count; start = rendering->spans[i++].end) {
        const struct loam_chat_span *span = &rendering->spans[i];
        const bool is_role = span->field != NULL && strcmp(span->field, "role") == 0;
        if (!span->is_input || span->end == start) continue;
        if (is_role && is_word(rendering->text.data + start, span->end - start)) continue;
        const bool is_answer = span->role != NULL && strcmp(span->role, "assistant") == 0;
        LOAM_TRY(add_plain(work, (struct loam_plain_range){start, span->end, is_answer}, error));
    }
    return LOAM_OK;
}

// Fails if plain text became a special token by the tokenizer's merges, which no plain range prevents.
static enum loam_status check_plain(const struct loam_chat_work *work,
                                    const struct loam_chat_options *options, struct loam_error *error)
{
    const struct loam_encoding *encoding = &work->encoding;
    const char *text = work->rendering.text.data;
    size_t at = 0;
    for (size_t i = 0; i < encoding->count; i++) {
        const size_t start = encoding->starts[i], end = encoding->ends[i];
        while (at < work->plain_count && work->plain[at].end <= start)
            at++;
        if (at == work->plain_count) return LOAM_OK;
        if (start < work->plain[at].start || !loam_tokenizer_is_special(options->tokenizer, encoding->ids[i]))
            continue;
        const char *token = loam_tokenizer_id_to_token(options->tokenizer, encoding->ids[i]);
        if (token == NULL || strlen(token) != end - start || memcmp(token, text + start, end - start) != 0)
            continue;
        return loam_fail(
            error, LOAM_ERROR_UNSUPPORTED,
            "the text \"%s\" of a message becomes the special token even as plain text with this "
            "tokenizer; change the text, or allow it with --special-in-content",
            token);
    }
    return LOAM_OK;
}

// ---- Encoding ----

static struct loam_text_input input_of(const struct loam_chat_work *work)
{
    const struct loam_bytes *text = &work->rendering.text;
    return (struct loam_text_input){
        .text = text->data != NULL ? text->data : "",
        .size = text->size,
        .plain = work->plain,
        .plain_count = work->plain_count,
        .reserved = work->reserved,
        .reserved_count = work->reserved_count,
    };
}

// Whether the text before byte `at` ends in a header that keeps all its bytes before any word.
static bool ends_in_whole_header(const struct loam_chat_work *work, const struct loam_text_input *input,
                                 size_t at)
{
    const struct loam_bytes *header = &work->header;
    return work->header_is_whole && at >= header->size &&
           memcmp(input->text + at - header->size, header->data, header->size) == 0;
}

// Whether the ids before the boundary are those of the prompt that ends there, without encoding that prompt: a word and a
// token begin at it, with a character that is no white space.
static bool is_clean(const struct loam_chat_work *work, const struct loam_text_input *input,
                     const struct loam_boundary *boundary)
{
    const struct loam_encoding *encoding = &work->encoding;
    size_t low = 0, high = encoding->count, length;
    if (boundary->is_inside || !ends_in_whole_header(work, input, boundary->at)) return false;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (encoding->starts[middle] >= boundary->at)
            high = middle;
        else
            low = middle + 1;
    }
    return low < encoding->count && encoding->starts[low] == boundary->at &&
           !loam_char_is_whitespace(loam_utf8_decode(input->text + boundary->at, &length));
}

// Lets the last answer begin with the first token that its prompt does not have. Marks of the template stay as they are.
static void begin_after_prompt(struct loam_chat_work *work, size_t count, bool is_marked)
{
    struct loam_chat_turns *turns = &work->turns;
    struct loam_chat_turn *last = turns->count > 0 ? &turns->items[turns->count - 1] : NULL;
    if (!is_marked && last != NULL && last->start == turns->answer) last->token = count;
}

// Encodes the text. The ids before the last answer are those of the prompt for it, unless the answer begins with text of the
// template, which no answer changes.
static enum loam_status encode_text(struct loam_chat_work *work, const struct loam_chat_options *options,
                                    struct loam_error *error)
{
    const struct loam_text_input input = input_of(work);
    const size_t answer = work->turns.answer;
    const bool starts_fixed = answer < input.size && loam_chat_is_template_text(&work->rendering, answer);
    struct loam_boundary boundary = {.at = answer <= input.size && !starts_fixed ? answer : 0};
    LOAM_TRY(loam_tokenizer_encode_input(options->tokenizer, &input, &boundary, &work->encoding, error));
    if (boundary.at == 0 || is_clean(work, &input, &boundary)) return LOAM_OK;
    size_t count;
    LOAM_TRY(loam_prompt_align(&work->prompt, options->tokenizer, &input, &boundary, &work->encoding, &count,
                               error));
    begin_after_prompt(work, count, loam_chat_template_has_generation(options->source->chat_template));
    return LOAM_OK;
}

static enum loam_status encode_prompt(struct loam_chat_work *work, const struct loam_chat_options *options,
                                      struct loam_error *error)
{
    const struct loam_text_input input = input_of(work);
    LOAM_TRY(loam_prompt_encode(&work->prompt, options->tokenizer, &input, error));
    work->encoding.count = 0;
    return loam_encoding_append(&work->encoding, &work->prompt.encoding, 0, error);
}

enum loam_status loam_chat_encode(struct loam_chat_work *work, const struct loam_chat_options *options,
                                  const json_t *messages, const json_t *tools, bool is_prompt, size_t first,
                                  struct loam_error *error)
{
    const struct loam_chat_rendering *rendering = &work->rendering;
    LOAM_TRY(render(work, options, messages, tools, is_prompt, error));
    if (rendering->text.size > LOAM_TEXT_LIMIT)
        return loam_fail(error, LOAM_ERROR_FORMAT, "the conversation has more than %d bytes of text",
                         LOAM_TEXT_LIMIT);
    const bool marked = loam_chat_template_has_generation(options->source->chat_template);
    LOAM_TRY(loam_chat_turns_find(&work->turns, rendering, messages, first, marked, &work->header, error));
    LOAM_TRY(find_plain(work, options, error));
    LOAM_TRY((is_prompt ? encode_prompt : encode_text)(work, options, error));
    return check_plain(work, options, error);
}
