// A prompt as the ids that generation goes on from. They are those that a training example of the same text
// begins with.
#ifndef LOAM_SESSION_PROMPT_H
#define LOAM_SESSION_PROMPT_H

#include "data/example.h"
#include "session/session.h"

// Kept from prompt to prompt as working memory. A zeroed struct is valid.
struct loam_session_prompt {
    struct loam_rendered rendered; // the text; filled by the caller
    struct loam_example example;   // its ids; the caller may set its `id` for messages
    struct loam_healing healing;   // the end of the text that generation still has to write
    struct loam_example_work work;
};
void loam_session_prompt_deinit(struct loam_session_prompt *prompt);

// Encodes prompt->rendered. A text of more than `max_length` tokens loses tokens from the start of its
// context; example.dropped where it has too few. An id beyond the model's vocabulary is LOAM_ERROR_FORMAT.
enum loam_status loam_session_prompt_encode(const struct loam_session *session,
                                            struct loam_session_prompt *prompt, int32_t max_length,
                                            struct loam_error *error);

#endif
