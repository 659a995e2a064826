// A conversation as an example, and a conversation as the prompt of the next answer. A chat template renders the text,
// and remembers for each piece which message it comes from. The ids are those of the whole text, as transformers'
// apply_chat_template gives them: the tokenizer adds no BOS or EOS, since the template writes them.
//
// Text that a person wrote never becomes a special token: added tokens are found in the template's own text only. In
// messages of the assistant, added tokens that the tokenizer does not mark as special, such as <think>, are found too.
#ifndef LOAM_DATA_CHAT_EXAMPLE_H
#define LOAM_DATA_CHAT_EXAMPLE_H

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

// Working memory, reused for every conversation of one template. A zeroed struct is valid.
struct loam_chat_work {
    struct loam_chat_rendering rendering; // of the last conversation
    struct loam_encoding encoding;
    struct loam_prompt prompt; // of the last prompt; text[prompt.cut, size) has no ids
    struct loam_chat_turns turns;
    float *weights; // [encoding.count]
    size_t weight_capacity;
    struct loam_plain_range *plain; // [plain_count] text that persons wrote
    size_t plain_count, plain_capacity;
    // Known once for the template and the tokenizer.
    const struct loam_chat_source *source; // NULL: not yet
    struct loam_bytes header;              // what the template writes before an answer; empty: not known
    bool header_is_whole;                  // no end of the header joins a word that follows
    int32_t *reserved; // [reserved_count] added tokens that are not special, and that the template writes
    size_t reserved_count, reserved_capacity;
};
void loam_chat_work_deinit(struct loam_chat_work *work);
// Peak of the temporary memory of encoding the last conversation.
size_t loam_chat_work_bytes(const struct loam_chat_work *work);

// Fills all of `example` but its id, which messages name. A conversation of more than `max_length` tokens loses its
// oldest turns, from a message of the user to the next one; messages of the system stay. If the last turn alone is too
// long, the longest message that the assistant did not write loses its beginning, and if that is too short, the
// conversation loses its end.
//
// The ids begin with those of the prompt for the last answer, as loam_chat_prompt_build makes them, where the template
// writes the same text before an answer as for a prompt.
enum loam_status loam_chat_example_build(struct loam_example *example,
                                         const struct loam_conversation *conversation,
                                         const struct loam_chat_options *options, struct loam_chat_work *work,
                                         enum loam_example_fate *fate, struct loam_error *error);

// Fills `example` with the ids of the prompt for the next answer: after the first `prompt_count` messages, or after
// all of them if that is 0. work->rendering has the text. A prompt of more than `max_length` tokens is shortened as
// above; one that cannot be is dropped.
enum loam_status loam_chat_prompt_build(struct loam_example *example,
                                        const struct loam_conversation *conversation,
                                        const struct loam_chat_options *options, struct loam_chat_work *work,
                                        struct loam_error *error);

// The number of messages before the last answer: before the last message of the assistant. 0: there is none, or none
// before it.
size_t loam_chat_prompt_count(const json_t *messages);

// Appends the ids at which an answer ends: the template's token and each EOS of the model. `*ids` has room for
// `*capacity` ids; the caller releases it with free().
enum loam_status loam_chat_stops(const struct loam_chat_options *options, struct loam_chat_work *work,
                                 int32_t **ids, size_t *count, size_t *capacity, struct loam_error *error);

#endif
