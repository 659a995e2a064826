// The functions that every template has.
#include <locale.h>

#include "chat/run.h"

enum { LARGEST_RANGE = 100000 }; // elements; jinja2's sandbox has the same limit

static enum loam_status call_range(struct chat_run *run, const struct chat_call *call,
                                   struct chat_value *result)
{
    int64_t bounds[3] = {0, 0, 1};
    struct chat_range *range = chat_pool_take(&run->pool, 1, sizeof *range, run->error);
    if (range == NULL) return loam_failure(run->error);
    for (int i = 0; i < 3; i++) {
        if (call->values[i].kind == CHAT_NONE)
            return chat_fail(run, "'NoneType' object cannot be interpreted as an integer");
        LOAM_TRY(chat_need_integer(run, call->values[i], bounds[i], &bounds[i]));
    }
    if (call->values[1].kind == CHAT_MISSING) {
        bounds[1] = bounds[0];
        bounds[0] = 0;
    }
    if (bounds[2] == 0) return chat_fail(run, "range() arg 3 must not be zero");
    *range = (struct chat_range){.start = bounds[0], .stop = bounds[1], .step = bounds[2]};
    double distance = ((double)bounds[1] - (double)bounds[0]) / (double)bounds[2];
    if (distance > LARGEST_RANGE)
        return chat_fail(run, "Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).",
                         LARGEST_RANGE);
    if (distance > 0) {
        int64_t span = bounds[2] > 0 ? bounds[1] - bounds[0] : bounds[0] - bounds[1];
        int64_t step = bounds[2] > 0 ? bounds[2] : bounds[2] == INT64_MIN ? INT64_MAX : -bounds[2];
        range->count = (span - 1) / step + 1;
    }
    *result = (struct chat_value){.kind = CHAT_RANGE, .as.range = range};
    return LOAM_OK;
}

// Adds the entries of a dict, or of pairs.
static enum loam_status add_entries(struct chat_run *run, struct chat_dict *dict, struct chat_value from)
{
    struct chat_value list, pair;
    if (from.kind == CHAT_DICT) {
        for (size_t i = 0; i < from.as.dict->count; i++)
            LOAM_TRY(chat_dict_put(dict, &run->pool, from.as.dict->entries[i].key,
                                   from.as.dict->entries[i].value, run->error));
        return LOAM_OK;
    }
    LOAM_TRY(chat_collect(run, from, CHAT_LIST, &list));
    for (size_t i = 0; i < list.as.list->count; i++) {
        if (!chat_is_iterable(list.as.list->items[i]))
            return chat_fail(run, "cannot convert dictionary update sequence element #%zu to a sequence", i);
        LOAM_TRY(chat_collect(run, list.as.list->items[i], CHAT_LIST, &pair));
        if (pair.as.list->count != 2)
            return chat_fail(run, "dictionary update sequence element #%zu has length %zu; 2 is required", i,
                             pair.as.list->count);
        LOAM_TRY(chat_dict_put(dict, &run->pool, pair.as.list->items[0], pair.as.list->items[1], run->error));
    }
    return LOAM_OK;
}

static enum loam_status make_dict(struct chat_run *run, const struct chat_call *call, enum chat_kind kind,
                                  struct chat_value *result)
{
    struct chat_dict *dict = chat_dict_create(&run->pool, run->error);
    if (dict == NULL) return loam_failure(run->error);
    if (call->all.count > 1)
        return chat_fail(run, "dict expected at most 1 argument, got %zu", call->all.count);
    if (call->all.count == 1) LOAM_TRY(add_entries(run, dict, call->all.items[0]));
    for (size_t i = 0; i < call->all.named_count; i++)
        LOAM_TRY(chat_dict_put(dict, &run->pool, chat_from_string(call->all.named[i].name),
                               call->all.named[i].value, run->error));
    *result = (struct chat_value){.kind = (uint8_t)kind, .as.dict = dict};
    return LOAM_OK;
}

static enum loam_status call_dict(struct chat_run *run, const struct chat_call *call,
                                  struct chat_value *result)
{
    return make_dict(run, call, CHAT_DICT, result);
}

static enum loam_status call_namespace(struct chat_run *run, const struct chat_call *call,
                                       struct chat_value *result)
{
    LOAM_TRY(make_dict(run, call, CHAT_NAMESPACE, result));
    for (size_t i = 0; i < result->as.dict->count; i++) {
        struct chat_value name = result->as.dict->entries[i].key;
        if (name.kind == CHAT_STRING && name.as.string->size > 0 && name.as.string->data[0] == '_')
            return chat_fail(
                run,
                "Chat templates cannot store underscore-prefixed attributes on a namespace, but got "
                "'%.*s'. Please rename the attribute.",
                (int)name.as.string->size, name.as.string->data);
    }
    return LOAM_OK;
}

