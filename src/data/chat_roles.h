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

// Sets roles [count] of an example's tokens from the rendering that it was made of. A token belongs to the first message
// that it reaches into. False: tokens were left out of the example, so that their places are not known.
bool loam_chat_roles(const struct loam_chat_work *work, const struct loam_example *example,
                     unsigned char *roles);

#endif
