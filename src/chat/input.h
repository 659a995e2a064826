// Values of the template language from JSON.
#ifndef LOAM_CHAT_INPUT_H
#define LOAM_CHAT_INPUT_H

#include "chat/conversation.h"
#include "chat/run.h"

// What an origin (chat/value.h) stands for: sources[origin - 1].
struct chat_input_source {
    int32_t message;   // -1: none
    const char *field; // of the message; NULL: none
};
struct chat_sources {
    struct chat_input_source *items; // [count]
    size_t count, capacity;
};

// Fills the run's context. Messages get the names of their reasoning that transformers adds.
enum loam_status chat_input_read(struct chat_run *run, const struct loam_chat_input *input,
                                 struct chat_sources *sources);

#endif
