// Filters that take, choose or group the elements of a sequence.
#include "chat/filter.h"
#include "chat/method.h"

static enum loam_status filter_list(struct chat_run *run, const struct chat_call *call,
                                    struct chat_value *result)
{
    return chat_collect(run, call->self, CHAT_LIST, result);
}

// An iterator over a list that has been made.
static enum loam_status iterate_items(struct chat_run *run, const struct chat_items *items,
                                      struct chat_value *result)
{
    struct chat_iterator *iterator = NULL;
    LOAM_TRY(chat_items_finish(items, CHAT_LIST, result, &run->pool, run->error));
    LOAM_TRY(chat_iterate(run, *result, &iterator));
    *result = chat_from_iterator(iterator);
    return LOAM_OK;
}

static enum loam_status filter_first(struct chat_run *run, const struct chat_call *call,
                                     struct chat_value *result)
{
    struct chat_iterator *iterator = NULL;
    bool ended;
    LOAM_TRY(chat_iterate(run, call->self, &iterator));
    LOAM_TRY(chat_next(run, iterator, result, &ended));
    return ended ? chat_undefined_hint(run, "No first item, sequence was empty.", result) : LOAM_OK;
}

static enum loam_status filter_last(struct chat_run *run, const struct chat_call *call,
                                    struct chat_value *result)
{
    int64_t length = chat_length(call->self);
    if (length < 0) return chat_fail(run, "'%s' object is not reversible", chat_type_name(call->self));
    if (length == 0) return chat_undefined_hint(run, "No last item, sequence was empty.", result);
    return chat_sequence_item(run, call->self, length - 1, result);
}

static enum loam_status filter_length(struct chat_run *run, const struct chat_call *call,
                                      struct chat_value *result)
{
    int64_t length = chat_length(call->self);
    if (call->self.kind == CHAT_LOOP) LOAM_TRY(chat_loop_length(run, call->self.as.loop, &length));
    if (length < 0) return chat_fail(run, "object of type '%s' has no len()", chat_type_name(call->self));
    *result = chat_int(length);
    return LOAM_OK;
}

static enum loam_status filter_reverse(struct chat_run *run, const struct chat_call *call,
                                       struct chat_value *result)
{
    struct chat_iterator *iterator = NULL;
    struct chat_value list, *items;
    if (call->self.kind == CHAT_STRING) {
        struct chat_value part[3] = {{0}, {0}, chat_int(-1)};
        return chat_slice(run, call->self, part, result);
    }
    if (chat_length(call->self) >= 0) {
        LOAM_TRY(chat_new_iterator(run, &iterator));
        *iterator = (struct chat_iterator){
            .over = call->self, .at = (size_t)chat_length(call->self), .mode = CHAT_REVERSED};
        *result = chat_from_iterator(iterator);
        return LOAM_OK;
    }
    if (!chat_is_iterable(call->self)) return chat_fail(run, "argument must be iterable");
    LOAM_TRY(chat_collect(run, call->self, CHAT_LIST, &list));
    size_t count = list.as.list->count;
    LOAM_TRY(chat_list_create(result, CHAT_LIST, count, &items, &run->pool, run->error));
    for (size_t i = 0; i < count; i++)
        items[i] = list.as.list->items[count - 1 - i];
    return LOAM_OK;
}

static enum loam_status filter_join(struct chat_run *run, const struct chat_call *call,
                                    struct chat_value *result)
{
    struct chat_iterator *iterator = NULL;
    struct chat_text text;
    struct chat_value item, separator = call->values[0];
    bool first = true, ended = false;
    chat_text_init(&text, &run->pool, run->error);
    LOAM_TRY(chat_iterate(run, call->self, &iterator));
    for (;; first = false) {
        LOAM_TRY(chat_next(run, iterator, &item, &ended));
        if (ended) break;
        LOAM_TRY(chat_attribute_path(run, item, call->values[1], &item));
        if (!first && separator.kind != CHAT_MISSING) LOAM_TRY(chat_print(run, &text, separator));
        LOAM_TRY(chat_print(run, &text, item));
    }
    return chat_text_finish(&text, result);
}

