// Expressions.
#include <string.h>

#include "chat/run.h"

enum { DEPTH = 600 }; // nested expressions, calls and bodies

enum loam_status chat_step(struct chat_run *run)
{
    if (run->steps == 0) return chat_fail(run, "the template takes too many steps");
    run->steps--;
    return LOAM_OK;
}

enum loam_status chat_work(struct chat_run *run, size_t bytes)
{
    enum { STEP = 64 }; // bytes that take as long as a step
    size_t steps = bytes / STEP;
    run->steps = run->steps > steps ? run->steps - steps : 0;
    return chat_step(run);
}

enum loam_status chat_descend(struct chat_run *run)
{
    if (++run->depth > DEPTH)
        return chat_fail(run, "the template nests more than %d calls and expressions", DEPTH);
    return LOAM_OK;
}

static enum loam_status evaluate_name(struct chat_run *run, const struct chat_node *node,
                                      struct chat_value *value)
{
    const struct chat_frame *frame = run->frame;
    for (uint32_t hops = node->place.hops; hops > 0; hops--)
        frame = frame->parent;
    *value = frame->values[node->place.slot];
    return value->kind == CHAT_MISSING ? chat_undefined_name(run, node->name, value) : LOAM_OK;
}

static enum loam_status evaluate_items(struct chat_run *run, const struct chat_node *node,
                                       enum chat_kind kind, struct chat_value *value)
{
    struct chat_value *items;
    LOAM_TRY(chat_list_create(value, kind, node->items.count, &items, &run->pool, run->error));
    for (size_t i = 0; i < node->items.count; i++)
        LOAM_TRY(chat_evaluate(run, node->items.items[i], &items[i]));
    return LOAM_OK;
}

static enum loam_status evaluate_dict(struct chat_run *run, const struct chat_node *node,
                                      struct chat_value *value)
{
    struct chat_value key, item;
    struct chat_dict *dict = chat_dict_create(&run->pool, run->error);
    if (dict == NULL) return loam_failure(run->error);
    for (size_t i = 0; i < node->items.count; i++) {
        LOAM_TRY(chat_evaluate(run, node->items.items[i], &key));
        LOAM_TRY(chat_evaluate(run, node->others.items[i], &item));
        LOAM_TRY(chat_dict_put(dict, &run->pool, key, item, run->error));
    }
    *value = (struct chat_value){.kind = CHAT_DICT, .as.dict = dict};
    return LOAM_OK;
}

static enum loam_status evaluate_condition(struct chat_run *run, const struct chat_node *node,
                                           struct chat_value *value)
{
    LOAM_TRY(chat_evaluate(run, node->first, value));
    if (chat_is_true(*value)) return chat_evaluate(run, node->second, value);
    if (node->third != NULL) return chat_evaluate(run, node->third, value);
    char hint[128];
    snprintf(hint, sizeof hint,
             "the inline if-expression on line %u evaluated to false and no else section was defined.",
             node->line);
    return chat_undefined_hint(run, hint, value);
}

// A chain such as a < b < c.
static enum loam_status evaluate_compare(struct chat_run *run, const struct chat_node *node,
                                         struct chat_value *value)
{
    struct chat_value left, right;
    bool holds = true;
    LOAM_TRY(chat_evaluate(run, node->first, &left));
    for (size_t i = 0; i < node->items.count && holds; i++) {
        LOAM_TRY(chat_evaluate(run, node->items.items[i]->first, &right));
        LOAM_TRY(chat_compare(run, node->items.items[i]->operator, left, right, &holds));
        left = right;
    }
    *value = chat_bool(holds);
    return LOAM_OK;
}

static enum loam_status evaluate_concat(struct chat_run *run, const struct chat_node *node,
                                        struct chat_value *value)
{
    struct chat_text text;
    struct chat_value part;
    chat_text_init(&text, &run->pool, run->error);
    for (size_t i = 0; i < node->items.count; i++) {
        LOAM_TRY(chat_evaluate(run, node->items.items[i], &part));
        LOAM_TRY(chat_print(run, &text, part));
    }
    return chat_text_finish(&text, value);
}

