#include "data/chat_turns.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"

void loam_chat_turns_deinit(struct loam_chat_turns *turns)
{
    free(turns->items);
    free(turns->places);
    *turns = (struct loam_chat_turns){0};
}

static size_t span_start(const struct loam_chat_rendering *rendering, size_t index)
{
    return index == 0 ? 0 : rendering->spans[index - 1].end;
}

static bool is_assistant(const json_t *messages, size_t index)
{
    const char *role = json_string_value(json_object_get(json_array_get(messages, index), "role"));
    return role != NULL && strcmp(role, "assistant") == 0;
}

bool loam_chat_span_is_text(const struct loam_chat_span *span)
{
    return span->field == NULL || (strcmp(span->field, "role") != 0 && strcmp(span->field, "name") != 0);
}

bool loam_chat_is_template_text(const struct loam_chat_rendering *rendering, size_t byte)
{
    size_t low = 0, high = rendering->span_count; // the first span that ends after the byte
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (rendering->spans[middle].end > byte)
            high = middle;
        else
            low = middle + 1;
    }
    return low == rendering->span_count || !rendering->spans[low].is_input;
}

static enum loam_status add_turn(struct loam_chat_turns *turns, struct loam_chat_turn turn,
                                 struct loam_error *error)
{
    struct loam_chat_turn *grown =
        loam_grow(turns->items, &turns->capacity, turns->count + 1, sizeof *grown, error);
    if (grown == NULL) return loam_failure(error);
    turns->items = grown;
    turns->items[turns->count++] = turn;
    return LOAM_OK;
}

// ---- Where the messages are ----

static enum loam_status find_places(struct loam_chat_turns *turns,
                                    const struct loam_chat_rendering *rendering, size_t messages,
                                    struct loam_error *error)
{
    struct loam_chat_place *places =
        loam_grow(turns->places, &turns->place_capacity, messages, sizeof *places, error);
    if (places == NULL) return loam_failure(error);
    turns->places = places;
    for (size_t i = 0; i < messages; i++)
        places[i] = (struct loam_chat_place){.first = SIZE_MAX, .last = SIZE_MAX, .start = SIZE_MAX};
    for (size_t i = 0; i < rendering->span_count; i++) {
        const struct loam_chat_span *span = &rendering->spans[i];
        if (span->message < 0 || (size_t)span->message >= messages) continue;
        struct loam_chat_place *place = &places[span->message];
        if (place->start == SIZE_MAX) place->start = span_start(rendering, i);
        place->end = span->end;
        if (!loam_chat_span_is_text(span)) continue;
        if (place->first == SIZE_MAX) place->first = i;
        place->last = i;
    }
    size_t before = 0, after = rendering->text.size;
    for (size_t i = 0; i < messages; i++) {
        places[i].before = before;
        if (places[i].end > before) before = places[i].end;
    }
    for (size_t i = messages; i-- > 0;) {
        places[i].after = after;
        if (places[i].start < after) after = places[i].start;
    }
    return LOAM_OK;
}

// ---- Answers between {% generation %} and {% endgeneration %} ----

static enum loam_status find_marked(struct loam_chat_turns *turns,
                                    const struct loam_chat_rendering *rendering, size_t from,
                                    struct loam_error *error)
{
    for (size_t i = 0; i < rendering->span_count; i++) {
        const struct loam_chat_span *span = &rendering->spans[i];
        const size_t start = span_start(rendering, i);
        if (!span->is_generated || start < from) continue;
        if (turns->count > 0 && turns->items[turns->count - 1].end == start) {
            turns->items[turns->count - 1].end = turns->items[turns->count - 1].limit = span->end;
            continue;
        }
        LOAM_TRY(add_turn(turns, (struct loam_chat_turn){start, span->end, SIZE_MAX, span->end}, error));
    }
    return LOAM_OK;
}

// ---- Answers by provenance ----

// The end of the last header in [from, to); SIZE_MAX: there is none.
static size_t find_header(const struct loam_chat_rendering *rendering, const struct loam_bytes *header,
                          size_t from, size_t to)
{
    if (header->size == 0) return SIZE_MAX;
    for (size_t at = to; at >= from + header->size; at--)
        if (memcmp(rendering->text.data + at - header->size, header->data, header->size) == 0) return at;
    return SIZE_MAX;
}

