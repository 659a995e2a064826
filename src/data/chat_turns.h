// Which bytes of a rendered conversation are answers of the assistant.
//
// A template with {% generation %} marks answers itself. In another one, an answer begins after the header that the
// template also writes for a prompt, or with the first text of the message if there is no such header. It ends with the
// last text of the message. After it the template writes the token that ends the turn.
#ifndef LOAM_DATA_CHAT_TURNS_H
#define LOAM_DATA_CHAT_TURNS_H

#include "chat/template.h"

struct loam_chat_turn {
    size_t start, end; // bytes of the answer
    size_t token;      // index of the first token; SIZE_MAX: the first one that reaches beyond `start`
    size_t limit;      // the token that ends the turn lies in [end, limit); `end` if the template has marks
};

// Whether a span is text of its message, and not of the header that names who speaks.
bool loam_chat_span_is_text(const struct loam_chat_span *span);

// Whether the byte belongs to the template's own text.
bool loam_chat_is_template_text(const struct loam_chat_rendering *rendering, size_t byte);

// Where the text of one message is.
struct loam_chat_place {
    size_t first, last; // indices of its first and last span; SIZE_MAX: its text is empty
    size_t start, end;  // bytes from its first to its last span, with role and name; start > end: it has none
    size_t before;      // byte at which the last span of the earlier messages ends
    size_t after;       // byte at which the first span of the later messages begins
};

// A zeroed struct is valid.
struct loam_chat_turns {
    struct loam_chat_turn *items; // [count], in order
    size_t count, capacity;
    size_t answer; // byte at which the answer of the last message begins; SIZE_MAX: it is not the assistant's
    struct loam_chat_place *places; // [messages]
    size_t place_capacity;
};
void loam_chat_turns_deinit(struct loam_chat_turns *turns);

// Finds the places of all messages, and the answers in those from `first` on. `marked`: the template has
// {% generation %}.
enum loam_status loam_chat_turns_find(struct loam_chat_turns *turns,
                                      const struct loam_chat_rendering *rendering, const json_t *messages,
                                      size_t first, bool marked, const struct loam_bytes *header,
                                      struct loam_error *error);

#endif
