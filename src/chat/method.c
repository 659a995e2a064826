// Attributes of types: which methods a value has, and which of them jinja2's sandbox refuses.
#include "chat/method.h"

static enum loam_status dict_get(struct chat_run *run, const struct chat_call *call,
                                 struct chat_value *result)
{
    uint32_t hash;
    if (!chat_hash(call->values[0], &hash))
        return chat_fail(run, "unhashable type: '%s'", chat_type_name(call->values[0]));
    const struct chat_value *found = chat_dict_get(call->self.as.dict, call->values[0]);
    *result = found != NULL ? *found : call->values[1].kind == CHAT_MISSING ? CHAT_NO_VALUE : call->values[1];
    return LOAM_OK;
}

static enum loam_status make_view(struct chat_run *run, const struct chat_call *call,
                                  enum chat_view_part what, struct chat_value *result)
{
    struct chat_view *view = chat_pool_take(&run->pool, 1, sizeof *view, run->error);
    if (view == NULL) return loam_failure(run->error);
    view->dict = call->self.as.dict;
    view->what = what;
    *result = (struct chat_value){.kind = CHAT_VIEW, .origin = call->self.origin, .as.view = view};
    return LOAM_OK;
}

static enum loam_status dict_keys(struct chat_run *run, const struct chat_call *call,
                                  struct chat_value *result)
{
    return make_view(run, call, CHAT_KEYS, result);
}

static enum loam_status dict_values(struct chat_run *run, const struct chat_call *call,
                                    struct chat_value *result)
{
    return make_view(run, call, CHAT_VALUES, result);
}

static enum loam_status dict_items(struct chat_run *run, const struct chat_call *call,
                                   struct chat_value *result)
{
    return make_view(run, call, CHAT_ITEMS, result);
}

// A copy cannot be told from the value, because nothing changes it.
static enum loam_status copy_value(struct chat_run *run, const struct chat_call *call,
                                   struct chat_value *result)
{
    (void)run;
    *result = call->self;
    return LOAM_OK;
}

static const struct chat_native dict_methods[] = {
    {"get", "key default", 1, dict_get},
    {"keys", "", 0, dict_keys},
    {"values", "", 0, dict_values},
    {"items", "", 0, dict_items},
    {"copy", "", 0, copy_value},
    {"fromkeys", "*", 0, NULL},
    {NULL, NULL, 0, NULL},
};

static enum loam_status list_count(struct chat_run *run, const struct chat_call *call,
                                   struct chat_value *result)
{
    struct chat_value list;
    int64_t count = 0;
    LOAM_TRY(chat_collect(run, call->self, CHAT_LIST, &list));
    for (size_t i = 0; i < list.as.list->count; i++)
        count += chat_equals(list.as.list->items[i], call->values[0], &run->steps);
    *result = chat_int(count);
    return LOAM_OK;
}

static enum loam_status list_index(struct chat_run *run, const struct chat_call *call,
                                   struct chat_value *result)
{
    struct chat_value list;
    int64_t length = chat_length(call->self), start, stop;
    LOAM_TRY(chat_collect(run, call->self, CHAT_LIST, &list));
    LOAM_TRY(chat_need_integer(run, call->values[1], 0, &start));
    LOAM_TRY(chat_need_integer(run, call->values[2], INT64_MAX, &stop));
    if (start < 0) start = start + length < 0 ? 0 : start + length;
    if (stop < 0) stop += length;
    for (int64_t i = start; i < length && i < stop; i++)
        if (chat_equals(list.as.list->items[i], call->values[0], &run->steps)) {
            *result = chat_int(i);
            return LOAM_OK;
        }
    return chat_fail(run, "the value is not in the list");
}

static const struct chat_native list_methods[] = {
    {"count", "value", 1, list_count},
    {"index", "value start stop", 1, list_index},
    {"copy", "", 0, copy_value},
    {NULL, NULL, 0, NULL},
};
static const struct chat_native tuple_methods[] = {
    {"count", "value", 1, list_count},
    {"index", "value start stop", 1, list_index},
    {NULL, NULL, 0, NULL},
};