// The end of the input before the span that is not of its message.
static size_t input_before(const struct loam_chat_rendering *rendering, size_t span)
{
    const int32_t message = rendering->spans[span].message;
    for (size_t i = span; i-- > 0;)
        if (rendering->spans[i].is_input && rendering->spans[i].message != message)
            return rendering->spans[i].end;
    return 0;
}

// The start of the input after the span that is not of its message; else the end of the text.
static size_t input_after(const struct loam_chat_rendering *rendering, size_t span)
{
    const int32_t message = rendering->spans[span].message;
    for (size_t i = span + 1; i < rendering->span_count; i++)
        if (rendering->spans[i].is_input && rendering->spans[i].message != message)
            return span_start(rendering, i);
    return rendering->text.size;
}

// An empty answer: between its header and the next message. False: there is no header.
static bool find_empty(const struct loam_chat_turns *turns, const struct loam_chat_rendering *rendering,
                       size_t message, const struct loam_bytes *header, struct loam_chat_turn *turn)
{
    const size_t from = turns->places[message].before, limit = turns->places[message].after;
    const size_t start = limit < from ? SIZE_MAX : find_header(rendering, header, from, limit);
    *turn = (struct loam_chat_turn){start, start, SIZE_MAX, limit};
    return start != SIZE_MAX;
}

static bool find_answer(const struct loam_chat_turns *turns, const struct loam_chat_rendering *rendering,
                        size_t message, const struct loam_bytes *header, struct loam_chat_turn *turn)
{
    const struct loam_chat_place *place = &turns->places[message];
    if (place->first == SIZE_MAX) return find_empty(turns, rendering, message, header, turn);
    const size_t text = span_start(rendering, place->first);
    const size_t start = find_header(rendering, header, input_before(rendering, place->first), text);
    *turn = (struct loam_chat_turn){start == SIZE_MAX ? text : start, rendering->spans[place->last].end,
                                    SIZE_MAX, input_after(rendering, place->last)};
    return true;
}

static enum loam_status find_unmarked(struct loam_chat_turns *turns,
                                      const struct loam_chat_rendering *rendering, const json_t *messages,
                                      size_t first, const struct loam_bytes *header, struct loam_error *error)
{
    struct loam_chat_turn turn;
    for (size_t i = first; i < json_array_size(messages); i++)
        if (is_assistant(messages, i) && find_answer(turns, rendering, i, header, &turn))
            LOAM_TRY(add_turn(turns, turn, error));
    return LOAM_OK;
}

// The byte at which the answer of the last message begins.
static size_t find_last(const struct loam_chat_turns *turns, const struct loam_chat_rendering *rendering,
                        const json_t *messages, bool marked, const struct loam_bytes *header)
{
    const size_t count = json_array_size(messages);
    struct loam_chat_turn turn;
    if (count == 0 || !is_assistant(messages, count - 1)) return SIZE_MAX;
    if (!marked) return find_answer(turns, rendering, count - 1, header, &turn) ? turn.start : SIZE_MAX;
    const size_t from = turns->places[count - 1].before;
    for (size_t i = 0; i < rendering->span_count; i++)
        if (rendering->spans[i].is_generated && span_start(rendering, i) >= from)
            return span_start(rendering, i);
    return SIZE_MAX;
}

enum loam_status loam_chat_turns_find(struct loam_chat_turns *turns,
                                      const struct loam_chat_rendering *rendering, const json_t *messages,
                                      size_t first, bool marked, const struct loam_bytes *header,
                                      struct loam_error *error)
{
    const size_t count = json_array_size(messages);
    turns->count = 0;
    LOAM_TRY(find_places(turns, rendering, count, error));
    turns->answer = find_last(turns, rendering, messages, marked, header);
    const size_t from = first < count ? turns->places[first].before : rendering->text.size;
    return marked ? find_marked(turns, rendering, from, error)
                  : find_unmarked(turns, rendering, messages, first, header, error);
}
