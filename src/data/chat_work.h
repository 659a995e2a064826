// Conversations, the settings with which they become examples (data/chat_example.h), and the working memory of that.
#ifndef LOAM_DATA_CHAT_WORK_H
#define LOAM_DATA_CHAT_WORK_H

#include "chat/source.h"
#include "data/chat_turns.h"
#include "data/example.h"

struct loam_conversation {
    const json_t *messages; // array of objects; a key whose value is null counts as absent
    const json_t *tools;    // array, or NULL
    size_t prompt_count;    // messages, from the first on, that ask for the others; 0: not known
};

struct loam_chat_options {
    const char *name;                      // of the source of conversations, for messages
    const struct loam_chat_source *source; // the template
    const struct loam_tokenizer *tokenizer;
    const struct loam_special_tokens *special;
    // ALL: every token. ASSISTANT: each answer of the assistant with the token that ends it. LAST: the last answer.
    // COMPLETION: the answers after the prompt; without a prompt, the last one. DEFAULT: COMPLETION with a prompt, else
    // ASSISTANT.
    enum loam_loss_on loss_on;
    enum loam_too_long too_long;
    int32_t max_length;          // tokens
    int32_t vocabulary;          // rows of the model's embedding; an id beyond them is an error
    bool content_may_be_special; // find every added token in every text
    struct tm now;               // for strftime_now
};

// Working memory, reused for every conversation. A zeroed struct is valid.
struct loam_chat_work {
    struct loam_chat_rendering rendering; // of the last conversation
    struct loam_encoding encoding;
    struct loam_prompt prompt; // of the last prompt; text[prompt.cut, size) has no ids
    struct loam_chat_turns turns;
    bool wants_roles;     // fill `roles`
    unsigned char *roles; // [example.count] of the last example, enum loam_chat_role (data/chat_roles.h)
    size_t role_capacity;
    float *weights; // [encoding.count]
    size_t weight_capacity;
    struct loam_plain_range *plain; // [plain_count] text that persons wrote
    size_t plain_count, plain_capacity;
    // Known for the template and the tokenizer, and found anew for another template.
    const struct loam_chat_source *source; // NULL: not yet
    struct loam_bytes header;              // what the template writes before an answer; empty: not known
    int32_t end;                           // id of the template's end of turn; -1: none
    bool header_is_whole;                  // no end of the header joins a word that follows
    int32_t *reserved; // [reserved_count] added tokens that are not special, and that the template writes
    size_t reserved_count, reserved_capacity;
};
void loam_chat_work_deinit(struct loam_chat_work *work);
// Peak of the temporary memory of encoding the last conversation.
size_t loam_chat_work_bytes(const struct loam_chat_work *work);

#endif