static enum loam_status read_items(struct chat_run *run, const struct chat_call *call,
                                   struct chat_value *result)
{
    struct chat_iterator *iterator = NULL;
    struct chat_view *view = chat_pool_take(&run->pool, 1, sizeof *view, run->error);
    if (view == NULL) return loam_failure(run->error);
    LOAM_TRY(chat_new_iterator(run, &iterator));
    *result = chat_from_iterator(iterator);
    iterator->over = call->self;
    if (call->self.kind == CHAT_UNDEFINED) return LOAM_OK; // no items
    if (call->self.kind != CHAT_DICT) return chat_fail(run, "Can only get item pairs from a mapping.");
    *view = (struct chat_view){.dict = call->self.as.dict, .what = CHAT_ITEMS};
    iterator->over = (struct chat_value){.kind = CHAT_VIEW, .as.view = view};
    return LOAM_OK;
}

// ---- map, select, reject ----

// An iterator that applies a filter or test to the elements of the subject.
static enum loam_status create_mapped(struct chat_run *run, const struct chat_call *call, enum chat_mode mode,
                                      struct chat_iterator **mapped, struct chat_value *result)
{
    LOAM_TRY(chat_new_iterator(run, mapped));
    *result = chat_from_iterator(*mapped);
    (*mapped)->mode = mode;
    if (chat_is_true(call->self)) return chat_iterate(run, call->self, &(*mapped)->inner);
    return chat_new_iterator(run, &(*mapped)->inner); // what is false has no elements
}

// Takes a filter or test by name from the arguments, from `first` on.
static enum loam_status take_native(struct chat_run *run, const struct chat_arguments *all, size_t first,
                                    bool filter, struct chat_iterator *mapped)
{
    struct chat_value name = all->items[first];
    const struct chat_string *string;
    if (name.kind == CHAT_UNDEFINED) return chat_fail_undefined(run, name);
    LOAM_TRY(chat_need_string(run, name, &string));
    mapped->native = filter ? chat_filter_find(string) : chat_test_find(string);
    if (mapped->native == NULL)
        return chat_fail(run, "No %s named '%.*s'.", filter ? "filter" : "test", (int)string->size,
                         string->data);
    mapped->arguments = *all;
    mapped->arguments.items += first + 1;
    mapped->arguments.count -= first + 1;
    return LOAM_OK;
}

static enum loam_status map_attribute(struct chat_run *run, const struct chat_arguments *all,
                                      struct chat_iterator *mapped)
{
    for (size_t i = 0; i < all->named_count; i++) {
        const struct chat_named *named = &all->named[i];
        if (chat_string_is(named->name, "attribute"))
            mapped->attribute = named->value;
        else if (chat_string_is(named->name, "default"))
            mapped->fallback = named->value;
        else
            return chat_fail(run, "Unexpected keyword argument '%.*s'", (int)named->name->size,
                             named->name->data);
    }
    if (mapped->fallback.kind == CHAT_NONE) mapped->fallback = (struct chat_value){0};
    return LOAM_OK;
}

static enum loam_status read_map(struct chat_run *run, const struct chat_call *call,
                                 struct chat_value *result)
{
    struct chat_iterator *mapped;
    bool attribute = false;
    LOAM_TRY(create_mapped(run, call, CHAT_MAP, &mapped, result));
    if (!chat_is_true(call->self)) return LOAM_OK;
    for (size_t i = 0; i < call->all.named_count; i++)
        attribute = attribute || chat_string_is(call->all.named[i].name, "attribute");
    if (call->all.count == 0 && attribute) return map_attribute(run, &call->all, mapped);
    if (call->all.count == 0) return chat_fail(run, "map requires a filter argument");
    return take_native(run, &call->all, 0, true, mapped);
}

static enum loam_status choose(struct chat_run *run, const struct chat_call *call, enum chat_mode mode,
                               bool by_attribute, struct chat_value *result)
{
    struct chat_iterator *mapped;
    LOAM_TRY(create_mapped(run, call, mode, &mapped, result));
    if (!chat_is_true(call->self)) return LOAM_OK;
    if (by_attribute && call->all.count == 0) return chat_fail(run, "Missing parameter for attribute name");
    if (by_attribute) mapped->attribute = call->all.items[0];
    return call->all.count > by_attribute ? take_native(run, &call->all, by_attribute, false, mapped)
                                          : LOAM_OK;
}

static enum loam_status read_select(struct chat_run *run, const struct chat_call *call,
                                    struct chat_value *result)
{
    return choose(run, call, CHAT_SELECT, false, result);
}
static enum loam_status read_reject(struct chat_run *run, const struct chat_call *call,
                                    struct chat_value *result)
{
    return choose(run, call, CHAT_REJECT, false, result);
}
static enum loam_status read_selectattr(struct chat_run *run, const struct chat_call *call,
                                        struct chat_value *result)
{
    return choose(run, call, CHAT_SELECT, true, result);
}
static enum loam_status read_rejectattr(struct chat_run *run, const struct chat_call *call,
                                        struct chat_value *result)
{
    return choose(run, call, CHAT_REJECT, true, result);
}

