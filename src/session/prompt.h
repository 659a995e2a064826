// A prompt as token ids. They are the ids with which a training example of the same text begins.
#ifndef LOAM_SESSION_PROMPT_H
#define LOAM_SESSION_PROMPT_H

#include "data/example.h"
#include "session/session.h"

// A prompt and its working memory, which is reused for the next prompt. A zeroed struct is valid.
struct loam_session_prompt {
    struct loam_rendered rendered; // the text; the caller fills it
    struct loam_example example;   // the ids of the text; the caller may set example.id for messages
    struct loam_healing healing;   // the end of the text, which the first generated tokens must spell
    struct loam_example_work work;
    struct loam_chat_work chat; // of conversations
};
void loam_session_prompt_deinit(struct loam_session_prompt *prompt);

// Encodes prompt->rendered. A text of more than `max_length` tokens loses tokens from the start of its
// context. If the context has too few, example.dropped is set. An id beyond the model's vocabulary is
// LOAM_ERROR_FORMAT.
enum loam_status loam_session_prompt_encode(const struct loam_session *session,
                                            struct loam_session_prompt *prompt, int32_t max_length,
                                            struct loam_error *error);

// Encodes a conversation as the prompt of its next answer, in place of prompt->rendered. A prompt of more than
// `max_length` tokens loses its oldest turns. If the last turn alone is too long and cannot be cut, example.dropped is set.
enum loam_status loam_session_chat_encode(const struct loam_session *session,
                                          struct loam_session_prompt *prompt,
                                          const struct loam_conversation *conversation, int32_t max_length,
                                          struct loam_error *error);

#endif
