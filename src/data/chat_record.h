// The conversation of a record.
#ifndef LOAM_DATA_CHAT_RECORD_H
#define LOAM_DATA_CHAT_RECORD_H

#include "data/chat_example.h"
#include "data/record.h"

// Whether records of the shape have messages, which only a chat template can render.
bool loam_record_has_messages(enum loam_record_shape shape);
// Whether records of the shape are a prompt and an answer, which a chat template renders as a user's and an assistant's
// message.
bool loam_record_is_answered(enum loam_record_shape shape);

// Makes the conversation of a record of such a shape. An instruction and its input are one message, with an empty line
// between them. The lists belong to the record, or to `*made`, which the caller releases with json_decref(), also on
// failure.
enum loam_status loam_record_conversation(const struct loam_record *record,
                                          struct loam_conversation *conversation, json_t **made,
                                          struct loam_error *error);

#endif
