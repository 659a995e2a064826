// A conversation as an example, and a conversation as the prompt of the next answer. A chat template renders the text,
// and remembers for each piece which message it comes from. The ids are those of the whole text, as transformers'
// apply_chat_template gives them: the tokenizer adds no BOS or EOS, since the template writes them.
//
// Text that a person wrote never becomes a special token: added tokens are found in the template's own text only. In
// messages of the assistant, added tokens that the tokenizer does not mark as special, such as <think>, are found too.
#ifndef LOAM_DATA_CHAT_EXAMPLE_H
#define LOAM_DATA_CHAT_EXAMPLE_H

#include "data/chat_messages.h"
#include "data/chat_work.h"

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

// The first token that begins at or after a byte of the last conversation that was encoded.
size_t loam_chat_token_at(const struct loam_chat_work *work, size_t byte);

// Appends the ids at which an answer ends: the template's token and each EOS of the model. `*ids` has room for
// `*capacity` ids; the caller releases it with free().
enum loam_status loam_chat_stops(const struct loam_chat_options *options, struct loam_chat_work *work,
                                 int32_t **ids, size_t *count, size_t *capacity, struct loam_error *error);

#endif
