// Conversations and chat templates for tests.
#ifndef TEST_CHATS_H
#define TEST_CHATS_H

#include "data/chat_example.h"

// Parses a template. `variables` is a JSON object, or NULL.
struct loam_chat_source test_chat_source(const char *text, const char *variables);

// Parses JSON with ' for ".
json_t *test_chat_json(const char *text);

// The ids of the byte tokenizer as text, with ^U ^B ^E ^P for its special tokens, and the learnt tokens in {}. Release it
// with free().
char *test_chat_describe(const struct loam_example *example);

#endif
