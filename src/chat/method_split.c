// Methods of strings that split and join.
#include "chat/method.h"
#include "chat/unicode.h"

struct parts {
    struct chat_run *run;
    const struct chat_string *string;
    struct chat_items items;
};

static enum loam_status add_part(struct parts *parts, size_t from, size_t to)
{
    struct chat_value part;
    struct chat_run *run = parts->run;
    LOAM_TRY(chat_step(run));
    LOAM_TRY(chat_string_part(&part, parts->string, from, to, &run->pool, run->error));
    return chat_items_push(&parts->items, part, &run->pool, run->error);
}

static enum loam_status split_at_spaces(struct parts *parts, int64_t limit)
{
    const struct chat_string *string = parts->string;
    size_t at = chat_space_prefix(string->data, string->size);
    while (at < string->size) {
        size_t end = at, size = 0;
        if (limit-- == 0)
            return add_part(parts, at, at + chat_space_trim_end(string->data + at, string->size - at));
        for (; end < string->size && !chat_is_space(chat_decode(string->data + end, &size)); end += size)
            continue;
        LOAM_TRY(add_part(parts, at, end));
        at = end + chat_space_prefix(string->data + end, string->size - end);
    }
    return LOAM_OK;
}

static enum loam_status split_back_at_spaces(struct parts *parts, int64_t limit)
{
    const struct chat_string *string = parts->string;
    size_t end = chat_space_trim_end(string->data, string->size), same;
    while (end > 0) {
        size_t start = end;
        if (limit-- == 0) return add_part(parts, chat_space_prefix(string->data, end), end);
        while (start > 0) {
            size_t size = loam_utf8_last(string->data, start);
            if (chat_is_space(chat_decode(string->data + start - size, &same))) break;
            start -= size;
        }
        LOAM_TRY(add_part(parts, start, end));
        end = chat_space_trim_end(string->data, start);
    }
    return LOAM_OK;
}

static enum loam_status split_at(struct parts *parts, const struct chat_string *separator, int64_t limit)
{
    size_t at = 0;
    for (; limit != 0; limit--) {
        size_t found = chat_string_find(parts->string, separator, at, parts->string->size);
        if (found == SIZE_MAX) break;
        LOAM_TRY(add_part(parts, at, found));
        at = found + separator->size;
    }
    return add_part(parts, at, parts->string->size);
}

static enum loam_status split_back_at(struct parts *parts, const struct chat_string *separator, int64_t limit)
{
    size_t end = parts->string->size;
    for (; limit != 0; limit--) {
        size_t found = chat_string_find_last(parts->string, separator, 0, end);
        if (found == SIZE_MAX) break;
        LOAM_TRY(add_part(parts, found + separator->size, end));
        end = found;
    }
    return add_part(parts, 0, end);
}

static void reverse(struct chat_items *items)
{
    for (size_t i = 0; i < items->count / 2; i++) {
        struct chat_value swapped = items->items[i];
        items->items[i] = items->items[items->count - 1 - i];
        items->items[items->count - 1 - i] = swapped;
    }
}

static enum loam_status split(struct chat_run *run, const struct chat_call *call, bool back,
                              struct chat_value *result)
{
    struct parts parts = {.run = run, .string = call->self.as.string};
    struct chat_value separator = call->values[0];
    int64_t limit;
    LOAM_TRY(chat_need_integer(run, call->values[1], -1, &limit));
    if (separator.kind == CHAT_MISSING || separator.kind == CHAT_NONE) {
        LOAM_TRY(back ? split_back_at_spaces(&parts, limit) : split_at_spaces(&parts, limit));
    } else {
        const struct chat_string *words;
        LOAM_TRY(chat_need_string(run, separator, &words));
        if (words->size == 0) return chat_fail(run, "empty separator");
        LOAM_TRY(back ? split_back_at(&parts, words, limit) : split_at(&parts, words, limit));
    }
    if (back) reverse(&parts.items);
    return chat_items_finish(&parts.items, CHAT_LIST, result, &run->pool, run->error);
}

