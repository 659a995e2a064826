// Lists of messages: their structure, and the conversations of ShareGPT.
#ifndef LOAM_DATA_RECORD_MESSAGES_H
#define LOAM_DATA_RECORD_MESSAGES_H

#include "data/record_tree.h"

// Messages of a kind.
struct loam_message_note {
    size_t count;
    size_t line; // of the first one
};

// What checking noticed without refusing it.
struct loam_record_notes {
    size_t unknown_roles;                    // messages whose role is none of those that templates know
    size_t line;                             // of the first one
    char role[32];                           // its role
    struct loam_message_note text_arguments; // calls whose arguments are a text, as OpenAI writes them
    struct loam_message_note weights;        // messages with a "weight" other than 1, which has no effect
};

// Fails with "PATH:LINE: field "FIELD": expected EXPECTED".
enum loam_status loam_record_fail_field(struct loam_record_place place, const char *field,
                                        const char *expected, struct loam_error *error);

// Checks a list of messages. `field` is its name in messages.
enum loam_status loam_messages_check(const json_t *list, const char *field, struct loam_record_place place,
                                     struct loam_record_notes *notes, struct loam_error *error);

// Replaces "conversations" (from, value) and "system" of a record of ShareGPT by "messages". Turns that
// already have "role" stay as they are.
enum loam_status loam_messages_convert(json_t *tree, struct loam_record_place place,
                                       struct loam_error *error);

// Turns "tools" into an array: of a text of JSON, or nothing of null.
enum loam_status loam_messages_read_tools(json_t *tree, struct loam_record_place place,
                                          struct loam_error *error);

#endif