static enum loam_status call_raise(struct chat_run *run, const struct chat_call *call,
                                   struct chat_value *result)
{
    struct chat_value message;
    (void)result;
    LOAM_TRY(chat_to_string(run, call->values[0], &message));
    run->raised = true;
    return chat_fail(run, "%.*s", (int)message.as.string->size, message.as.string->data);
}

// Appends what one directive of strftime, such as %Y, stands for.
static enum loam_status append_time(struct chat_run *run, struct chat_text *text, const char *directive,
                                    locale_t locale)
{
    char word[256];
    size_t size = 0;
    char letter = directive[strlen(directive) - 1];
    if (letter == 'f')
        size = (size_t)snprintf(word, sizeof word, "%06ld", run->microsecond);
    else if (letter != 'z' && letter != 'Z') // the time has no zone
        size = strftime_l(word, sizeof word, directive, &run->now, locale);
    return chat_text_append(text, word, size, CHAT_TEMPLATE_ORIGIN);
}

static enum loam_status format_time(struct chat_run *run, struct chat_text *text,
                                    const struct chat_string *format, locale_t locale)
{
    for (size_t at = 0; at < format->size;) {
        char directive[4] = {'%'};
        size_t plain = at;
        while (at < format->size && format->data[at] != '%')
            at++;
        LOAM_TRY(chat_text_append_part(text, format, plain, at, 0));
        if (at == format->size) break;
        bool modified = at + 2 < format->size && strchr("-_0^#", format->data[at + 1]) != NULL;
        size_t size = at + 1 == format->size ? 1 : modified ? 3 : 2;
        memcpy(directive, format->data + at, size);
        at += size;
        if (size == 1 || (unsigned char)directive[size - 1] >= 0x80 || directive[size - 1] == '\0')
            LOAM_TRY(chat_text_append_part(text, format, at - size, at, 0));
        else
            LOAM_TRY(append_time(run, text, directive, locale));
    }
    return LOAM_OK;
}

static enum loam_status call_strftime_now(struct chat_run *run, const struct chat_call *call,
                                          struct chat_value *result)
{
    const struct chat_string *format;
    struct chat_text text;
    LOAM_TRY(chat_need_string(run, call->values[0], &format));
    locale_t locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); // names of months in English, as in Python
    if (locale == (locale_t)0) return loam_fail(run->error, LOAM_ERROR_MEMORY, "out of memory: a locale");
    chat_text_init(&text, &run->pool, run->error);
    enum loam_status status = format_time(run, &text, format, locale);
    freelocale(locale);
    return status == LOAM_OK ? chat_text_finish(&text, result) : status;
}

static enum loam_status call_cycler(struct chat_run *run, const struct chat_call *call,
                                    struct chat_value *result)
{
    struct chat_cycler *cycler = chat_pool_take(&run->pool, 1, sizeof *cycler, run->error);
    if (cycler == NULL) return loam_failure(run->error);
    if (call->all.count == 0) return chat_fail(run, "at least one item has to be provided");
    cycler->items = (struct chat_list){call->all.items, call->all.count};
    *result = (struct chat_value){.kind = CHAT_CYCLER, .as.cycler = cycler};
    return LOAM_OK;
}

static enum loam_status call_joiner(struct chat_run *run, const struct chat_call *call,
                                    struct chat_value *result)
{
    struct chat_joiner *joiner = chat_pool_take(&run->pool, 1, sizeof *joiner, run->error);
    if (joiner == NULL) return loam_failure(run->error);
    joiner->separator = call->values[0];
    if (joiner->separator.kind == CHAT_MISSING) LOAM_TRY(chat_make_string(run, ", ", &joiner->separator));
    *result = (struct chat_value){.kind = CHAT_JOINER, .as.joiner = joiner};
    return LOAM_OK;
}

static const struct chat_native functions[] = {
    {"range", "start stop step", 1, call_range},
    {"dict", "*", 0, call_dict},
    {"namespace", "*", 0, call_namespace},
    {"raise_exception", "message", 1, call_raise},
    {"strftime_now", "format", 1, call_strftime_now},
    {"cycler", "*", 0, call_cycler},
    {"joiner", "sep", 0, call_joiner},
    {"lipsum", "*", 0, NULL},
};

const struct chat_native *chat_function_at(size_t index)
{
    return index < sizeof functions / sizeof functions[0] ? &functions[index] : NULL;
}
