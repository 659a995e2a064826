// Who wrote each token of a conversation.
#ifndef LOAM_DATA_CHAT_ROLES_H
#define LOAM_DATA_CHAT_ROLES_H

#include "data/chat_work.h"

enum loam_chat_role {
    LOAM_CHAT_ROLE_TEMPLATE, // the template's own text, with the names of roles
    LOAM_CHAT_ROLE_SYSTEM,   // also "developer"
    LOAM_CHAT_ROLE_USER,
    LOAM_CHAT_ROLE_ASSISTANT,
    LOAM_CHAT_ROLE_TOOL,  // also "function" and "ipython"
    LOAM_CHAT_ROLE_OTHER, // other messages, and the tools beside them
    LOAM_CHAT_ROLES,
};
const char *loam_chat_role_name(enum loam_chat_role role);

// Sets work->roles of all tokens of the encoding. A token belongs to the first message that it reaches into. To be called
// while the messages of the rendering exist.
enum loam_status loam_chat_roles_find(struct loam_chat_work *work, struct loam_error *error);

#endif