static enum loam_status loop_cycle(struct chat_run *run, const struct chat_call *call,
                                   struct chat_value *result)
{
    if (call->all.count == 0) return chat_fail(run, "no items for cycling given");
    *result = call->all.items[(size_t)call->self.as.loop->index0 % call->all.count];
    return LOAM_OK;
}

static enum loam_status loop_changed(struct chat_run *run, const struct chat_call *call,
                                     struct chat_value *result)
{
    struct chat_value now, *items;
    struct chat_loop *loop = call->self.as.loop;
    LOAM_TRY(chat_list_create(&now, CHAT_TUPLE, call->all.count, &items, &run->pool, run->error));
    if (call->all.count > 0) memcpy(items, call->all.items, call->all.count * sizeof *items);
    *result = chat_bool(!chat_equals(loop->changed, now, &run->steps));
    loop->changed = now;
    return LOAM_OK;
}

static const struct chat_native loop_methods[] = {
    {"cycle", "*", 0, loop_cycle},
    {"changed", "*", 0, loop_changed},
    {NULL, NULL, 0, NULL},
};

static enum loam_status cycler_next(struct chat_run *run, const struct chat_call *call,
                                    struct chat_value *result)
{
    struct chat_cycler *cycler = call->self.as.cycler;
    (void)run;
    *result = cycler->items.items[cycler->at];
    cycler->at = (cycler->at + 1) % cycler->items.count;
    return LOAM_OK;
}

static enum loam_status cycler_reset(struct chat_run *run, const struct chat_call *call,
                                     struct chat_value *result)
{
    (void)run;
    call->self.as.cycler->at = 0;
    *result = CHAT_NO_VALUE;
    return LOAM_OK;
}

static const struct chat_native cycler_methods[] = {
    {"next", "", 0, cycler_next},
    {"reset", "", 0, cycler_reset},
    {NULL, NULL, 0, NULL},
};

static enum loam_status float_is_integer(struct chat_run *run, const struct chat_call *call,
                                         struct chat_value *result)
{
    (void)run;
    *result = chat_bool(call->self.as.real >= -9007199254740992.0 && call->self.as.real <= 9007199254740992.0
                            ? call->self.as.real == (double)(int64_t)call->self.as.real
                            : call->self.as.real - call->self.as.real == 0);
    return LOAM_OK;
}

static const struct chat_native float_methods[] = {
    {"is_integer", "", 0, float_is_integer}, {"hex", "*", 0, NULL},     {"conjugate", "", 0, copy_value},
    {"as_integer_ratio", "*", 0, NULL},      {"fromhex", "*", 0, NULL}, {NULL, NULL, 0, NULL},
};
static const struct chat_native int_methods[] = {
    {"bit_length", "*", 0, NULL}, {"bit_count", "*", 0, NULL},        {"to_bytes", "*", 0, NULL},
    {"from_bytes", "*", 0, NULL}, {"as_integer_ratio", "*", 0, NULL}, {"conjugate", "", 0, copy_value},
    {NULL, NULL, 0, NULL},
};

static const struct chat_native *find_row(const struct chat_native *rows, const struct chat_string *name)
{
    for (; rows->name != NULL; rows++)
        if (chat_string_is(name, rows->name)) return rows;
    return NULL;
}

static const struct chat_native *find_method(struct chat_value value, const struct chat_string *name)
{
    switch ((enum chat_kind)value.kind) {
    case CHAT_STRING: {
        const struct chat_native *row = find_row(chat_string_methods, name);
        return row != NULL ? row : find_row(chat_split_methods, name);
    }
    case CHAT_DICT:
        return find_row(dict_methods, name);
    case CHAT_LIST:
        return find_row(list_methods, name);
    case CHAT_TUPLE:
    case CHAT_RANGE:
        return find_row(tuple_methods, name);
    case CHAT_LOOP:
        return find_row(loop_methods, name);
    case CHAT_CYCLER:
        return find_row(cycler_methods, name);
    case CHAT_FLOAT:
        return find_row(float_methods, name);
    case CHAT_BOOL:
    case CHAT_INT:
        return find_row(int_methods, name);
    default:
        return NULL;
    }
}

// ---- Attributes that are no methods ----

