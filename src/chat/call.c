// Calls: arguments bound to parameters, macros, methods.
#include <string.h>

#include "chat/run.h"

// ---- Natives ----

// The index of a parameter by name; CHAT_PARAMETERS if there is none.
static size_t find_parameter(const char *parameters, const struct chat_string *name)
{
    size_t index = 0;
    for (const char *at = parameters; *at != '\0'; index++) {
        size_t size = strcspn(at, " ");
        if (size == name->size && memcmp(at, name->data, size) == 0) return index;
        at += size;
        at += *at == ' ';
    }
    return CHAT_PARAMETERS;
}

static size_t count_parameters(const char *parameters)
{
    size_t count = *parameters != '\0';
    for (; *parameters != '\0'; parameters++)
        count += *parameters == ' ';
    return count;
}

static enum loam_status bind(struct chat_run *run, const struct chat_native *native,
                             const struct chat_arguments *arguments, struct chat_call *call)
{
    size_t count = count_parameters(native->parameters);
    if (arguments->count > count)
        return chat_fail(run, "%s() takes at most %zu arguments (%zu given)", native->name, count,
                         arguments->count);
    for (size_t i = 0; i < arguments->count; i++)
        call->values[i] = arguments->items[i];
    for (size_t i = 0; i < arguments->named_count; i++) {
        const struct chat_string *name = arguments->named[i].name;
        size_t index = find_parameter(native->parameters, name);
        if (index == CHAT_PARAMETERS)
            return chat_fail(run, "%s() got an unexpected keyword argument '%.*s'", native->name,
                             (int)name->size, name->data);
        if (call->values[index].kind != CHAT_MISSING)
            return chat_fail(run, "%s() got multiple values for argument '%.*s'", native->name,
                             (int)name->size, name->data);
        call->values[index] = arguments->named[i].value;
    }
    for (size_t i = 0; i < native->required; i++)
        if (call->values[i].kind == CHAT_MISSING)
            return chat_fail(run, "%s() missing %zu required positional arguments", native->name,
                             native->required);
    return LOAM_OK;
}

enum loam_status chat_native_call(struct chat_run *run, const struct chat_native *native,
                                  struct chat_value self, const struct chat_arguments *arguments,
                                  struct chat_value *result)
{
    struct chat_call call = {.self = self, .all = *arguments};
    LOAM_TRY(chat_work(run, self.kind == CHAT_STRING ? self.as.string->size : 0));
    if (native->function == NULL)
        return loam_fail(run->error, LOAM_ERROR_UNSUPPORTED, "loam does not have %s of jinja2", native->name);
    if (strcmp(native->parameters, "*") != 0) LOAM_TRY(bind(run, native, arguments, &call));
    LOAM_TRY(chat_descend(run));
    LOAM_TRY(native->function(run, &call, result));
    chat_ascend(run);
    return LOAM_OK;
}

// ---- Macros ----

enum loam_status chat_macro_create(struct chat_run *run, const struct chat_node *node,
                                   struct chat_value *macro)
{
    struct chat_macro *made = chat_pool_take(&run->pool, 1, sizeof *made, run->error);
    if (made == NULL) return loam_failure(run->error);
    *made = (struct chat_macro){node, run->frame};
    *macro = (struct chat_value){.kind = CHAT_MACRO, .as.macro = made};
    return LOAM_OK;
}

static const char *macro_name(const struct chat_node *node, int *size)
{
    *size = node->name == NULL ? 4 : (int)node->name->size;
    return node->name == NULL ? "None" : node->name->data;
}

// Finds an argument by name and marks it as taken.
static struct chat_value take_named(const struct chat_arguments *arguments, bool *taken,
                                    const struct chat_string *name)
{
    for (size_t i = 0; i < arguments->named_count; i++) {
        if (taken[i] || !chat_string_equals(arguments->named[i].name, name)) continue;
        taken[i] = true;
        return arguments->named[i].value;
    }
    return (struct chat_value){0};
}

static enum loam_status bind_caller(struct chat_run *run, const struct chat_node *node,
                                    struct chat_frame *frame, const struct chat_arguments *arguments,
                                    bool *taken)
{
    struct chat_value name, caller;
    if (!node->uses_caller) return LOAM_OK;
    LOAM_TRY(chat_make_string(run, "caller", &name));
    caller = take_named(arguments, taken, name.as.string);
    if (caller.kind == CHAT_MISSING || caller.kind == CHAT_NONE)
        LOAM_TRY(chat_undefined_hint(run, "No caller defined", &caller));
    frame->values[node->caller.slot] = caller;
    return LOAM_OK;
}

// Puts the named arguments that no parameter took into `kwargs`, or refuses them.
static enum loam_status bind_rest_named(struct chat_run *run, const struct chat_node *node,
                                        struct chat_frame *frame, const struct chat_arguments *arguments,
                                        const bool *taken)
{
    struct chat_dict *rest = chat_dict_create(&run->pool, run->error);
    if (rest == NULL) return loam_failure(run->error);
    for (size_t i = 0; i < arguments->named_count; i++) {
        const struct chat_named *named = &arguments->named[i];
        int size;
        const char *name = macro_name(node, &size);
        if (taken[i]) continue;
        if (!node->uses_named)
            return chat_fail(run, "macro '%.*s' takes no keyword argument '%.*s'", size, name,
                             (int)named->name->size, named->name->data);
        LOAM_TRY(chat_dict_put(rest, &run->pool, chat_from_string(named->name), named->value, run->error));
    }
    if (node->uses_named)
        frame->values[node->named.slot] = (struct chat_value){.kind = CHAT_DICT, .as.dict = rest};
    return LOAM_OK;
}