static enum loam_status string_split(struct chat_run *run, const struct chat_call *call,
                                     struct chat_value *result)
{
    return split(run, call, false, result);
}
static enum loam_status string_rsplit(struct chat_run *run, const struct chat_call *call,
                                      struct chat_value *result)
{
    return split(run, call, true, result);
}

enum loam_status chat_split_lines(struct chat_run *run, const struct chat_string *string, bool keep_ends,
                                  struct chat_value *result)
{
    struct parts parts = {.run = run, .string = string};
    size_t start = 0, size;
    for (size_t at = 0; at < string->size; at += size) {
        if (!chat_is_line_break(chat_decode(string->data + at, &size))) continue;
        size_t end = at;
        if (string->data[at] == '\r' && at + 1 < string->size && string->data[at + 1] == '\n') size = 2;
        LOAM_TRY(add_part(&parts, start, keep_ends ? at + size : end));
        start = at + size;
    }
    if (start < string->size) LOAM_TRY(add_part(&parts, start, string->size));
    return chat_items_finish(&parts.items, CHAT_LIST, result, &run->pool, run->error);
}

static enum loam_status string_splitlines(struct chat_run *run, const struct chat_call *call,
                                          struct chat_value *result)
{
    return chat_split_lines(run, call->self.as.string, chat_is_true(call->values[0]), result);
}

static enum loam_status partition(struct chat_run *run, const struct chat_call *call, bool last,
                                  struct chat_value *result)
{
    struct parts parts = {.run = run, .string = call->self.as.string};
    const struct chat_string *separator;
    size_t end = parts.string->size;
    LOAM_TRY(chat_need_string(run, call->values[0], &separator));
    if (separator->size == 0) return chat_fail(run, "empty separator");
    size_t found = last ? chat_string_find_last(parts.string, separator, 0, end)
                        : chat_string_find(parts.string, separator, 0, end);
    bool none = found == SIZE_MAX;
    size_t first = none ? (last ? 0 : end) : found, second = none ? first : found + separator->size;
    LOAM_TRY(add_part(&parts, 0, first));
    LOAM_TRY(add_part(&parts, first, second));
    LOAM_TRY(add_part(&parts, second, end));
    return chat_items_finish(&parts.items, CHAT_TUPLE, result, &run->pool, run->error);
}

static enum loam_status string_partition(struct chat_run *run, const struct chat_call *call,
                                         struct chat_value *result)
{
    return partition(run, call, false, result);
}
static enum loam_status string_rpartition(struct chat_run *run, const struct chat_call *call,
                                          struct chat_value *result)
{
    return partition(run, call, true, result);
}

static enum loam_status string_join(struct chat_run *run, const struct chat_call *call,
                                    struct chat_value *result)
{
    struct chat_text text;
    struct chat_value list;
    chat_text_init(&text, &run->pool, run->error);
    LOAM_TRY(chat_collect(run, call->values[0], CHAT_LIST, &list));
    for (size_t i = 0; i < list.as.list->count; i++) {
        struct chat_value item = list.as.list->items[i];
        if (item.kind != CHAT_STRING)
            return chat_fail(run, "sequence item %zu: expected str instance, %s found", i,
                             chat_type_name(item));
        if (call->self.markup) LOAM_TRY(chat_escape(run, item, &item));
        if (i > 0) LOAM_TRY(chat_text_append_string(&text, call->self.as.string));
        LOAM_TRY(chat_text_append_string(&text, item.as.string));
    }
    return chat_text_finish(&text, result);
}

const struct chat_native chat_split_methods[] = {
    {"join", "iterable", 1, string_join},
    {"partition", "sep", 1, string_partition},
    {"rpartition", "sep", 1, string_rpartition},
    {"rsplit", "sep maxsplit", 0, string_rsplit},
    {"split", "sep maxsplit", 0, string_split},
    {"splitlines", "keepends", 0, string_splitlines},
    {NULL, NULL, 0, NULL},
};