static bool number_attribute(struct chat_value value, const struct chat_string *name,
                             struct chat_value *result)
{
    bool integer = chat_is_integer(value);
    if (!integer && value.kind != CHAT_FLOAT) return false;
    if (chat_string_is(name, "real") || (integer && chat_string_is(name, "numerator")))
        *result = integer ? chat_int(chat_integer(value)) : value;
    else if (chat_string_is(name, "imag"))
        *result = integer ? chat_int(0) : chat_float(0);
    else if (integer && chat_string_is(name, "denominator"))
        *result = chat_int(1);
    else
        return false;
    return true;
}

static enum loam_status object_attribute(struct chat_run *run, struct chat_value value,
                                         const struct chat_string *name, struct chat_value *result,
                                         bool *found)
{
    *found = true;
    if (number_attribute(value, name, result)) return LOAM_OK;
    bool group = value.kind == CHAT_TUPLE && value.markup; // of the filter groupby
    if (group && (chat_string_is(name, "grouper") || chat_string_is(name, "list"))) {
        *result = value.as.list->items[chat_string_is(name, "list")];
        return LOAM_OK;
    }
    if (value.kind == CHAT_RANGE && chat_string_is(name, "start")) {
        *result = chat_int(value.as.range->start);
    } else if (value.kind == CHAT_RANGE && chat_string_is(name, "stop")) {
        *result = chat_int(value.as.range->stop);
    } else if (value.kind == CHAT_RANGE && chat_string_is(name, "step")) {
        *result = chat_int(value.as.range->step);
    } else if (value.kind == CHAT_CYCLER && chat_string_is(name, "current")) {
        *result = value.as.cycler->items.items[value.as.cycler->at];
    } else if (value.kind == CHAT_MACRO && chat_string_is(name, "name")) {
        *result = CHAT_NO_VALUE;
        if (value.as.macro->node->name != NULL) *result = chat_from_string(value.as.macro->node->name);
    } else if (value.kind == CHAT_MACRO && chat_string_is(name, "arguments")) {
        const struct chat_nodes *nodes = &value.as.macro->node->items;
        struct chat_value *items;
        LOAM_TRY(chat_list_create(result, CHAT_TUPLE, nodes->count, &items, &run->pool, run->error));
        for (size_t i = 0; i < nodes->count; i++)
            items[i] = chat_from_string(nodes->items[i]->name);
    } else {
        *found = false;
    }
    return LOAM_OK;
}

// ---- The sandbox ----

// Methods that change their object: jinja2's ImmutableSandboxedEnvironment hides them.
static bool changes_object(struct chat_value value, const struct chat_string *name)
{
    static const char *const of_list[] = {"append", "clear",  "pop",    "reverse", "insert",
                                          "sort",   "extend", "remove", NULL};
    static const char *const of_dict[] = {"clear", "pop", "popitem", "setdefault", "update", NULL};
    const char *const *names = value.kind == CHAT_LIST ? of_list : value.kind == CHAT_DICT ? of_dict : NULL;
    for (; names != NULL && *names != NULL; names++)
        if (chat_string_is(name, *names)) return true;
    return false;
}

enum loam_status chat_type_attribute(struct chat_run *run, struct chat_value value,
                                     const struct chat_string *name, struct chat_value *result, bool *found)
{
    *found = true;
    bool internal = name->size > 4 && memcmp(name->data, "__", 2) == 0 &&
                    memcmp(name->data + name->size - 2, "__", 2) == 0 && value.kind != CHAT_NAMESPACE;
    if (internal || changes_object(value, name)) {
        char hint[256];
        snprintf(hint, sizeof hint, "access to attribute '%.*s' of '%s' object is unsafe.",
                 name->size < 100 ? (int)name->size : 100, name->data, chat_type_name(value));
        return chat_undefined_hint(run, hint, result);
    }
    const struct chat_native *row = find_method(value, name);
    if (row == NULL) return object_attribute(run, value, name, result, found);
    struct chat_method *method = chat_pool_take(&run->pool, 1, sizeof *method, run->error);
    if (method == NULL) return loam_failure(run->error);
    *method = (struct chat_method){value, row};
    *result = (struct chat_value){.kind = CHAT_METHOD, .as.method = method};
    return LOAM_OK;
}
