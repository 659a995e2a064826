// loam tokenize --messages: conversations to ids, through the chat template.
#ifndef LOAM_COMMANDS_TOKENIZE_MESSAGES_H
#define LOAM_COMMANDS_TOKENIZE_MESSAGES_H

#include "data/chat_example.h"

// A zeroed struct is valid.
struct loam_chat_tokens {
    struct loam_chat_source source;
    struct loam_chat_options options;
    struct loam_chat_work work;
    struct loam_example example; // of the last conversation: ids, and what training learns of them by default
};
// Opens the chat template of a model directory. `name` is that of --chat-template, or NULL. Tokenizer and special tokens
// must outlive the struct.
enum loam_status loam_chat_tokens_open(struct loam_chat_tokens *tokens, const char *model_directory,
                                       const char *name, const struct loam_tokenizer *tokenizer,
                                       const struct loam_special_tokens *special, struct loam_error *error);
void loam_chat_tokens_deinit(struct loam_chat_tokens *tokens);

// Encodes a conversation: a JSON array of messages, or an object with "messages" and maybe "tools". With `is_prompt` it
// ends where the next answer begins. `name` is that of the document, for messages.
enum loam_status loam_chat_tokens_encode(struct loam_chat_tokens *tokens, const char *text, size_t size,
                                         const char *name, bool is_prompt, struct loam_error *error);

#endif
