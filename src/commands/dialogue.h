// A model that answers the messages of a conversation, one after the other. The keys and values of the conversation stay in
// the cache, so that a turn reads only what is new.
#ifndef LOAM_COMMANDS_DIALOGUE_H
#define LOAM_COMMANDS_DIALOGUE_H

#include "commands/messages.h"
#include "commands/stops.h"
#include "generate/generator.h"
#include "session/prompt.h"

struct loam_dialogue {
    const struct loam_settings *settings;
    const struct loam_callbacks *callbacks;
    struct loam_session session;
    struct loam_adapter_list adapters;
    struct loam_segments active; // the adapters that are on
    struct loam_generator *generator;
    int32_t sequence; // of the generator; -1: none has begun
    struct loam_stops stops;
    struct loam_session_prompt prompt;
    struct loam_messages conversation;
    uint64_t answers; // so far, also those that were replaced
};

// Opens model, template and adapters. Every adapter is on.
enum loam_status loam_dialogue_open(struct loam_dialogue *dialogue, const struct loam_settings *settings,
                                    const struct loam_callbacks *callbacks, struct loam_error *error);
void loam_dialogue_close(struct loam_dialogue *dialogue);

// Answers a user's message. The answer goes to the text callback as it comes, or with --json as one line at its end. An
// answer that the event callback interrupts stays as far as it came. After a failure, and without any text of an
// answer, the conversation is as before.
enum loam_status loam_dialogue_say(struct loam_dialogue *dialogue, const char *text, size_t size,
                                   struct loam_error *error);
// Answers the last message again, in place of the answer that it has. LOAM_ERROR_ARGUMENT: there is none.
enum loam_status loam_dialogue_retry(struct loam_dialogue *dialogue, struct loam_error *error);

// Turns on the adapters [first, first + count) of dialogue->adapters alone.
void loam_dialogue_use(struct loam_dialogue *dialogue, size_t first, size_t count);

#endif