static enum loam_status evaluate_binary(struct chat_run *run, const struct chat_node *node,
                                        struct chat_value *value)
{
    struct chat_value left, right;
    LOAM_TRY(chat_evaluate(run, node->first, &left));
    LOAM_TRY(chat_evaluate(run, node->second, &right));
    return chat_binary(run, node->operator, left, right, value);
}

// ---- Arguments, filters, tests, calls ----

static enum loam_status add_more_named(struct chat_run *run, struct chat_value more,
                                       struct chat_arguments *arguments)
{
    if (more.kind != CHAT_DICT)
        return chat_fail(run, "argument after ** must be a mapping, not %s", chat_type_name(more));
    for (size_t i = 0; i < more.as.dict->count; i++) {
        const struct chat_entry *entry = &more.as.dict->entries[i];
        if (entry->key.kind != CHAT_STRING) return chat_fail(run, "keywords must be strings");
        for (size_t k = 0; k < arguments->named_count; k++)
            if (chat_string_equals(arguments->named[k].name, entry->key.as.string))
                return chat_fail(run, "got multiple values for keyword argument '%.*s'",
                                 (int)entry->key.as.string->size, entry->key.as.string->data);
        arguments->named[arguments->named_count++] = (struct chat_named){entry->key.as.string, entry->value};
    }
    return LOAM_OK;
}

enum loam_status chat_evaluate_arguments(struct chat_run *run, const struct chat_node *node,
                                         struct chat_arguments *arguments)
{
    struct chat_value more = {0}, more_named = {0};
    *arguments = (struct chat_arguments){0};
    size_t count = node->items.count, named = node->keywords.count + 1; // one more for `caller`
    if (node->more != NULL) {
        LOAM_TRY(chat_evaluate(run, node->more, &more));
        LOAM_TRY(chat_collect(run, more, CHAT_LIST, &more));
        count += more.as.list->count;
    }
    if (node->more_named != NULL) {
        LOAM_TRY(chat_evaluate(run, node->more_named, &more_named));
        if (more_named.kind == CHAT_DICT) named += more_named.as.dict->count;
    }
    arguments->items = chat_pool_take(&run->pool, count, sizeof *arguments->items, run->error);
    arguments->named = chat_pool_take(&run->pool, named, sizeof *arguments->named, run->error);
    if (arguments->items == NULL || arguments->named == NULL) return loam_failure(run->error);
    for (; arguments->count < node->items.count; arguments->count++)
        LOAM_TRY(
            chat_evaluate(run, node->items.items[arguments->count], &arguments->items[arguments->count]));
    for (size_t i = 0; arguments->count < count; i++)
        arguments->items[arguments->count++] = more.as.list->items[i];
    for (size_t i = 0; i < node->keywords.count; i++) {
        const struct chat_node *keyword = node->keywords.items[i];
        struct chat_named *added = &arguments->named[arguments->named_count++];
        added->name = keyword->name;
        LOAM_TRY(chat_evaluate(run, keyword->first, &added->value));
    }
    return node->more_named == NULL ? LOAM_OK : add_more_named(run, more_named, arguments);
}

static enum loam_status evaluate_filter(struct chat_run *run, const struct chat_node *node,
                                        struct chat_value *value)
{
    struct chat_arguments arguments;
    struct chat_value self;
    if (node->native == NULL)
        return chat_fail(run, "No %s named '%.*s' found.", node->type == CHAT_FILTER_NODE ? "filter" : "test",
                         (int)node->name->size, node->name->data);
    self = run->captured; // of the first filter of a block
    if (node->first != NULL) LOAM_TRY(chat_evaluate(run, node->first, &self));
    LOAM_TRY(chat_evaluate_arguments(run, node, &arguments));
    return chat_native_call(run, node->native, self, &arguments, value);
}

static enum loam_status evaluate_call(struct chat_run *run, const struct chat_node *node,
                                      struct chat_value *value)
{
    struct chat_arguments arguments;
    struct chat_value callee;
    LOAM_TRY(chat_evaluate(run, node->first, &callee));
    LOAM_TRY(chat_evaluate_arguments(run, node, &arguments));
    return chat_invoke(run, callee, &arguments, value);
}

