// Iteration over values, and the state of loops.
#include "chat/run.h"

bool chat_is_iterable(struct chat_value value)
{
    switch ((enum chat_kind)value.kind) {
    case CHAT_UNDEFINED:
    case CHAT_STRING:
    case CHAT_LIST:
    case CHAT_TUPLE:
    case CHAT_DICT:
    case CHAT_RANGE:
    case CHAT_VIEW:
    case CHAT_ITERATOR:
    case CHAT_LOOP:
        return true;
    default:
        return false;
    }
}

struct chat_value chat_from_iterator(struct chat_iterator *iterator)
{
    return (struct chat_value){.kind = CHAT_ITERATOR, .as.iterator = iterator};
}

enum loam_status chat_new_iterator(struct chat_run *run, struct chat_iterator **iterator)
{
    *iterator = chat_pool_take(&run->pool, 1, sizeof **iterator, run->error);
    return *iterator == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
}

enum loam_status chat_iterate(struct chat_run *run, struct chat_value value, struct chat_iterator **iterator)
{
    if (value.kind == CHAT_ITERATOR) {
        *iterator = value.as.iterator;
        return LOAM_OK;
    }
    if (!chat_is_iterable(value)) return chat_fail(run, "'%s' object is not iterable", chat_type_name(value));
    LOAM_TRY(chat_new_iterator(run, iterator));
    (*iterator)->over = value;
    return LOAM_OK;
}

static enum loam_status view_item(struct chat_run *run, const struct chat_view *view, size_t index,
                                  struct chat_value *item)
{
    const struct chat_entry *entry = &view->dict->entries[index];
    if (view->what != CHAT_ITEMS) {
        *item = view->what == CHAT_KEYS ? entry->key : entry->value;
        return LOAM_OK;
    }
    struct chat_value *items;
    LOAM_TRY(chat_list_create(item, CHAT_TUPLE, 2, &items, &run->pool, run->error));
    items[0] = entry->key;
    items[1] = entry->value;
    return LOAM_OK;
}

static enum loam_status string_character(struct chat_run *run, const struct chat_string *string, size_t byte,
                                         struct chat_value *character)
{
    return chat_string_part(character, string, byte, byte + loam_utf8_length(string->data[byte]), &run->pool,
                            run->error);
}

enum loam_status chat_sequence_item(struct chat_run *run, struct chat_value sequence, int64_t index,
                                    struct chat_value *item)
{
    switch ((enum chat_kind)sequence.kind) {
    case CHAT_STRING:
        return string_character(run, sequence.as.string, chat_string_byte(sequence.as.string, (size_t)index),
                                item);
    case CHAT_LIST:
    case CHAT_TUPLE:
        *item = sequence.as.list->items[index];
        return LOAM_OK;
    case CHAT_DICT:
        *item = sequence.as.dict->entries[index].key;
        return LOAM_OK;
    case CHAT_VIEW:
        return view_item(run, sequence.as.view, (size_t)index, item);
    case CHAT_RANGE:
        *item = chat_int(sequence.as.range->start + index * sequence.as.range->step);
        return LOAM_OK;
    default:
        return chat_fail(run, "'%s' object is not subscriptable", chat_type_name(sequence));
    }
}

// The next element of the iterated value itself.
static enum loam_status next_plain(struct chat_run *run, struct chat_iterator *iterator,
                                   struct chat_value *value, bool *ended)
{
    struct chat_value over = iterator->over;
    *ended = true;
    if (over.kind == CHAT_STRING) { // by bytes, because an index takes a search
        const struct chat_string *string = over.as.string;
        if (iterator->at >= string->size) return LOAM_OK;
        *ended = false;
        LOAM_TRY(string_character(run, string, iterator->at, value));
        iterator->at += value->as.string->size;
        return LOAM_OK;
    }
    if (over.kind == CHAT_LOOP) return chat_fail(run, "loam does not iterate over the variable loop");
    if ((int64_t)iterator->at >= chat_length(over)) return LOAM_OK;
    *ended = false;
    return chat_sequence_item(run, over, (int64_t)iterator->at++, value);
}

// Whether a loop's condition holds for an element.
static enum loam_status test_loop(struct chat_run *run, struct chat_iterator *iterator,
                                  struct chat_value value, bool *chosen)
{
    struct chat_frame *outer = run->frame;
    struct chat_value test;
    LOAM_TRY(chat_assign(run, iterator->test_frame, iterator->loop->first, value));
    run->frame = iterator->test_frame;
    LOAM_TRY(chat_evaluate(run, iterator->loop->third, &test));
    run->frame = outer;
    *chosen = chat_is_true(test);
    return LOAM_OK;
}

// Applies map, select or reject to an element.
static enum loam_status apply_filter(struct chat_run *run, struct chat_iterator *iterator,
                                     struct chat_value *value, bool *chosen)
{
    struct chat_value result;
    *chosen = true;
    if (iterator->mode == CHAT_LOOP_TEST) return test_loop(run, iterator, *value, chosen);
    LOAM_TRY(chat_attribute_path(run, *value, iterator->attribute, &result));
    if (result.kind == CHAT_UNDEFINED && iterator->fallback.kind != CHAT_MISSING) result = iterator->fallback;
    if (iterator->native != NULL)
        LOAM_TRY(chat_native_call(run, iterator->native, result, &iterator->arguments, &result));
    if (iterator->mode == CHAT_MAP)
        *value = result;
    else
        *chosen = chat_is_true(result) == (iterator->mode == CHAT_SELECT);
    return LOAM_OK;
}