static enum loam_status bind_rest(struct chat_run *run, const struct chat_node *node,
                                  struct chat_frame *frame, const struct chat_arguments *arguments)
{
    size_t count = node->items.count, more = arguments->count > count ? arguments->count - count : 0;
    int size;
    const char *name = macro_name(node, &size);
    if (more > 0 && !node->uses_rest)
        return chat_fail(run, "macro '%.*s' takes not more than %zu argument(s)", size, name, count);
    if (!node->uses_rest) return LOAM_OK;
    struct chat_value *items, rest;
    LOAM_TRY(chat_list_create(&rest, CHAT_TUPLE, more, &items, &run->pool, run->error));
    for (size_t i = 0; i < more; i++)
        items[i] = arguments->items[count + i];
    frame->values[node->rest.slot] = rest;
    return LOAM_OK;
}

static enum loam_status set_default(struct chat_run *run, const struct chat_node *node, size_t index,
                                    struct chat_value *value)
{
    size_t first = node->items.count - node->defaults.count;
    if (index >= first) return chat_evaluate(run, node->defaults.items[index - first], value);
    const struct chat_string *name = node->items.items[index]->name;
    char hint[128];
    snprintf(hint, sizeof hint, "parameter '%.*s' was not provided", (int)name->size, name->data);
    return chat_undefined_hint(run, hint, value);
}

static enum loam_status bind_macro(struct chat_run *run, const struct chat_node *node,
                                   struct chat_frame *frame, const struct chat_arguments *arguments)
{
    bool *taken = chat_pool_take(&run->pool, arguments->named_count, sizeof *taken, run->error);
    if (taken == NULL) return loam_failure(run->error);
    for (size_t i = 0; i < node->items.count; i++) {
        struct chat_value *value = &frame->values[node->items.items[i]->place.slot];
        *value = i < arguments->count ? arguments->items[i]
                                      : take_named(arguments, taken, node->items.items[i]->name);
    }
    LOAM_TRY(bind_caller(run, node, frame, arguments, taken));
    LOAM_TRY(bind_rest_named(run, node, frame, arguments, taken));
    LOAM_TRY(bind_rest(run, node, frame, arguments));
    for (size_t i = 0; i < node->items.count; i++) {
        struct chat_value *value = &frame->values[node->items.items[i]->place.slot];
        if (value->kind == CHAT_MISSING) LOAM_TRY(set_default(run, node, i, value));
    }
    return LOAM_OK;
}

static enum loam_status call_macro(struct chat_run *run, const struct chat_macro *macro,
                                   const struct chat_arguments *arguments, struct chat_value *result)
{
    struct chat_frame *frame, *outer = run->frame;
    LOAM_TRY(chat_descend(run));
    LOAM_TRY(chat_frame_create(run, macro->node->scope, macro->frame, &frame));
    chat_frame_enter(run, frame);
    run->frame = frame;
    LOAM_TRY(bind_macro(run, macro->node, frame, arguments));
    LOAM_TRY(chat_capture(run, frame, &macro->node->body, result));
    run->frame = outer;
    chat_ascend(run);
    return LOAM_OK;
}

static enum loam_status call_joiner(struct chat_run *run, struct chat_joiner *joiner,
                                    struct chat_value *result)
{
    bool used = joiner->used;
    joiner->used = true;
    *result = joiner->separator;
    return used ? LOAM_OK : chat_make_string(run, "", result);
}

// The strings that a method of markup returns are markup.
static void mark_markup(struct chat_value *value)
{
    if (value->kind == CHAT_STRING) value->markup = true;
    if (!chat_is_list(*value)) return;
    for (size_t i = 0; i < value->as.list->count; i++)
        if (value->as.list->items[i].kind == CHAT_STRING) value->as.list->items[i].markup = true;
}

static enum loam_status call_method(struct chat_run *run, const struct chat_method *method,
                                    const struct chat_arguments *arguments, struct chat_value *result)
{
    LOAM_TRY(chat_native_call(run, method->native, method->self, arguments, result));
    if (method->self.kind == CHAT_STRING && method->self.markup) mark_markup(result);
    return LOAM_OK;
}

enum loam_status chat_invoke(struct chat_run *run, struct chat_value callee,
                             const struct chat_arguments *arguments, struct chat_value *result)
{
    switch ((enum chat_kind)callee.kind) {
    case CHAT_FUNCTION:
        return chat_native_call(run, callee.as.function, (struct chat_value){0}, arguments, result);
    case CHAT_METHOD:
        return call_method(run, callee.as.method, arguments, result);
    case CHAT_MACRO:
        return call_macro(run, callee.as.macro, arguments, result);
    case CHAT_JOINER:
        return call_joiner(run, callee.as.joiner, result);
    case CHAT_LOOP:
        return chat_fail(run, "The loop must have the 'recursive' marker to be called recursively.");
    case CHAT_UNDEFINED:
        return chat_fail_undefined(run, callee);
    default:
        return chat_fail(run, "'%s' object is not callable", chat_type_name(callee));
    }
}

enum loam_status chat_need_integer(struct chat_run *run, struct chat_value value, int64_t fallback,
                                   int64_t *integer)
{
    *integer = fallback;
    if (value.kind == CHAT_MISSING || value.kind == CHAT_NONE) return LOAM_OK;
    if (value.kind == CHAT_UNDEFINED) return chat_fail_undefined(run, value);
    if (!chat_is_integer(value))
        return chat_fail(run, "'%s' object cannot be interpreted as an integer", chat_type_name(value));
    *integer = chat_integer(value);
    return LOAM_OK;
}

enum loam_status chat_need_string(struct chat_run *run, struct chat_value value,
                                  const struct chat_string **string)
{
    if (value.kind != CHAT_STRING) return chat_fail(run, "must be str, not %s", chat_type_name(value));
    *string = value.as.string;
    return LOAM_OK;
}
