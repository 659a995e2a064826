#include "data/chat_example.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/json.h"
#include "base/utf8.h"
#include "data/chat_encode.h"
#include "data/chat_roles.h"
#include "text/unicode.h"

// A conversation that loses its oldest turns until it fits.
struct chat {
    const struct loam_chat_options *options;
    struct loam_chat_work *work;
    json_t *messages; // a copy
    const json_t *tools;
    size_t prompt_count; // of the messages that are left
    bool is_prompt;
    int32_t length; // tokens of all messages
};

// The first message whose answers are learnt. SIZE_MAX: none.
static size_t find_first(const struct chat *chat)
{
    enum loam_loss_on loss_on = chat->options->loss_on;
    if (loss_on == LOAM_LOSS_ON_DEFAULT)
        loss_on = chat->prompt_count > 0 ? LOAM_LOSS_ON_COMPLETION : LOAM_LOSS_ON_ASSISTANT;
    if (loss_on == LOAM_LOSS_ON_COMPLETION && chat->prompt_count > 0) return chat->prompt_count;
    if (loss_on == LOAM_LOSS_ON_COMPLETION || loss_on == LOAM_LOSS_ON_LAST)
        return loam_chat_find_last(chat->messages, "assistant");
    return 0;
}

static enum loam_status encode_chat(struct chat *chat, struct loam_error *error)
{
    return loam_chat_encode(chat->work, chat->options, chat->messages, chat->tools, chat->is_prompt,
                            find_first(chat), error);
}

// ---- Turns that are left out ----

// The number of messages from `from` on up to the next one of the user that may begin the conversation. 0: none may.
static size_t count_turn(const struct chat *chat, size_t from)
{
    const json_t *messages = chat->messages;
    size_t limit = json_array_size(messages);
    if (chat->prompt_count > 0) limit = chat->prompt_count;
    if (!chat->is_prompt && chat->prompt_count == 0) limit = loam_chat_prompt_count(messages);
    for (size_t i = from + 1; i < limit; i++)
        if (loam_chat_has_role(messages, i, "user")) return i - from;
    return 0;
}

