#include "chat/scope.h"

#include <stdio.h>
#include <string.h>

#include "chat/native.h"
#include "chat/text.h"

struct resolver {
    const struct chat_source *source;
    struct chat_pool *pool;
    struct loam_error *error;
};

static enum loam_status fail(const struct resolver *resolver, const struct chat_node *node,
                             const char *message)
{
    return loam_fail(resolver->error, LOAM_ERROR_FORMAT, "%s, line %u: %s", resolver->source->name,
                     node->line, message);
}

// ---- Children ----

typedef enum loam_status visit_function(void *user, struct chat_node *node);

static enum loam_status visit_all(const struct chat_nodes *nodes, visit_function *visit, void *user)
{
    for (size_t i = 0; i < nodes->count; i++)
        LOAM_TRY(visit(user, nodes->items[i]));
    return LOAM_OK;
}

static enum loam_status visit_one(struct chat_node *node, visit_function *visit, void *user)
{
    return node == NULL ? LOAM_OK : visit(user, node);
}

// Visits the expressions below a node, without bodies.
static enum loam_status visit_expressions(struct chat_node *node, visit_function *visit, void *user)
{
    LOAM_TRY(visit_one(node->first, visit, user));
    LOAM_TRY(visit_one(node->second, visit, user));
    LOAM_TRY(visit_one(node->third, visit, user));
    LOAM_TRY(visit_all(&node->items, visit, user));
    LOAM_TRY(visit_all(&node->defaults, visit, user));
    LOAM_TRY(visit_all(&node->keywords, visit, user));
    LOAM_TRY(visit_one(node->more, visit, user));
    LOAM_TRY(visit_one(node->more_named, visit, user));
    return node->type == CHAT_FOR_NODE || node->type == CHAT_IF_NODE ? LOAM_OK
                                                                     : visit_all(&node->others, visit, user);
}

// ---- Special names ----

// Looks for a name that is read before it is set, as jinja2's find_undeclared.
struct search {
    const char *name;
    bool found, declared;
};

static enum loam_status search_node(void *user, struct chat_node *node)
{
    struct search *search = user;
    if (search->found || search->declared) return LOAM_OK;
    if (node->type == CHAT_NAME_NODE && chat_string_is(node->name, search->name)) {
        *(node->use == CHAT_LOAD ? &search->found : &search->declared) = true;
        return LOAM_OK;
    }
    LOAM_TRY(visit_expressions(node, search_node, search));
    LOAM_TRY(visit_all(&node->body, search_node, search));
    return node->type == CHAT_FOR_NODE || node->type == CHAT_IF_NODE
               ? visit_all(&node->others, search_node, search)
               : LOAM_OK;
}

static bool is_read(const struct chat_nodes *body, const char *name)
{
    struct search search = {.name = name};
    return visit_all(body, search_node, &search) == LOAM_OK && search.found;
}

// ---- Symbols ----

static struct chat_symbol *find_symbol(const struct chat_scope *scope, const struct chat_string *name)
{
    for (size_t i = 0; i < scope->count; i++)
        if (chat_string_equals(scope->symbols[i].name, name)) return &scope->symbols[i];
    return NULL;
}

// The place of a name in a scope or one around it.
static bool find_place(const struct chat_scope *scope, const struct chat_string *name,
                       struct chat_place *place)
{
    *place = (struct chat_place){0};
    for (; scope != NULL; scope = scope->parent, place->hops++) {
        const struct chat_symbol *symbol = find_symbol(scope, name);
        if (symbol == NULL) continue;
        place->slot = (uint32_t)(symbol - scope->symbols);
        return true;
    }
    return false;
}

