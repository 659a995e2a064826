// Filters that compare the elements of a sequence.
#include "chat/filter.h"
#include "chat/method.h"

struct sorted {
    struct chat_value key, value;
};

// What the elements are compared by: an attribute, with strings in lower case unless case matters.
static enum loam_status make_key(struct chat_run *run, struct chat_value item, struct chat_value attribute,
                                 bool case_sensitive, struct chat_value *key)
{
    LOAM_TRY(chat_attribute_path(run, item, attribute, key));
    if (case_sensitive || key->kind != CHAT_STRING) return LOAM_OK;
    return chat_change_case(run, key->as.string, CHAT_LOWER, key);
}

// The keys of "a,b" as a list. A single key is a list, too: lists with equal elements need no order of these.
static enum loam_status make_keys(struct chat_run *run, struct chat_value item, struct chat_value attribute,
                                  bool case_sensitive, struct chat_value *key)
{
    struct chat_items keys = {0};
    struct chat_value part = attribute, one;
    const struct chat_string *path = attribute.kind == CHAT_STRING ? attribute.as.string : NULL;
    for (size_t from = 0; from <= (path == NULL ? 0 : path->size);) {
        const char *comma = path == NULL ? NULL : memchr(path->data + from, ',', path->size - from);
        size_t to = comma != NULL ? (size_t)(comma - path->data) : path == NULL ? 0 : path->size;
        if (path != NULL) LOAM_TRY(chat_string_part(&part, path, from, to, &run->pool, run->error));
        LOAM_TRY(make_key(run, item, part, case_sensitive, &one));
        LOAM_TRY(chat_items_push(&keys, one, &run->pool, run->error));
        from = to + 1;
    }
    return chat_items_finish(&keys, CHAT_LIST, key, &run->pool, run->error);
}

static enum loam_status is_less(struct chat_run *run, struct chat_value left, struct chat_value right,
                                bool *less)
{
    LOAM_TRY(chat_step(run));
    return chat_compare(run, CHAT_LESS, left, right, less);
}

// Merges two sorted halves; equal elements keep their order.
static enum loam_status merge(struct chat_run *run, struct sorted *items, size_t middle, size_t count,
                              bool reverse, struct sorted *scratch)
{
    size_t left = 0, right = middle;
    for (size_t i = 0; i < count; i++) {
        bool take_right = left == middle;
        if (left < middle && right < count) {
            struct chat_value a = items[right].key, b = items[left].key;
            LOAM_TRY(is_less(run, reverse ? b : a, reverse ? a : b, &take_right));
        }
        scratch[i] = items[take_right ? right++ : left++];
    }
    memcpy(items, scratch, count * sizeof *items);
    return LOAM_OK;
}

static enum loam_status sort_items(struct chat_run *run, struct sorted *items, size_t count, bool reverse,
                                   struct sorted *scratch)
{
    if (count < 2) return LOAM_OK;
    size_t middle = count / 2;
    LOAM_TRY(sort_items(run, items, middle, reverse, scratch));
    LOAM_TRY(sort_items(run, items + middle, count - middle, reverse, scratch));
    return merge(run, items, middle, count, reverse, scratch);
}

// The elements with their keys, in order.
static enum loam_status sort_list(struct chat_run *run, const struct chat_list *list, struct sorted *items,
                                  bool reverse)
{
    struct sorted *scratch = chat_pool_take(&run->pool, list->count, sizeof *scratch, run->error);
    if (scratch == NULL) return loam_failure(run->error);
    for (size_t i = 0; i < list->count; i++)
        items[i].value = list->items[i];
    return sort_items(run, items, list->count, reverse, scratch);
}

static enum loam_status finish_sorted(struct chat_run *run, const struct sorted *items, size_t count,
                                      struct chat_value *result)
{
    struct chat_value *values;
    LOAM_TRY(chat_list_create(result, CHAT_LIST, count, &values, &run->pool, run->error));
    for (size_t i = 0; i < count; i++)
        values[i] = items[i].value;
    return LOAM_OK;
}

