// A long conversation as several examples (--too-long split). It is divided between turns, each from a message of the user
// to the next one: a piece has the messages of the system at the start, and as many of the next turns as fit. So no
// answer is cut off from its question, and each answer is in one piece. A turn that is too long is a piece of its own,
// which is shortened when it is read (data/chat_example.h).
#ifndef LOAM_DATA_CHAT_SPLIT_H
#define LOAM_DATA_CHAT_SPLIT_H

#include "data/chat_example.h"

// A zeroed struct is valid, and reused for every conversation.
struct loam_chat_pieces {
    int32_t *starts; // [count] index of the first message of each piece, those of the system aside
    int32_t count;   // 1: the conversation is one example
    size_t capacity;
};
void loam_chat_pieces_deinit(struct loam_chat_pieces *pieces);

// Divides a conversation of more than `max_length` tokens. The result does not depend on earlier conversations.
enum loam_status loam_chat_split(const struct loam_conversation *conversation,
                                 const struct loam_chat_options *options, struct loam_chat_work *work,
                                 struct loam_chat_pieces *pieces, struct loam_error *error);

// The messages of the system at the start, and those in [start, end), as a new array; NULL for lack of memory.
json_t *loam_chat_piece(const json_t *messages, size_t start, size_t end);

#endif