enum loam_status chat_defer(struct chat_run *run, const struct chat_call *call, chat_native_function *start,
                            struct chat_value *result)
{
    struct chat_iterator *iterator = NULL;
    struct chat_call *kept = chat_pool_take(&run->pool, 1, sizeof *kept, run->error);
    if (kept == NULL) return loam_failure(run->error);
    *kept = *call;
    LOAM_TRY(chat_new_iterator(run, &iterator));
    *iterator = (struct chat_iterator){.mode = CHAT_DEFERRED, .start = start, .call = kept};
    *result = chat_from_iterator(iterator);
    return LOAM_OK;
}

// Makes the call of a generator, and becomes the iterator that it gives.
static enum loam_status start_reading(struct chat_run *run, struct chat_iterator *iterator)
{
    struct chat_value result;
    LOAM_TRY(chat_descend(run));
    LOAM_TRY(iterator->start(run, iterator->call, &result));
    chat_ascend(run);
    *iterator = *result.as.iterator;
    return LOAM_OK;
}

enum loam_status chat_next(struct chat_run *run, struct chat_iterator *iterator, struct chat_value *value,
                           bool *ended)
{
    bool chosen = false;
    LOAM_TRY(chat_step(run));
    if (iterator->mode == CHAT_DEFERRED) LOAM_TRY(start_reading(run, iterator));
    if (iterator->mode == CHAT_PLAIN) return next_plain(run, iterator, value, ended);
    if (iterator->mode == CHAT_REVERSED) {
        *ended = iterator->at == 0;
        return *ended ? LOAM_OK : chat_sequence_item(run, iterator->over, (int64_t)--iterator->at, value);
    }
    LOAM_TRY(chat_descend(run));
    while (!chosen) {
        LOAM_TRY(chat_next(run, iterator->inner, value, ended));
        if (*ended) break;
        LOAM_TRY(apply_filter(run, iterator, value, &chosen));
    }
    chat_ascend(run);
    return LOAM_OK;
}

enum loam_status chat_collect(struct chat_run *run, struct chat_value value, enum chat_kind kind,
                              struct chat_value *list)
{
    struct chat_items items = {0};
    struct chat_iterator *iterator = NULL;
    struct chat_value item;
    if (chat_is_list(value)) { // nothing changes a list
        *list = value;
        list->kind = (uint8_t)kind;
        list->origin = CHAT_TEMPLATE_ORIGIN;
        return LOAM_OK;
    }
    LOAM_TRY(chat_iterate(run, value, &iterator));
    for (;;) {
        bool ended;
        LOAM_TRY(chat_next(run, iterator, &item, &ended));
        if (ended) break;
        LOAM_TRY(chat_items_push(&items, item, &run->pool, run->error));
    }
    return chat_items_finish(&items, kind, list, &run->pool, run->error);
}

// ---- The variable loop ----

static enum loam_status peek(struct chat_run *run, struct chat_loop *loop, bool *none)
{
    if (!loop->peeked) LOAM_TRY(chat_next(run, loop->iterator, &loop->after, &loop->ended));
    loop->peeked = true;
    *none = loop->ended;
    return LOAM_OK;
}

// jinja2 reads the rest of an iterator to count it.
enum loam_status chat_loop_length(struct chat_run *run, struct chat_loop *loop, int64_t *length)
{
    bool none;
    if (loop->length >= 0) {
        *length = loop->length;
        return LOAM_OK;
    }
    LOAM_TRY(peek(run, loop, &none));
    struct chat_value rest;
    LOAM_TRY(chat_collect(run, chat_from_iterator(loop->iterator), CHAT_LIST, &rest));
    LOAM_TRY(chat_iterate(run, rest, &loop->iterator));
    loop->length = loop->index0 + 1 + !none + (int64_t)rest.as.list->count;
    *length = loop->length;
    return LOAM_OK;
}

static enum loam_status loop_number(struct chat_run *run, struct chat_loop *loop,
                                    const struct chat_string *name, struct chat_value *result, bool *found)
{
    static const struct {
        const char *name;
        int index, from_length, plus; // index * index0 + from_length * length + plus
    } rows[] = {
        {"index", 1, 0, 1},  {"index0", 1, 0, 0}, {"revindex", -1, 1, 0}, {"revindex0", -1, 1, -1},
        {"length", 0, 1, 0}, {"depth", 0, 0, 1},  {"depth0", 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t length = 0;
        if (!chat_string_is(name, rows[i].name)) continue;
        if (rows[i].from_length != 0) LOAM_TRY(chat_loop_length(run, loop, &length));
        *result = chat_int(rows[i].index * loop->index0 + rows[i].from_length * length + rows[i].plus);
        *found = true;
    }
    return LOAM_OK;
}

enum loam_status chat_loop_attribute(struct chat_run *run, struct chat_loop *loop,
                                     const struct chat_string *name, struct chat_value *result, bool *found)
{
    bool none = false;
    *found = false;
    LOAM_TRY(loop_number(run, loop, name, result, found));
    if (*found) return LOAM_OK;
    *found = true;
    if (chat_string_is(name, "first")) {
        *result = chat_bool(loop->index0 == 0);
    } else if (chat_string_is(name, "last")) {
        LOAM_TRY(peek(run, loop, &none));
        *result = chat_bool(none);
    } else if (chat_string_is(name, "previtem")) {
        *result = loop->before;
        if (loop->index0 == 0) return chat_undefined_hint(run, "there is no previous item", result);
    } else if (chat_string_is(name, "nextitem")) {
        LOAM_TRY(peek(run, loop, &none));
        *result = loop->after;
        if (none) return chat_undefined_hint(run, "there is no next item", result);
    } else {
        *found = false;
    }
    return LOAM_OK;
}