static struct chat_symbol *add_symbol(const struct resolver *resolver, struct chat_scope *scope,
                                      const struct chat_string *name, enum chat_load load)
{
    if (scope->count == scope->capacity) {
        size_t capacity = scope->capacity == 0 ? 8 : scope->capacity * 2;
        struct chat_symbol *symbols =
            chat_pool_take(resolver->pool, capacity, sizeof *symbols, resolver->error);
        if (symbols == NULL) return NULL;
        if (scope->count > 0) memcpy(symbols, scope->symbols, scope->count * sizeof *symbols);
        scope->symbols = symbols;
        scope->capacity = capacity;
    }
    struct chat_symbol *symbol = &scope->symbols[scope->count++];
    *symbol = (struct chat_symbol){.name = name, .load = load};
    return symbol;
}

// Finds the outer variable of a name; the place counts from the scope itself.
static bool find_outer(const struct chat_scope *scope, const struct chat_string *name,
                       struct chat_place *place)
{
    if (scope->parent == NULL || !find_place(scope->parent, name, place)) return false;
    place->hops++;
    return true;
}

static enum loam_status store_name(const struct resolver *resolver, struct chat_scope *scope,
                                   const struct chat_string *name)
{
    struct chat_symbol *symbol = find_symbol(scope, name);
    if (symbol == NULL) {
        symbol = add_symbol(resolver, scope, name, CHAT_LOAD_UNSET);
        if (symbol == NULL) return loam_failure(resolver->error);
        if (find_outer(scope, name, &symbol->outer)) symbol->load = CHAT_LOAD_OUTER;
    }
    symbol->stored = true;
    return LOAM_OK;
}

static enum loam_status declare_parameter(const struct resolver *resolver, struct chat_scope *scope,
                                          const struct chat_string *name)
{
    struct chat_symbol *symbol = find_symbol(scope, name);
    if (symbol == NULL) symbol = add_symbol(resolver, scope, name, CHAT_LOAD_PARAMETER);
    if (symbol == NULL) return loam_failure(resolver->error);
    symbol->load = CHAT_LOAD_PARAMETER;
    symbol->stored = true;
    return LOAM_OK;
}

static enum loam_status load_name(const struct resolver *resolver, struct chat_scope *scope,
                                  const struct chat_string *name)
{
    struct chat_place place;
    if (find_place(scope, name, &place)) return LOAM_OK;
    return add_symbol(resolver, scope, name, CHAT_LOAD_CONTEXT) == NULL ? loam_failure(resolver->error)
                                                                        : LOAM_OK;
}

// ---- First pass: the symbols of one scope ----

struct analysis {
    const struct resolver *resolver;
    struct chat_scope *scope;
    bool as_parameters; // names that are stored are parameters
};

static enum loam_status analyse(void *user, struct chat_node *node);

static enum loam_status analyse_name(const struct analysis *analysis, const struct chat_node *node)
{
    bool parameter = node->use == CHAT_PARAMETER || (node->use == CHAT_STORE && analysis->as_parameters);
    if (parameter) return declare_parameter(analysis->resolver, analysis->scope, node->name);
    return (node->use == CHAT_STORE ? store_name : load_name)(analysis->resolver, analysis->scope,
                                                              node->name);
}

// A copy of a scope, for one branch of an if.
static enum loam_status copy_scope(const struct resolver *resolver, struct chat_scope *copy,
                                   const struct chat_scope *scope)
{
    *copy = (struct chat_scope){.parent = scope->parent, .count = scope->count, .capacity = scope->count + 8};
    copy->symbols = chat_pool_take(resolver->pool, copy->capacity, sizeof *copy->symbols, resolver->error);
    if (copy->symbols == NULL) return loam_failure(resolver->error);
    if (scope->count > 0) memcpy(copy->symbols, scope->symbols, scope->count * sizeof *copy->symbols);
    return LOAM_OK;
}

// Takes over what a branch found.
static enum loam_status merge_branch(const struct resolver *resolver, struct chat_scope *scope,
                                     const struct chat_scope *branch)
{
    for (size_t i = 0; i < branch->count; i++) {
        const struct chat_symbol *found = &branch->symbols[i];
        struct chat_symbol *symbol = find_symbol(scope, found->name);
        if (symbol == NULL) symbol = add_symbol(resolver, scope, found->name, found->load);
        if (symbol == NULL) return loam_failure(resolver->error);
        symbol->load = found->load;
        symbol->outer = found->outer;
        symbol->stored = symbol->stored || found->stored;
    }
    return LOAM_OK;
}

