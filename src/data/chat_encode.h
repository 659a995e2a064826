// From a conversation to text, answers and token ids, in the working memory of data/chat_work.h.
#ifndef LOAM_DATA_CHAT_ENCODE_H
#define LOAM_DATA_CHAT_ENCODE_H

#include "data/chat_work.h"

// Finds once what the working memory keeps about the template and the tokenizer.
enum loam_status loam_chat_prepare(struct loam_chat_work *work, const struct loam_chat_options *options,
                                   struct loam_error *error);

// Renders the messages and fills work->encoding, and work->turns with the answers in the messages from `first` on. With
// `is_prompt` the text ends where the next answer begins, and work->prompt has the bytes without ids.
enum loam_status loam_chat_encode(struct loam_chat_work *work, const struct loam_chat_options *options,
                                  const json_t *messages, const json_t *tools, bool is_prompt, size_t first,
                                  struct loam_error *error);

// Whether generation stops at the token: an EOS of the model, or the end of a built-in template.
bool loam_chat_is_stop(const struct loam_chat_work *work, const struct loam_chat_options *options,
                       int32_t id);
// Whether the token ends a turn: it is a stop, or another special token that is not part of the header.
bool loam_chat_ends_turn(const struct loam_chat_work *work, const struct loam_chat_options *options,
                         int32_t id);

#endif