size_t loam_chat_token_at(const struct loam_chat_work *work, size_t byte)
{
    const struct loam_encoding *encoding = &work->encoding;
    size_t low = 0, high = encoding->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (encoding->starts[middle] >= byte)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

// The first token of the messages from `message` on.
static size_t token_of(const struct loam_chat_work *work, size_t message)
{
    const struct loam_chat_place *place = &work->turns.places[message];
    return loam_chat_token_at(work, place->start < place->after ? place->start : place->after);
}

// Removes the oldest turns that have at least `excess` tokens together, or all that may be removed. False: none may.
static bool remove_turns(struct chat *chat, size_t excess)
{
    const size_t first = loam_chat_count_system(chat->messages);
    size_t count = 0, turn;
    while ((turn = count_turn(chat, first + count)) > 0) {
        count += turn;
        if (token_of(chat->work, first + count) - token_of(chat->work, first) >= excess) break;
    }
    for (size_t i = 0; i < count; i++)
        json_array_remove(chat->messages, first);
    if (chat->prompt_count > 0) chat->prompt_count -= count;
    return count > 0;
}

// ---- Tokens that are left out ----

// Token indices [begin, end) of the text of a message.
struct part {
    size_t begin, end;
};

// The longest piece of text that neither the assistant nor the system wrote.
static struct part find_longest(const struct loam_chat_work *work)
{
    const struct loam_chat_rendering *rendering = &work->rendering;
    const struct loam_encoding *encoding = &work->encoding;
    struct part longest = {0};
    for (size_t i = 0, start = 0, token = 0; i < rendering->span_count; start = rendering->spans[i++].end) {
        const struct loam_chat_span *span = &rendering->spans[i];
        const char *role = span->message >= 0 && span->role != NULL ? span->role : "system";
        while (token < encoding->count && encoding->starts[token] < start)
            token++;
        const size_t begin = token;
        while (token < encoding->count && encoding->ends[token] <= span->end)
            token++;
        const bool stays =
            strcmp(role, "assistant") == 0 || strcmp(role, "system") == 0 || strcmp(role, "developer") == 0;
        if (span->is_input && loam_chat_span_is_text(span) && !stays &&
            token - begin > longest.end - longest.begin)
            longest = (struct part){begin, token};
    }
    return longest;
}

// The tokens that are left out so that `limit` stay.
static struct part choose_cut(const struct loam_chat_work *work, size_t limit)
{
    const size_t count = work->encoding.count, excess = count - limit;
    const struct part longest = find_longest(work);
    if (longest.end - longest.begin >= excess) return (struct part){longest.begin, longest.begin + excess};
    return (struct part){limit, count};
}

// ---- Weights ----

static void set_weights(float *weights, const struct loam_encoding *encoding, size_t from, size_t to)
{
    for (size_t i = from; i < to && i < encoding->count; i++)
        weights[i] = 1;
}

// The first token at or after `from` that reaches beyond byte `at`.
static size_t find_token(const struct loam_encoding *encoding, size_t from, size_t at)
{
    while (from < encoding->count && encoding->ends[from] <= at)
        from++;
    return from;
}

// The index behind the tokens that end a turn: the first stop in the text that the template writes after the answer, or
// else its first special tokens that follow each other. `from`, if there is neither.
static size_t find_end_of_turn(const struct chat *chat, const struct loam_chat_turn *turn, size_t from)
{
    const struct loam_encoding *encoding = &chat->work->encoding;
    size_t end = from;
    for (size_t i = find_token(encoding, from, turn->end); i < encoding->count; i++) {
        if (encoding->starts[i] >= turn->limit) break;
        if (loam_chat_is_stop(chat->work, chat->options, encoding->ids[i])) return i + 1;
        const bool continues = end == from || (end == i && encoding->starts[i] == encoding->ends[i - 1]);
        if (continues && loam_chat_ends_turn(chat->work, chat->options, encoding->ids[i])) end = i + 1;
    }
    return end;
}

// The index behind the first stop that the template writes within an answer; `end` if there is none. A template may quote
// the answer after it, as the header of a tool's message does.
static size_t find_stop(const struct chat *chat, size_t begin, size_t end)
{
    const struct loam_encoding *encoding = &chat->work->encoding;
    for (size_t i = begin; i < end; i++)
        if (loam_chat_is_stop(chat->work, chat->options, encoding->ids[i]) &&
            loam_chat_is_template_text(&chat->work->rendering, encoding->starts[i]))
            return i + 1;
    return end;
}

// Sets the weights of the tokens of a turn, which are all that reach into it, and of those that end it. `from` is the first
// token that may belong to it. Returns the first token after it.
static size_t learn_turn(const struct chat *chat, const struct loam_chat_turn *turn, size_t from)
{
    const struct loam_encoding *encoding = &chat->work->encoding;
    const size_t begin = turn->token != SIZE_MAX ? turn->token : find_token(encoding, from, turn->start);
    size_t end = begin;
    while (end < encoding->count && encoding->starts[end] < turn->end)
        end++;
    const bool is_marked = turn->limit == turn->end;
    const size_t stop = is_marked ? end : find_stop(chat, begin, end);
    end = stop < end ? stop : find_end_of_turn(chat, turn, end);
    set_weights(chat->work->weights, encoding, begin, end);
    return end;
}

static enum loam_status weigh(const struct chat *chat, struct loam_error *error)
{
    struct loam_chat_work *work = chat->work;
    const size_t count = work->encoding.count;
    float *weights = loam_grow(work->weights, &work->weight_capacity, count, sizeof *weights, error);
    if (weights == NULL) return loam_failure(error);
    work->weights = weights;
    memset(weights, 0, count * sizeof *weights);
    if (chat->is_prompt) return LOAM_OK;
    if (chat->options->loss_on == LOAM_LOSS_ON_ALL) {
        set_weights(weights, &work->encoding, 0, count);
        return LOAM_OK;
    }
    size_t from = 0;
    for (size_t i = 0; i < work->turns.count; i++)
        from = learn_turn(chat, &work->turns.items[i], from);
    return LOAM_OK;
}

// Whether the last token that is learnt, but for white space, does not end a turn.
static bool lacks_stop(const struct chat *chat)
{
    const struct loam_chat_work *work = chat->work;
    const struct loam_encoding *encoding = &work->encoding;
    for (size_t i = encoding->count; i-- > 0;) {
        size_t at = encoding->starts[i], length;
        if (work->weights[i] == 0) continue;
        while (at < encoding->ends[i] &&
               loam_char_is_whitespace(loam_utf8_decode(work->rendering.text.data + at, &length)))
            at += length;
        if (at < encoding->ends[i]) return !loam_chat_ends_turn(work, chat->options, encoding->ids[i]);
    }
    return true;
}

// ---- Examples ----

// Encodes the messages, and leaves turns out until they have at most `limit` tokens.
static enum loam_status fit_turns(struct chat *chat, enum loam_example_fate *fate, struct loam_error *error)
{
    const size_t limit = (size_t)chat->options->max_length;
    LOAM_TRY(loam_chat_prepare(chat->work, chat->options, error));
    LOAM_TRY(encode_chat(chat, error));
    chat->length = (int32_t)chat->work->encoding.count;
    while (chat->work->encoding.count > limit) {
        *fate = LOAM_EXAMPLE_CUT;
        if (chat->options->too_long == LOAM_TOO_LONG_DROP) *fate = LOAM_EXAMPLE_DROPPED;
        if (*fate == LOAM_EXAMPLE_DROPPED || !remove_turns(chat, chat->work->encoding.count - limit))
            return LOAM_OK;
        LOAM_TRY(encode_chat(chat, error));
    }
    return LOAM_OK;
}

static enum loam_status write_example(struct loam_example *example, const struct chat *chat,
                                      struct part left_out, struct loam_error *error)
{
    const struct loam_chat_work *work = chat->work;
    const size_t count = work->encoding.count;
    LOAM_TRY(loam_example_reserve(example, count, error));
    if (work->wants_roles) LOAM_TRY(loam_chat_roles_find(chat->work, error));
    for (size_t i = 0; i < count; i++) {
        if (i >= left_out.begin && i < left_out.end) continue;
        example->ids[example->count] = work->encoding.ids[i];
        if (work->wants_roles) work->roles[example->count] = work->roles[i];
        example->weights[example->count++] = work->weights[i];
    }
    return LOAM_OK;
}

static enum loam_status build(struct loam_example *example, struct chat *chat, enum loam_example_fate *fate,
                              struct loam_error *error)
{
    const size_t limit = (size_t)chat->options->max_length;
    struct part left_out = {0};
    LOAM_TRY(fit_turns(chat, fate, error));
    example->length = chat->length;
    const size_t count = chat->work->encoding.count;
    if (count == 0) return loam_fail(error, LOAM_ERROR_FORMAT, "the conversation gives no tokens");
    if (count > limit && *fate != LOAM_EXAMPLE_DROPPED) left_out = choose_cut(chat->work, limit);
    if (chat->is_prompt && left_out.end == count) *fate = LOAM_EXAMPLE_DROPPED; // a prompt must keep its end
    example->dropped = *fate == LOAM_EXAMPLE_DROPPED;
    if (example->dropped) return LOAM_OK;
    LOAM_TRY(weigh(chat, error));
    example->lacks_stop = !chat->is_prompt && left_out.end < count && lacks_stop(chat);
    return write_example(example, chat, left_out, error);
}

static enum loam_status build_messages(struct loam_example *example, const struct chat *whole,
                                       const struct loam_conversation *conversation, size_t count,
                                       enum loam_example_fate *fate, struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    example->count = 0;
    example->dropped = example->lacks_stop = false;
    *fate = LOAM_EXAMPLE_WHOLE;
    struct loam_chat_options options = *whole->options; // with the template for this conversation
    struct chat chat = *whole;
    chat.options = &options;
    enum loam_status status =
        loam_chat_source_choose(options.source, conversation->tools, &options.source, error);
    if (status == LOAM_OK)
        status = loam_chat_copy_messages(conversation->messages, count, &chat.messages, error);
    if (status == LOAM_OK) status = build(example, &chat, fate, error);
    json_decref(chat.messages);
    if (status == LOAM_OK)
        return loam_example_check_vocabulary(example, options.name, options.vocabulary, error);
    return example->id[0] != '\0' ? loam_fail_prefix(error, "%s: record %s", options.name, example->id)
                                  : loam_fail_prefix(error, "%s", options.name);
}

enum loam_status loam_chat_example_build(struct loam_example *example,
                                         const struct loam_conversation *conversation,
                                         const struct loam_chat_options *options, struct loam_chat_work *work,
                                         enum loam_example_fate *fate, struct loam_error *error)
{
    struct chat chat = {.options = options,
                        .work = work,
                        .tools = conversation->tools,
                        .prompt_count = conversation->prompt_count};
    return build_messages(example, &chat, conversation, SIZE_MAX, fate, error);
}

enum loam_status loam_chat_prompt_build(struct loam_example *example,
                                        const struct loam_conversation *conversation,
                                        const struct loam_chat_options *options, struct loam_chat_work *work,
                                        struct loam_error *error)
{
    struct chat chat = {.options = options, .work = work, .tools = conversation->tools, .is_prompt = true};
    const size_t count = conversation->prompt_count > 0 ? conversation->prompt_count : SIZE_MAX;
    enum loam_example_fate fate;
    return build_messages(example, &chat, conversation, count, &fate, error);
}

// ---- Stops ----

static enum loam_status add_stop(int32_t id, int32_t **ids, size_t *count, size_t *capacity,
                                 struct loam_error *error)
{
    for (size_t i = 0; i < *count; i++)
        if ((*ids)[i] == id) return LOAM_OK;
    int32_t *grown = loam_grow(*ids, capacity, *count + 1, sizeof *grown, error);
    if (grown == NULL) return loam_failure(error);
    *ids = grown;
    (*ids)[(*count)++] = id;
    return LOAM_OK;
}

// Finds the token that ends the answer of a short conversation; -1: the template writes none, or refuses it.
static enum loam_status find_end(const struct loam_chat_options *options, struct loam_chat_work *work,
                                 const json_t *messages, int32_t *id, struct loam_error *error)
{
    struct loam_error refusal = {.status = LOAM_OK};
    struct loam_example example = {0};
    struct loam_chat_options all = *options;
    all.loss_on = LOAM_LOSS_ON_ASSISTANT;
    all.max_length = all.vocabulary = INT32_MAX;
    enum loam_example_fate fate;
    const struct loam_conversation conversation = {.messages = messages};
    enum loam_status status = loam_chat_example_build(&example, &conversation, &all, work, &fate, &refusal);
    *id = -1;
    for (int32_t i = status == LOAM_OK ? example.count : 0; i-- > 0 && *id < 0;)
        if (example.weights[i] > 0 && loam_chat_ends_turn(work, options, example.ids[i]))
            *id = example.ids[i];
    loam_example_deinit(&example);
    return status == LOAM_ERROR_MEMORY ? loam_fail(error, status, "%s", refusal.message) : LOAM_OK;
}

enum loam_status loam_chat_stops(const struct loam_chat_options *options, struct loam_chat_work *work,
                                 int32_t **ids, size_t *count, size_t *capacity, struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    int32_t end = -1;
    json_t *messages = json_pack("[{s:s, s:s}, {s:s, s:s}]", "role", "user", "content", "Hi", "role",
                                 "assistant", "content", "Hi");
    if (messages == NULL) return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: a conversation");
    enum loam_status status = find_end(options, work, messages, &end, error);
    json_decref(messages);
    LOAM_TRY(status);
    if (end >= 0) LOAM_TRY(add_stop(end, ids, count, capacity, error));
    for (size_t i = 0; i < options->special->eos_count; i++)
        LOAM_TRY(add_stop(options->special->eos_ids[i], ids, count, capacity, error));
    return LOAM_OK;
}
