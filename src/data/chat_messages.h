// The messages of a conversation.
#ifndef LOAM_DATA_CHAT_MESSAGES_H
#define LOAM_DATA_CHAT_MESSAGES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

bool loam_chat_has_role(const json_t *messages, size_t index, const char *role);
// The index of the last message of a role; SIZE_MAX: there is none.
size_t loam_chat_find_last(const json_t *messages, const char *role);
// The number of messages before the last answer: before the last message of the assistant. 0: there is none, or none
// before it.
size_t loam_chat_prompt_count(const json_t *messages);
// The number of messages of the system at the start.
size_t loam_chat_count_system(const json_t *messages);

// Copies the first `count` messages without the keys whose value is null, as transformers does.
enum loam_status loam_chat_copy_messages(const json_t *messages, size_t count, json_t **copy,
                                         struct loam_error *error);

#endif
