// What ends an answer: the texts of --stop, and the end of turn of a chat template.
#ifndef LOAM_COMMANDS_STOPS_H
#define LOAM_COMMANDS_STOPS_H

#include "generate/stop_texts.h"
#include "options/settings.h"
#include "session/session.h"

// Beside the end tokens of the model. A zeroed struct is valid.
struct loam_stops {
    int32_t *ids; // [id_count]
    size_t id_count;
    size_t id_capacity;
    const char **texts; // [text_count] they belong to the settings and to the session
    size_t text_count;
};
// `is_chat`: the answer is that of a conversation, and ends where the session's chat template ends a turn. A special token
// has no text in the output, so that a text which is its name stops at its id.
enum loam_status loam_stops_make(struct loam_stops *stops, const struct loam_text_list *given,
                                 const struct loam_session *session, bool is_chat, struct loam_error *error);
void loam_stops_deinit(struct loam_stops *stops);
struct loam_stop_texts loam_stops_texts(const struct loam_stops *stops);

#endif