// ---- batch, slice ----

static enum loam_status take_part(struct chat_run *run, const struct chat_list *list, size_t from,
                                  size_t count, size_t filled, struct chat_value fill,
                                  struct chat_items *parts)
{
    struct chat_value part, *items;
    LOAM_TRY(
        chat_list_create(&part, CHAT_LIST, filled > count ? filled : count, &items, &run->pool, run->error));
    if (count > 0) memcpy(items, list->items + from, count * sizeof *items);
    for (size_t i = count; i < filled; i++)
        items[i] = fill;
    return chat_items_push(parts, part, &run->pool, run->error);
}

static bool fills(struct chat_value fill)
{
    return fill.kind != CHAT_MISSING && fill.kind != CHAT_NONE;
}

static enum loam_status read_batch(struct chat_run *run, const struct chat_call *call,
                                   struct chat_value *result)
{
    int64_t size;
    struct chat_value list;
    struct chat_items parts = {0};
    LOAM_TRY(chat_need_integer(run, call->values[0], 0, &size));
    LOAM_TRY(chat_collect(run, call->self, CHAT_LIST, &list));
    size_t count = list.as.list->count;
    if (size < 1 && count > 0) return chat_fail(run, "loam needs a batch of at least one element");
    if (size > 100000) return chat_fail(run, "loam has batches of at most 100000 elements");
    for (size_t from = 0; from < count; from += (size_t)size) {
        size_t part = count - from < (size_t)size ? count - from : (size_t)size;
        LOAM_TRY(take_part(run, list.as.list, from, part, fills(call->values[1]) ? (size_t)size : 0,
                           call->values[1], &parts));
    }
    return iterate_items(run, &parts, result);
}

static enum loam_status read_slice(struct chat_run *run, const struct chat_call *call,
                                   struct chat_value *result)
{
    int64_t slices;
    struct chat_value list;
    struct chat_items parts = {0};
    LOAM_TRY(chat_need_integer(run, call->values[0], 0, &slices));
    LOAM_TRY(chat_collect(run, call->self, CHAT_LIST, &list));
    if (slices == 0) return chat_fail(run, "integer division or modulo by zero");
    if (slices < 0) return iterate_items(run, &parts, result);
    size_t count = list.as.list->count, size = count / (size_t)slices, larger = count % (size_t)slices,
           from = 0;
    for (size_t i = 0; i < (size_t)slices; i++) {
        LOAM_TRY(chat_step(run));
        size_t part = size + (i < larger);
        size_t filled = fills(call->values[1]) && i >= larger ? part + 1 : 0;
        LOAM_TRY(take_part(run, list.as.list, from, part, filled, call->values[1], &parts));
        from += part;
    }
    return iterate_items(run, &parts, result);
}

CHAT_GENERATOR(filter_batch, read_batch)
CHAT_GENERATOR(filter_items, read_items)
CHAT_GENERATOR(filter_map, read_map)
CHAT_GENERATOR(filter_reject, read_reject)
CHAT_GENERATOR(filter_rejectattr, read_rejectattr)
CHAT_GENERATOR(filter_select, read_select)
CHAT_GENERATOR(filter_selectattr, read_selectattr)
CHAT_GENERATOR(filter_slice, read_slice)

const struct chat_native chat_sequence_filters[] = {
    {"batch", "linecount fill_with", 1, filter_batch},
    {"count", "", 0, filter_length},
    {"first", "", 0, filter_first},
    {"items", "", 0, filter_items},
    {"join", "d attribute", 0, filter_join},
    {"last", "", 0, filter_last},
    {"length", "", 0, filter_length},
    {"list", "", 0, filter_list},
    {"map", "*", 0, filter_map},
    {"random", "*", 0, NULL},
    {"reject", "*", 0, filter_reject},
    {"rejectattr", "*", 0, filter_rejectattr},
    {"reverse", "", 0, filter_reverse},
    {"select", "*", 0, filter_select},
    {"selectattr", "*", 0, filter_selectattr},
    {"slice", "slices fill_with", 1, filter_slice},
    {NULL, NULL, 0, NULL},
};
