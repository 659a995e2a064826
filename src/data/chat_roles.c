#include "data/chat_roles.h"

#include <string.h>

#include "base/grow.h"

static const struct {
    const char *name;
    enum loam_chat_role role;
} roles_by_name[] = {
    {"system", LOAM_CHAT_ROLE_SYSTEM}, {"developer", LOAM_CHAT_ROLE_SYSTEM},
    {"user", LOAM_CHAT_ROLE_USER},     {"assistant", LOAM_CHAT_ROLE_ASSISTANT},
    {"tool", LOAM_CHAT_ROLE_TOOL},     {"function", LOAM_CHAT_ROLE_TOOL},
    {"ipython", LOAM_CHAT_ROLE_TOOL},
};

const char *loam_chat_role_name(enum loam_chat_role role)
{
    static const char *const names[LOAM_CHAT_ROLES] = {
        [LOAM_CHAT_ROLE_TEMPLATE] = "template", [LOAM_CHAT_ROLE_SYSTEM] = "system",
        [LOAM_CHAT_ROLE_USER] = "user",         [LOAM_CHAT_ROLE_ASSISTANT] = "assistant",
        [LOAM_CHAT_ROLE_TOOL] = "tool",         [LOAM_CHAT_ROLE_OTHER] = "other",
    };
    return names[role];
}

static enum loam_chat_role role_of(const struct loam_chat_span *span)
{
    if (!span->is_input || !loam_chat_span_is_text(span)) return LOAM_CHAT_ROLE_TEMPLATE;
    for (size_t i = 0; span->role != NULL && i < sizeof roles_by_name / sizeof *roles_by_name; i++)
        if (strcmp(span->role, roles_by_name[i].name) == 0) return roles_by_name[i].role;
    return LOAM_CHAT_ROLE_OTHER;
}

enum loam_status loam_chat_roles_find(struct loam_chat_work *work, struct loam_error *error)
{
    const struct loam_encoding *encoding = &work->encoding;
    const struct loam_chat_rendering *rendering = &work->rendering;
    unsigned char *roles =
        loam_grow(work->roles, &work->role_capacity, encoding->count, sizeof *roles, error);
    if (roles == NULL) return loam_failure(error);
    work->roles = roles;
    size_t span = 0; // the first one that ends after the token's start
    for (size_t i = 0; i < encoding->count; i++) {
        while (span < rendering->span_count && rendering->spans[span].end <= encoding->starts[i])
            span++;
        roles[i] = LOAM_CHAT_ROLE_TEMPLATE;
        size_t start = encoding->starts[i];
        for (size_t at = span;
             at < rendering->span_count && start < encoding->ends[i] && roles[i] == LOAM_CHAT_ROLE_TEMPLATE;
             start = rendering->spans[at++].end)
            roles[i] = (unsigned char)role_of(&rendering->spans[at]);
    }
    return LOAM_OK;
}
