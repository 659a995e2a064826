// Variables of a template. jinja2 compiles a template to Python functions and decides before it runs which variable a
// name means. The rules are those of jinja2's idtracking.py.
#ifndef LOAM_CHAT_SCOPE_H
#define LOAM_CHAT_SCOPE_H

#include "chat/node.h"

// What a variable holds when its frame is entered.
enum chat_load {
    CHAT_LOAD_UNSET,
    CHAT_LOAD_CONTEXT,   // the variable that the caller passed, or a function of the language
    CHAT_LOAD_OUTER,     // the value of an outer frame's variable
    CHAT_LOAD_PARAMETER, // what the statement sets: a loop variable, a macro's parameter
};

struct chat_symbol {
    const struct chat_string *name;
    enum chat_load load;
    struct chat_place outer; // counted from the frame itself
    bool stored;
};

struct chat_scope {
    struct chat_scope *parent;   // NULL: the template's own scope
    struct chat_symbol *symbols; // [count]
    size_t count, capacity;
};

// Finds the scopes, the place of each name, and each filter and test. Errors name template and line.
enum loam_status chat_resolve(struct chat_scope **scope, const struct chat_nodes *body,
                              const struct chat_source *source, struct chat_pool *pool,
                              struct loam_error *error);

#endif
