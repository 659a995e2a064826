#include "commands/stops.h"

#include <stdlib.h>

#include "base/grow.h"
#include "base/heap.h"
#include "data/chat_example.h"

void loam_stops_deinit(struct loam_stops *stops)
{
    free(stops->ids);
    free(stops->texts);
    *stops = (struct loam_stops){0};
}

struct loam_stop_texts loam_stops_texts(const struct loam_stops *stops)
{
    return (struct loam_stop_texts){.items = stops->texts, .count = stops->text_count};
}

// Sets `*id` to the special token of that name; -1: there is none.
static enum loam_status find_special(const struct loam_tokenizer *tokenizer, const char *name, int32_t *id,
                                     struct loam_error *error)
{
    struct loam_bytes text = {0};
    *id = loam_tokenizer_token_to_id(tokenizer, name);
    if (*id < 0) return LOAM_OK;
    const enum loam_status status = loam_tokenizer_decode(tokenizer, id, 1, true, &text, error);
    if (text.size > 0) *id = -1;
    loam_bytes_deinit(&text);
    return status;
}

static enum loam_status add(struct loam_stops *stops, const struct loam_tokenizer *tokenizer,
                            const char *text, struct loam_error *error)
{
    int32_t id;
    stops->texts[stops->text_count++] = text;
    LOAM_TRY(find_special(tokenizer, text, &id, error));
    if (id < 0) return LOAM_OK;
    int32_t *ids = loam_grow(stops->ids, &stops->id_capacity, stops->id_count + 1, sizeof *ids, error);
    if (ids == NULL) return loam_failure(error);
    stops->ids = ids;
    stops->ids[stops->id_count++] = id;
    return LOAM_OK;
}

// Adds the end of a turn: its ids, and the text that a built-in template has in place of a token that the tokenizer lacks.
static enum loam_status add_turn(struct loam_stops *stops, const struct loam_session *session,
                                 struct loam_error *error)
{
    struct loam_chat_options chat;
    struct loam_chat_work work = {0};
    LOAM_TRY(loam_session_chat(session, &chat, error));
    const enum loam_status status =
        loam_chat_stops(&chat, &work, &stops->ids, &stops->id_count, &stops->id_capacity, error);
    loam_chat_work_deinit(&work);
    if (status != LOAM_OK || chat.source->end == NULL) return status;
    return add(stops, session->tokenizer, chat.source->end, error);
}

enum loam_status loam_stops_make(struct loam_stops *stops, const struct loam_text_list *given,
                                 const struct loam_session *session, bool is_chat, struct loam_error *error)
{
    stops->texts = loam_calloc(given->count + 1, sizeof *stops->texts, error); // and the end of a turn
    if (stops->texts == NULL) return loam_failure(error);
    for (size_t i = 0; i < given->count; i++)
        LOAM_TRY(add(stops, session->tokenizer, given->items[i], error));
    return is_chat ? add_turn(stops, session, error) : LOAM_OK;
}