static enum loam_status create_sorted(struct chat_run *run, struct chat_value value, struct chat_value *list,
                                      struct sorted **items)
{
    LOAM_TRY(chat_collect(run, value, CHAT_LIST, list));
    *items = chat_pool_take(&run->pool, list->as.list->count, sizeof **items, run->error);
    return *items == NULL ? loam_failure(run->error) : LOAM_OK;
}

static enum loam_status filter_sort(struct chat_run *run, const struct chat_call *call,
                                    struct chat_value *result)
{
    struct chat_value list;
    struct sorted *items;
    LOAM_TRY(create_sorted(run, call->self, &list, &items));
    for (size_t i = 0; i < list.as.list->count; i++)
        LOAM_TRY(make_keys(run, list.as.list->items[i], call->values[2], chat_is_true(call->values[1]),
                           &items[i].key));
    LOAM_TRY(sort_list(run, list.as.list, items, chat_is_true(call->values[0])));
    return finish_sorted(run, items, list.as.list->count, result);
}

static enum loam_status filter_dictsort(struct chat_run *run, const struct chat_call *call,
                                        struct chat_value *result)
{
    struct chat_value list, by = call->values[1];
    struct sorted *items;
    bool value = by.kind == CHAT_STRING && chat_string_is(by.as.string, "value");
    if (by.kind != CHAT_MISSING && !value && !(by.kind == CHAT_STRING && chat_string_is(by.as.string, "key")))
        return chat_fail(run, "You can only sort by either \"key\" or \"value\"");
    if (call->self.kind == CHAT_UNDEFINED) return chat_fail_undefined(run, call->self);
    if (call->self.kind != CHAT_DICT)
        return chat_fail(run, "'%s' object has no attribute 'items'", chat_type_name(call->self));
    struct chat_view view = {.dict = call->self.as.dict, .what = CHAT_ITEMS};
    LOAM_TRY(create_sorted(run, (struct chat_value){.kind = CHAT_VIEW, .as.view = &view}, &list, &items));
    for (size_t i = 0; i < list.as.list->count; i++)
        LOAM_TRY(make_key(run, list.as.list->items[i].as.list->items[value], (struct chat_value){0},
                          chat_is_true(call->values[0]), &items[i].key));
    LOAM_TRY(sort_list(run, list.as.list, items, chat_is_true(call->values[2])));
    return finish_sorted(run, items, list.as.list->count, result);
}

static enum loam_status read_unique(struct chat_run *run, const struct chat_call *call,
                                    struct chat_value *result)
{
    struct chat_iterator *iterator = NULL;
    struct chat_items items = {0};
    struct chat_value item, key;
    struct chat_dict *seen = chat_dict_create(&run->pool, run->error);
    if (seen == NULL) return loam_failure(run->error);
    LOAM_TRY(chat_iterate(run, call->self, &iterator));
    for (bool ended = false;;) {
        LOAM_TRY(chat_next(run, iterator, &item, &ended));
        if (ended) break;
        LOAM_TRY(make_key(run, item, call->values[1], chat_is_true(call->values[0]), &key));
        if (chat_dict_get(seen, key) != NULL) continue;
        LOAM_TRY(chat_dict_put(seen, &run->pool, key, key, run->error));
        LOAM_TRY(chat_items_push(&items, item, &run->pool, run->error));
    }
    LOAM_TRY(chat_items_finish(&items, CHAT_LIST, result, &run->pool, run->error));
    LOAM_TRY(chat_iterate(run, *result, &iterator));
    *result = chat_from_iterator(iterator);
    return LOAM_OK;
}

CHAT_GENERATOR(filter_unique, read_unique)

static enum loam_status find_extreme(struct chat_run *run, const struct chat_call *call, bool largest,
                                     struct chat_value *result)
{
    struct chat_iterator *iterator = NULL;
    struct chat_value item, key, best = {0};
    bool sensitive = chat_is_true(call->values[0]), ended, better;
    LOAM_TRY(chat_iterate(run, call->self, &iterator));
    LOAM_TRY(chat_next(run, iterator, result, &ended));
    if (ended) return chat_undefined_hint(run, "No aggregated item, sequence was empty.", result);
    LOAM_TRY(make_key(run, *result, call->values[1], sensitive, &best));
    for (;;) {
        LOAM_TRY(chat_next(run, iterator, &item, &ended));
        if (ended) return LOAM_OK;
        LOAM_TRY(make_key(run, item, call->values[1], sensitive, &key));
        LOAM_TRY(chat_compare(run, largest ? CHAT_GREATER : CHAT_LESS, key, best, &better));
        if (!better) continue;
        best = key;
        *result = item;
    }
}