static enum loam_status evaluate_item(struct chat_run *run, const struct chat_node *node,
                                      struct chat_value *value)
{
    struct chat_value object, key, part[3] = {0};
    const struct chat_node *second = node->second;
    LOAM_TRY(chat_evaluate(run, node->first, &object));
    if (second->type != CHAT_SLICE_NODE) {
        LOAM_TRY(chat_evaluate(run, second, &key));
        return chat_item(run, object, key, value);
    }
    const struct chat_node *parts[3] = {second->first, second->second, second->third};
    for (int i = 0; i < 3; i++)
        if (parts[i] != NULL) LOAM_TRY(chat_evaluate(run, parts[i], &part[i]));
    return chat_slice(run, object, part, value);
}

static enum loam_status evaluate_logic(struct chat_run *run, const struct chat_node *node,
                                       struct chat_value *value)
{
    LOAM_TRY(chat_evaluate(run, node->first, value));
    bool done = chat_is_true(*value) == (node->type == CHAT_OR_NODE);
    return done ? LOAM_OK : chat_evaluate(run, node->second, value);
}

static enum loam_status evaluate_attribute(struct chat_run *run, const struct chat_node *node,
                                           struct chat_value *value)
{
    struct chat_value object;
    LOAM_TRY(chat_evaluate(run, node->first, &object));
    return chat_attribute(run, object, node->name, value);
}

static enum loam_status evaluate_sign(struct chat_run *run, const struct chat_node *node,
                                      struct chat_value *value)
{
    struct chat_value operand;
    LOAM_TRY(chat_evaluate(run, node->first, &operand));
    return chat_negate(run, operand, node->operator== CHAT_SUBTRACT, value);
}

static enum loam_status evaluate_not(struct chat_run *run, const struct chat_node *node,
                                     struct chat_value *value)
{
    LOAM_TRY(chat_evaluate(run, node->first, value));
    *value = chat_bool(!chat_is_true(*value));
    return LOAM_OK;
}

static enum loam_status evaluate_by_type(struct chat_run *run, const struct chat_node *node,
                                         struct chat_value *value)
{
    switch (node->type) {
    case CHAT_CONST_NODE:
        *value = node->value;
        return LOAM_OK;
    case CHAT_NAME_NODE:
        return evaluate_name(run, node, value);
    case CHAT_TUPLE_NODE:
        return evaluate_items(run, node, CHAT_TUPLE, value);
    case CHAT_LIST_NODE:
        return evaluate_items(run, node, CHAT_LIST, value);
    case CHAT_DICT_NODE:
        return evaluate_dict(run, node, value);
    case CHAT_CONDITION_NODE:
        return evaluate_condition(run, node, value);
    case CHAT_OR_NODE:
    case CHAT_AND_NODE:
        return evaluate_logic(run, node, value);
    case CHAT_NOT_NODE:
        return evaluate_not(run, node, value);
    case CHAT_COMPARE_NODE:
        return evaluate_compare(run, node, value);
    case CHAT_BINARY_NODE:
        return evaluate_binary(run, node, value);
    case CHAT_SIGN_NODE:
        return evaluate_sign(run, node, value);
    case CHAT_CONCAT_NODE:
        return evaluate_concat(run, node, value);
    case CHAT_FILTER_NODE:
    case CHAT_TEST_NODE:
        return evaluate_filter(run, node, value);
    case CHAT_CALL_NODE:
        return evaluate_call(run, node, value);
    case CHAT_ATTRIBUTE_NODE:
        return evaluate_attribute(run, node, value);
    case CHAT_ITEM_NODE:
        return evaluate_item(run, node, value);
    default:
        return chat_fail(run, "a slice has no value of its own");
    }
}

enum loam_status chat_evaluate(struct chat_run *run, const struct chat_node *node, struct chat_value *value)
{
    LOAM_TRY(chat_step(run));
    LOAM_TRY(chat_descend(run));
    enum loam_status status = evaluate_by_type(run, node, value);
    if (status != LOAM_OK && run->place == NULL) run->place = node;
    chat_ascend(run);
    return status;
}