static enum loam_status analyse_if(struct analysis *analysis, struct chat_node *node)
{
    struct chat_scope *scope = analysis->scope, branches[2], before;
    LOAM_TRY(analyse(analysis, node->first));
    LOAM_TRY(copy_scope(analysis->resolver, &before, scope));
    for (int i = 0; i < 2; i++) {
        LOAM_TRY(copy_scope(analysis->resolver, &branches[i], scope));
        struct analysis branch = {analysis->resolver, &branches[i], analysis->as_parameters};
        LOAM_TRY(visit_all(i == 0 ? &node->body : &node->others, analyse, &branch));
    }
    for (int i = 0; i < 2; i++)
        LOAM_TRY(merge_branch(analysis->resolver, scope, &branches[i]));
    // A name that only a branch sets keeps the value from outside where the branch is not taken.
    for (size_t i = 0; i < scope->count; i++) {
        struct chat_symbol *symbol = &scope->symbols[i];
        const struct chat_symbol *earlier = find_symbol(&before, symbol->name);
        if (!symbol->stored || (earlier != NULL && earlier->stored)) continue;
        symbol->load = find_outer(scope, symbol->name, &symbol->outer) ? CHAT_LOAD_OUTER : CHAT_LOAD_CONTEXT;
    }
    return LOAM_OK;
}

// Visits a node of the scope; bodies with scopes of their own are left out.
static enum loam_status analyse(void *user, struct chat_node *node)
{
    struct analysis *analysis = user;
    switch (node->type) {
    case CHAT_NAME_NODE:
        return analyse_name(analysis, node);
    case CHAT_MEMBER_NODE:
        return load_name(analysis->resolver, analysis->scope, node->name);
    case CHAT_IF_NODE:
        return analyse_if(analysis, node);
    case CHAT_FOR_NODE:
        return analyse(analysis, node->second);
    case CHAT_SET_NODE:
        LOAM_TRY(analyse(analysis, node->second));
        return analyse(analysis, node->first);
    case CHAT_SET_BLOCK_NODE:
    case CHAT_CALL_BLOCK_NODE:
    case CHAT_FILTER_BLOCK_NODE:
        return analyse(analysis, node->first);
    case CHAT_MACRO_NODE:
        return store_name(analysis->resolver, analysis->scope, node->name);
    case CHAT_WITH_NODE:
        return visit_all(&node->others, analyse, analysis);
    case CHAT_GENERATION_NODE:
        return LOAM_OK;
    default:
        return visit_expressions(node, analyse, analysis);
    }
}

static enum loam_status create_scope(const struct resolver *resolver, struct chat_scope *parent,
                                     struct analysis *analysis, struct chat_scope **scope)
{
    *scope = chat_pool_take(resolver->pool, 1, sizeof **scope, resolver->error);
    if (*scope == NULL) return loam_failure(resolver->error);
    (*scope)->parent = parent;
    *analysis = (struct analysis){resolver, *scope, false};
    return LOAM_OK;
}

static enum loam_status analyse_parameters(struct analysis *analysis, struct chat_node *target)
{
    analysis->as_parameters = true;
    LOAM_TRY(analyse(analysis, target));
    analysis->as_parameters = false;
    return LOAM_OK;
}

// ---- Second pass: places of names, filters and tests ----

struct placement {
    const struct resolver *resolver;
    struct chat_scope *scope;
    bool soft; // inside an if, where an unknown filter matters only when it is reached
};

static enum loam_status place(void *user, struct chat_node *node);

static enum loam_status place_body(const struct placement *placement, struct chat_scope *scope,
                                   const struct chat_nodes *body)
{
    struct placement inner = {placement->resolver, scope, false};
    return visit_all(body, place, &inner);
}

static enum loam_status place_in(const struct placement *placement, struct chat_scope *scope,
                                 struct chat_node *node)
{
    struct placement inner = {placement->resolver, scope, false};
    return visit_one(node, place, &inner);
}

