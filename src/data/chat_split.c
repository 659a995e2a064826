#include "data/chat_split.h"

#include <stdlib.h>

#include "base/grow.h"
#include "base/heap.h"
#include "base/json.h"
#include "data/chat_encode.h"

// The beginning of a turn, or the end of the conversation.
struct edge {
    size_t message; // index
    size_t token;   // of the whole conversation, after the text of the earlier messages
};

struct division {
    const struct loam_conversation *conversation;
    const struct loam_chat_options *options;
    struct loam_chat_work *work;
    struct edge *edges; // [count + 1] of the turns, and the end
    size_t count;       // turns
};

void loam_chat_pieces_deinit(struct loam_chat_pieces *pieces)
{
    free(pieces->starts);
    *pieces = (struct loam_chat_pieces){0};
}

json_t *loam_chat_piece(const json_t *messages, size_t start, size_t end)
{
    const size_t system = loam_chat_count_system(messages);
    json_t *piece = json_array();
    for (size_t i = 0; i < system; i++)
        loam_json_push(&piece, json_incref(json_array_get(messages, i)));
    for (size_t i = start; i < end; i++)
        loam_json_push(&piece, json_incref(json_array_get(messages, i)));
    return piece;
}

// Encodes messages [start, end) after those of the system.
static enum loam_status encode(const struct division *division, size_t start, size_t end,
                               struct loam_error *error)
{
    json_t *copy = NULL, *piece = loam_chat_piece(division->conversation->messages, start, end);
    if (piece == NULL) return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: a conversation");
    enum loam_status status = loam_chat_copy_messages(piece, SIZE_MAX, &copy, error);
    if (status == LOAM_OK)
        status = loam_chat_encode(division->work, division->options, copy, division->conversation->tools,
                                  false, 0, error);
    json_decref(copy);
    json_decref(piece);
    return status;
}

// A turn begins with a message of the user after one of somebody else. The last turn has the last answer.
static bool begins_turn(const json_t *messages, size_t index)
{
    return loam_chat_has_role(messages, index, "user") && !loam_chat_has_role(messages, index - 1, "user");
}

static enum loam_status find_turns(struct division *division, struct loam_error *error)
{
    const json_t *messages = division->conversation->messages;
    const size_t count = json_array_size(messages), first = loam_chat_count_system(messages);
    const size_t limit = loam_chat_prompt_count(messages);
    const struct loam_chat_work *work = division->work;
    division->edges = loam_calloc(count + 2, sizeof *division->edges, error);
    if (division->edges == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = first; i < count; i++)
        if (i == first || (i < limit && begins_turn(messages, i)))
            division->edges[division->count++] =
                (struct edge){i, loam_chat_token_at(work, work->turns.places[i].before)};
    division->edges[division->count] = (struct edge){count, work->encoding.count};
    return LOAM_OK;
}

// The tokens of turns [from, to) with the system's messages, as they are in the whole conversation. What the template writes
// before the first message and after a turn is not always counted.
static size_t estimate(const struct division *division, size_t from, size_t to)
{
    const struct edge *edges = division->edges;
    return edges[0].token + (edges[to].token - edges[from].token);
}

// Finds the end of the piece that begins with turn `from`. A template may write a turn in another way where it is the
// last one, so what is estimated is encoded.
static enum loam_status find_end(const struct division *division, size_t from, size_t *end,
                                 struct loam_error *error)
{
    const size_t limit = (size_t)division->options->max_length;
    const struct edge *edges = division->edges;
    size_t to = from + 1;
    while (to < division->count && estimate(division, from, to + 1) <= limit)
        to++;
    while (to > from + 1) {
        LOAM_TRY(encode(division, edges[from].message, edges[to].message, error));
        const size_t tokens = division->work->encoding.count, last = edges[to].token;
        if (tokens <= limit) break;
        while (to > from + 1 && last - edges[to].token < tokens - limit)
            to--;
    }
    *end = to;
    return LOAM_OK;
}

static enum loam_status add_start(struct loam_chat_pieces *pieces, size_t message, struct loam_error *error)
{
    int32_t *starts =
        loam_grow(pieces->starts, &pieces->capacity, (size_t)pieces->count + 1, sizeof *starts, error);
    if (starts == NULL) return LOAM_ERROR_MEMORY;
    pieces->starts = starts;
    starts[pieces->count++] = (int32_t)message;
    return LOAM_OK;
}

static enum loam_status divide(struct division *division, struct loam_chat_pieces *pieces,
                               struct loam_error *error)
{
    const json_t *messages = division->conversation->messages;
    LOAM_TRY(loam_chat_prepare(division->work, division->options, error));
    LOAM_TRY(encode(division, loam_chat_count_system(messages), json_array_size(messages), error));
    if (division->work->encoding.count <= (size_t)division->options->max_length)
        return add_start(pieces, 0, error);
    LOAM_TRY(find_turns(division, error));
    for (size_t turn = 0; turn < division->count;) {
        LOAM_TRY(add_start(pieces, division->edges[turn].message, error));
        LOAM_TRY(find_end(division, turn, &turn, error));
    }
    return LOAM_OK;
}

enum loam_status loam_chat_split(const struct loam_conversation *conversation,
                                 const struct loam_chat_options *options, struct loam_chat_work *work,
                                 struct loam_chat_pieces *pieces, struct loam_error *error)
{
    struct loam_chat_options chosen = *options;
    struct division division = {.conversation = conversation, .options = &chosen, .work = work};
    LOAM_ENSURE_ERROR(error);
    pieces->count = 0;
    LOAM_TRY(loam_chat_source_choose(options->source, conversation->tools, &chosen.source, error));
    const enum loam_status status = divide(&division, pieces, error);
    free(division.edges);
    return status;
}
