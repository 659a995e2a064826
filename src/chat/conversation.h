// What a chat template renders.
#ifndef LOAM_CHAT_CONVERSATION_H
#define LOAM_CHAT_CONVERSATION_H

#include <jansson.h>
#include <stdbool.h>
#include <time.h>

struct loam_chat_input {
    const json_t *messages;  // array of objects with "role", "content" and others
    const json_t *tools;     // array, or NULL
    const json_t *documents; // array, or NULL
    // Object with the template's other variables, such as bos_token, or NULL. Their text counts as the template's own.
    const json_t *variables;
    bool add_generation_prompt;
    struct tm now;    // for strftime_now
    long microsecond; // of `now`
};

#endif