static struct chat_place find_special(const struct chat_scope *scope, const char *name)
{
    struct chat_place place = {0};
    for (size_t i = 0; i < scope->count; i++)
        if (chat_string_is(scope->symbols[i].name, name)) place.slot = (uint32_t)i;
    return place;
}

static enum loam_status declare_special(const struct resolver *resolver, struct chat_scope *scope,
                                        const char *name, struct chat_place *place)
{
    struct chat_value string;
    LOAM_TRY(chat_string_create(&string, name, strlen(name), CHAT_TEMPLATE_ORIGIN, resolver->pool,
                                resolver->error));
    LOAM_TRY(declare_parameter(resolver, scope, string.as.string));
    *place = find_special(scope, name);
    return LOAM_OK;
}

static bool sets_loop(const struct chat_node *target)
{
    bool found = target->type == CHAT_NAME_NODE && chat_string_is(target->name, "loop");
    for (size_t i = 0; i < target->items.count; i++)
        found = found || sets_loop(target->items.items[i]);
    return found;
}

static enum loam_status place_for(const struct placement *placement, struct chat_node *node)
{
    const struct resolver *resolver = placement->resolver;
    struct analysis analysis;
    if (sets_loop(node->first))
        return fail(resolver, node, "Can't assign to special loop variable in for-loop target");
    LOAM_TRY(create_scope(resolver, placement->scope, &analysis, &node->scope));
    node->uses_loop = is_read(&node->body, "loop");
    LOAM_TRY(analyse_parameters(&analysis,
                                node->first)); // first, so that the condition's frame has the same slots
    if (node->uses_loop) LOAM_TRY(declare_special(resolver, node->scope, "loop", &node->place));
    LOAM_TRY(visit_all(&node->body, analyse, &analysis));
    LOAM_TRY(create_scope(resolver, placement->scope, &analysis, &node->else_scope));
    LOAM_TRY(visit_all(&node->others, analyse, &analysis));
    struct placement outer = *placement;
    LOAM_TRY(place(&outer, node->second));
    LOAM_TRY(place_in(placement, node->scope, node->first));
    LOAM_TRY(place_body(placement, node->scope, &node->body));
    LOAM_TRY(place_body(placement, node->else_scope, &node->others));
    if (node->third == NULL) return LOAM_OK;
    // The condition has a frame of its own with copies of the loop variables.
    LOAM_TRY(create_scope(resolver, placement->scope, &analysis, &node->test_scope));
    LOAM_TRY(analyse_parameters(&analysis, node->first));
    LOAM_TRY(analyse(&analysis, node->third));
    return place_in(placement, node->test_scope, node->third);
}

static enum loam_status place_macro(const struct placement *placement, struct chat_node *node)
{
    const struct resolver *resolver = placement->resolver;
    struct analysis analysis;
    LOAM_TRY(create_scope(resolver, placement->scope, &analysis, &node->scope));
    LOAM_TRY(visit_all(&node->items, analyse, &analysis));
    struct {
        const char *name;
        bool *used;
        struct chat_place *place;
    } specials[] = {{"caller", &node->uses_caller, &node->caller},
                    {"kwargs", &node->uses_named, &node->named},
                    {"varargs", &node->uses_rest, &node->rest}};
    for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++) {
        bool parameter = false;
        for (size_t k = 0; k < node->items.count; k++)
            parameter = parameter || chat_string_is(node->items.items[k]->name, specials[i].name);
        *specials[i].used = !parameter && is_read(&node->body, specials[i].name);
        if (*specials[i].used)
            LOAM_TRY(declare_special(resolver, node->scope, specials[i].name, specials[i].place));
    }
    LOAM_TRY(visit_all(&node->defaults, analyse, &analysis));
    LOAM_TRY(visit_all(&node->body, analyse, &analysis));
    LOAM_TRY(place_body(placement, node->scope, &node->items));
    LOAM_TRY(place_body(placement, node->scope, &node->defaults));
    return place_body(placement, node->scope, &node->body);
}