static enum loam_status filter_min(struct chat_run *run, const struct chat_call *call,
                                   struct chat_value *result)
{
    return find_extreme(run, call, false, result);
}
static enum loam_status filter_max(struct chat_run *run, const struct chat_call *call,
                                   struct chat_value *result)
{
    return find_extreme(run, call, true, result);
}

static enum loam_status filter_sum(struct chat_run *run, const struct chat_call *call,
                                   struct chat_value *result)
{
    struct chat_iterator *iterator = NULL;
    struct chat_value item;
    *result = call->values[1].kind == CHAT_MISSING ? chat_int(0) : call->values[1];
    if (result->kind == CHAT_STRING)
        return chat_fail(run, "sum() can't sum strings [use ''.join(seq) instead]");
    LOAM_TRY(chat_iterate(run, call->self, &iterator));
    for (bool ended = false;;) {
        LOAM_TRY(chat_next(run, iterator, &item, &ended));
        if (ended) return LOAM_OK;
        LOAM_TRY(chat_attribute_path(run, item, call->values[0], &item));
        LOAM_TRY(chat_binary(run, CHAT_ADD, *result, item, result));
    }
}

// ---- groupby ----

static enum loam_status group_key(struct chat_run *run, const struct chat_call *call, struct chat_value item,
                                  bool case_sensitive, struct chat_value *key)
{
    LOAM_TRY(chat_attribute_path(run, item, call->values[0], key));
    if (key->kind == CHAT_UNDEFINED && call->values[1].kind != CHAT_MISSING &&
        call->values[1].kind != CHAT_NONE)
        *key = call->values[1];
    if (case_sensitive || key->kind != CHAT_STRING) return LOAM_OK;
    return chat_change_case(run, key->as.string, CHAT_LOWER, key);
}

static enum loam_status add_group(struct chat_run *run, const struct chat_call *call,
                                  const struct sorted *items, size_t count, struct chat_items *groups)
{
    struct chat_value group, list, *parts, *values;
    LOAM_TRY(chat_list_create(&list, CHAT_LIST, count, &values, &run->pool, run->error));
    for (size_t i = 0; i < count; i++)
        values[i] = items[i].value;
    LOAM_TRY(chat_list_create(&group, CHAT_TUPLE, 2, &parts, &run->pool, run->error));
    LOAM_TRY(group_key(run, call, values[0], true, &parts[0]));
    parts[1] = list;
    group.markup = true; // has the attributes grouper and list
    return chat_items_push(groups, group, &run->pool, run->error);
}

static enum loam_status filter_groupby(struct chat_run *run, const struct chat_call *call,
                                       struct chat_value *result)
{
    struct chat_value list;
    struct sorted *items;
    struct chat_items groups = {0};
    LOAM_TRY(create_sorted(run, call->self, &list, &items));
    size_t count = list.as.list->count;
    for (size_t i = 0; i < count; i++)
        LOAM_TRY(group_key(run, call, list.as.list->items[i], chat_is_true(call->values[2]), &items[i].key));
    LOAM_TRY(sort_list(run, list.as.list, items, false));
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && chat_equals(items[to].key, items[from].key, &run->steps);)
            to++;
        LOAM_TRY(add_group(run, call, items + from, to - from, &groups));
    }
    return chat_items_finish(&groups, CHAT_LIST, result, &run->pool, run->error);
}

const struct chat_native chat_order_filters[] = {
    {"dictsort", "case_sensitive by reverse", 0, filter_dictsort},
    {"groupby", "attribute default case_sensitive", 1, filter_groupby},
    {"max", "case_sensitive attribute", 0, filter_max},
    {"min", "case_sensitive attribute", 0, filter_min},
    {"sort", "reverse case_sensitive attribute", 0, filter_sort},
    {"sum", "attribute start", 0, filter_sum},
    {"unique", "case_sensitive attribute", 0, filter_unique},
    {NULL, NULL, 0, NULL},
};
