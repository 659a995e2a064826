// A conversation for a chat template: messages, and the tools that the assistant may call.
#ifndef LOAM_COMMANDS_MESSAGES_H
#define LOAM_COMMANDS_MESSAGES_H

#include "base/json.h"

// A zeroed struct is valid and has no messages.
struct loam_messages {
    json_t *items;  // array of objects with "role", "content" and others; NULL: none
    json_t *tools;  // array; NULL: none
    size_t dropped; // messages behind a system message at the start that a prompt leaves out
};
void loam_messages_deinit(struct loam_messages *messages);

// Parses a conversation: a JSON array of at least one message, or an object with it as "messages" and, where there are
// any, "tools". Warns about roles that no chat template is known to have. `name` is for messages.
enum loam_status loam_messages_parse(struct loam_messages *messages, const char *text, size_t size,
                                     const char *name, const struct loam_log *log, struct loam_error *error);
// Parses the tools of a conversation, a JSON array, which replaces those that it has.
enum loam_status loam_messages_parse_tools(struct loam_messages *messages, const char *text, size_t size,
                                           const char *name, struct loam_error *error);

size_t loam_messages_size(const struct loam_messages *messages); // messages
// The role of a message; "" beyond the last one.
const char *loam_messages_role(const struct loam_messages *messages, size_t index);
// Adds a message with a text, UTF-8.
enum loam_status loam_messages_add(struct loam_messages *messages, const char *role, const char *text,
                                   size_t size, struct loam_error *error);
// Removes the messages from `count` on.
void loam_messages_shorten(struct loam_messages *messages, size_t count);
// Sets the system message at the start; an empty text removes it.
enum loam_status loam_messages_set_system(struct loam_messages *messages, const char *text,
                                          struct loam_error *error);

// Leaves out one more turn at the start of prompts, from a user's message to the next one. False: only the last turn
// is left.
bool loam_messages_drop_turn(struct loam_messages *messages);
// Sets `*window` to a new array of the messages of a prompt.
enum loam_status loam_messages_window(const struct loam_messages *messages, json_t **window,
                                      struct loam_error *error);

// Appends {"messages": [...]} to the file as one line, which `loam train` reads as a record.
enum loam_status loam_messages_save(const struct loam_messages *messages, const char *path,
                                    struct loam_error *error);

#endif