// A body with a scope of its own; `filter` is evaluated in that scope.
static enum loam_status place_block(const struct placement *placement, struct chat_node *node,
                                    struct chat_node *filter)
{
    struct analysis analysis;
    LOAM_TRY(create_scope(placement->resolver, placement->scope, &analysis, &node->scope));
    LOAM_TRY(visit_all(&node->body, analyse, &analysis));
    if (filter != NULL) LOAM_TRY(analyse(&analysis, filter));
    LOAM_TRY(place_body(placement, node->scope, &node->body));
    return place_in(placement, node->scope, filter);
}

static enum loam_status place_with(const struct placement *placement, struct chat_node *node)
{
    struct analysis analysis;
    LOAM_TRY(create_scope(placement->resolver, placement->scope, &analysis, &node->scope));
    for (size_t i = 0; i < node->items.count; i++)
        LOAM_TRY(analyse_parameters(&analysis, node->items.items[i]));
    LOAM_TRY(visit_all(&node->body, analyse, &analysis));
    LOAM_TRY(place_body(placement, placement->scope, &node->others));
    LOAM_TRY(place_body(placement, node->scope, &node->items));
    return place_body(placement, node->scope, &node->body);
}

static enum loam_status place_filter(const struct placement *placement, struct chat_node *node)
{
    bool filter = node->type == CHAT_FILTER_NODE;
    node->native = filter ? chat_filter_find(node->name) : chat_test_find(node->name);
    if (node->native != NULL || placement->soft) return LOAM_OK;
    char message[128];
    snprintf(message, sizeof message, "No %s named '%.*s'.", filter ? "filter" : "test",
             (int)node->name->size, node->name->data);
    return fail(placement->resolver, node, message);
}

static enum loam_status place_soft(const struct placement *placement, struct chat_node *node)
{
    struct placement soft = *placement;
    soft.soft = true;
    LOAM_TRY(visit_expressions(node, place, &soft));
    LOAM_TRY(visit_all(&node->body, place, &soft));
    return node->type == CHAT_IF_NODE ? visit_all(&node->others, place, &soft) : LOAM_OK;
}

static enum loam_status place(void *user, struct chat_node *node)
{
    struct placement *placement = user;
    switch (node->type) {
    case CHAT_NAME_NODE:
    case CHAT_MEMBER_NODE:
        find_place(placement->scope, node->name, &node->place);
        return LOAM_OK;
    case CHAT_FOR_NODE:
        return place_for(placement, node);
    case CHAT_IF_NODE:
    case CHAT_CONDITION_NODE:
        return place_soft(placement, node);
    case CHAT_MACRO_NODE:
        LOAM_TRY(place_macro(placement, node));
        find_place(placement->scope, node->name, &node->place);
        return LOAM_OK;
    case CHAT_CALL_BLOCK_NODE:
        LOAM_TRY(place_macro(placement, node));
        return place(user, node->first);
    case CHAT_GENERATION_NODE:
        return place_macro(placement, node);
    case CHAT_SET_BLOCK_NODE:
        LOAM_TRY(place_block(placement, node, node->second));
        return place(user, node->first);
    case CHAT_FILTER_BLOCK_NODE:
        return place_block(placement, node, node->first);
    case CHAT_WITH_NODE:
        return place_with(placement, node);
    case CHAT_FILTER_NODE:
    case CHAT_TEST_NODE:
        LOAM_TRY(place_filter(placement, node));
        break;
    default:
        break;
    }
    return visit_expressions(node, place, user);
}

enum loam_status chat_resolve(struct chat_scope **scope, const struct chat_nodes *body,
                              const struct chat_source *source, struct chat_pool *pool,
                              struct loam_error *error)
{
    struct resolver resolver = {source, pool, error};
    struct analysis analysis;
    LOAM_TRY(create_scope(&resolver, NULL, &analysis, scope));
    LOAM_TRY(visit_all(body, analyse, &analysis));
    struct placement placement = {&resolver, *scope, false};
    return visit_all(body, place, &placement);
}
