// Filters over text.
#include "chat/filter.h"
#include "chat/method.h"
#include "chat/unicode.h"

// The subject as a string that stays markup if it is.
static enum loam_status subject(struct chat_run *run, const struct chat_call *call,
                                const struct chat_string **string)
{
    struct chat_value text;
    LOAM_TRY(chat_to_string(run, call->self, &text));
    *string = text.as.string;
    return LOAM_OK;
}

// A subject that must be a string.
static enum loam_status string_subject(struct chat_run *run, const struct chat_call *call,
                                       const struct chat_string **string)
{
    *string = NULL;
    if (call->self.kind == CHAT_UNDEFINED) {
        LOAM_TRY(chat_fail_undefined(run, call->self)); // never LOAM_OK, which analysers do not see
        return loam_failure(run->error);
    }
    return chat_need_string(run, call->self, string);
}

static enum loam_status keep_markup(const struct chat_call *call, struct chat_value *result)
{
    result->markup = call->self.kind == CHAT_STRING && call->self.markup;
    return LOAM_OK;
}

static enum loam_status change_case(struct chat_run *run, const struct chat_call *call, enum chat_case to,
                                    struct chat_value *result)
{
    const struct chat_string *string;
    LOAM_TRY(subject(run, call, &string));
    LOAM_TRY(chat_change_case(run, string, to, result));
    return keep_markup(call, result);
}

static enum loam_status filter_upper(struct chat_run *run, const struct chat_call *call,
                                     struct chat_value *result)
{
    return change_case(run, call, CHAT_UPPER, result);
}
static enum loam_status filter_lower(struct chat_run *run, const struct chat_call *call,
                                     struct chat_value *result)
{
    return change_case(run, call, CHAT_LOWER, result);
}
static enum loam_status filter_capitalize(struct chat_run *run, const struct chat_call *call,
                                          struct chat_value *result)
{
    return change_case(run, call, CHAT_CAPITALIZE, result);
}

static bool separates_words(uint32_t code)
{
    return chat_is_space(code) || (code < 0x80 && code != 0 && strchr("-({[<", (int)code) != NULL);
}

// Titles words between white space, hyphens and opening brackets, which is not what str.title does. jinja2 changes the
// first character of a word alone, and lowers the rest of the word.
static enum loam_status filter_title(struct chat_run *run, const struct chat_call *call,
                                     struct chat_value *result)
{
    const struct chat_string *string;
    struct chat_text text;
    struct chat_value part;
    LOAM_TRY(subject(run, call, &string));
    chat_text_init(&text, &run->pool, run->error);
    for (size_t at = 0, size, end; at < string->size; at = end) {
        bool separator = separates_words(chat_decode(string->data + at, &size));
        size_t first = at + size;
        for (end = first; end < string->size; end += size)
            if (separates_words(chat_decode(string->data + end, &size)) != separator) break;
        LOAM_TRY(chat_string_part(&part, string, at, first, &run->pool, run->error));
        LOAM_TRY(chat_change_case(run, part.as.string, CHAT_UPPER, &part));
        LOAM_TRY(chat_text_append_string(&text, part.as.string));
        LOAM_TRY(chat_string_part(&part, string, first, end, &run->pool, run->error));
        LOAM_TRY(chat_change_case(run, part.as.string, CHAT_LOWER, &part));
        LOAM_TRY(chat_text_append_string(&text, part.as.string));
    }
    LOAM_TRY(chat_text_finish(&text, result));
    return LOAM_OK;
}

static enum loam_status filter_trim(struct chat_run *run, const struct chat_call *call,
                                    struct chat_value *result)
{
    const struct chat_string *string;
    LOAM_TRY(subject(run, call, &string));
    LOAM_TRY(chat_strip(run, string, call->values[0], CHAT_LEFT | CHAT_RIGHT, result));
    return keep_markup(call, result);
}

static enum loam_status filter_center(struct chat_run *run, const struct chat_call *call,
                                      struct chat_value *result)
{
    const struct chat_string *string;
    int64_t width;
    LOAM_TRY(subject(run, call, &string));
    LOAM_TRY(chat_need_integer(run, call->values[0], 80, &width));
    LOAM_TRY(chat_center(run, string, width, NULL, result));
    return keep_markup(call, result);
}

static enum loam_status filter_replace(struct chat_run *run, const struct chat_call *call,
                                       struct chat_value *result)
{
    const struct chat_string *string;
    struct chat_value old, new;
    int64_t count;
    LOAM_TRY(subject(run, call, &string));
    LOAM_TRY(chat_to_string(run, call->values[0], &old));
    LOAM_TRY(chat_to_string(run, call->values[1], &new));
    LOAM_TRY(chat_need_integer(run, call->values[2], -1, &count));
    return chat_replace(run, string, old.as.string, new.as.string, count, result);
}

static enum loam_status filter_string(struct chat_run *run, const struct chat_call *call,
                                      struct chat_value *result)
{
    return chat_to_string(run, call->self, result);
}

static enum loam_status filter_safe(struct chat_run *run, const struct chat_call *call,
                                    struct chat_value *result)
{
    LOAM_TRY(chat_to_string(run, call->self, result));
    result->markup = true;
    return LOAM_OK;
}

static enum loam_status filter_escape(struct chat_run *run, const struct chat_call *call,
                                      struct chat_value *result)
{
    return chat_escape(run, call->self, result);
}

static enum loam_status filter_forceescape(struct chat_run *run, const struct chat_call *call,
                                           struct chat_value *result)
{
    struct chat_value text;
    LOAM_TRY(chat_to_string(run, call->self, &text));
    text.markup = false;
    return chat_escape(run, text, result);
}

static enum loam_status filter_format(struct chat_run *run, const struct chat_call *call,
                                      struct chat_value *result)
{
    struct chat_value text, values, *items;
    const struct chat_arguments *all = &call->all;
    LOAM_TRY(chat_to_string(run, call->self, &text));
    if (all->count > 0 && all->named_count > 0)
        return chat_fail(run, "can't handle positional and keyword arguments at the same time");
    if (all->named_count > 0) {
        struct chat_dict *dict = chat_dict_create(&run->pool, run->error);
        if (dict == NULL) return loam_failure(run->error);
        for (size_t i = 0; i < all->named_count; i++)
            LOAM_TRY(chat_dict_put(dict, &run->pool, chat_from_string(all->named[i].name),
                                   all->named[i].value, run->error));
        values = (struct chat_value){.kind = CHAT_DICT, .as.dict = dict};
        return chat_format_percent(run, text, values, result);
    }
    LOAM_TRY(chat_list_create(&values, CHAT_TUPLE, all->count, &items, &run->pool, run->error));
    if (all->count > 0) memcpy(items, all->items, all->count * sizeof *items);
    return chat_format_percent(run, text, values, result);
}

// ---- Lines ----

static enum loam_status append_indent(struct chat_run *run, struct chat_text *text, struct chat_value width)
{
    if (width.kind == CHAT_STRING) return chat_text_append_string(text, width.as.string);
    int64_t count;
    LOAM_TRY(chat_need_integer(run, width, 4, &count));
    if (count > 10000) return chat_fail(run, "an indent has more than 10000 blanks");
    for (int64_t i = 0; i < count; i++)
        LOAM_TRY(chat_text_append(text, " ", 1, CHAT_TEMPLATE_ORIGIN));
    return LOAM_OK;
}

static enum loam_status filter_indent(struct chat_run *run, const struct chat_call *call,
                                      struct chat_value *result)
{
    const struct chat_string *string;
    struct chat_text text;
    struct chat_value lines, closed;
    bool first = chat_is_true(call->values[1]), blank = chat_is_true(call->values[2]);
    LOAM_TRY(string_subject(run, call, &string));
    chat_text_init(&text, &run->pool, run->error); // a line break at the end gives a last line, as in jinja2
    LOAM_TRY(chat_text_append_string(&text, string));
    LOAM_TRY(chat_text_append(&text, "\n", 1, CHAT_TEMPLATE_ORIGIN));
    LOAM_TRY(chat_text_finish(&text, &closed));
    LOAM_TRY(chat_split_lines(run, closed.as.string, false, &lines));
    chat_text_init(&text, &run->pool, run->error);
    if (first) LOAM_TRY(append_indent(run, &text, call->values[0]));
    for (size_t i = 0; i < lines.as.list->count; i++) {
        const struct chat_string *line = lines.as.list->items[i].as.string;
        if (i > 0) LOAM_TRY(chat_text_append(&text, "\n", 1, CHAT_TEMPLATE_ORIGIN));
        if (i > 0 && (blank || line->size > 0)) LOAM_TRY(append_indent(run, &text, call->values[0]));
        LOAM_TRY(chat_text_append_string(&text, line));
    }
    LOAM_TRY(chat_text_finish(&text, result));
    return keep_markup(call, result);
}

static enum loam_status filter_truncate(struct chat_run *run, const struct chat_call *call,
                                        struct chat_value *result)
{
    const struct chat_string *string, *end;
    struct chat_value mark = call->values[2];
    int64_t length, leeway;
    struct chat_text text;
    if (mark.kind == CHAT_MISSING) LOAM_TRY(chat_make_string(run, "...", &mark));
    LOAM_TRY(chat_need_string(run, mark, &end));
    LOAM_TRY(chat_need_integer(run, call->values[0], 255, &length));
    LOAM_TRY(chat_need_integer(run, call->values[3], 5, &leeway));
    if (length < end->length)
        return chat_fail(run, "expected length >= %u, got %lld", end->length, (long long)length);
    if (leeway < 0) return chat_fail(run, "expected leeway >= 0, got %lld", (long long)leeway);
    *result = call->self;
    int64_t size = chat_length(call->self);
    if (size >= 0 && (size <= length || size - length <= leeway)) return LOAM_OK;
    LOAM_TRY(string_subject(run, call, &string));
    size_t kept = chat_string_byte(string, (size_t)(length - end->length));
    const char *blank = memrchr(string->data, ' ', kept);
    if (!chat_is_true(call->values[1]) && blank != NULL) kept = (size_t)(blank - string->data);
    chat_text_init(&text, &run->pool, run->error);
    LOAM_TRY(chat_text_append_part(&text, string, 0, kept, 0));
    LOAM_TRY(chat_text_append_string(&text, end));
    return chat_text_finish(&text, result);
}

static enum loam_status filter_wordcount(struct chat_run *run, const struct chat_call *call,
                                         struct chat_value *result)
{
    const struct chat_string *string;
    int64_t count = 0;
    bool inside = false;
    LOAM_TRY(subject(run, call, &string));
    for (size_t at = 0, size; at < string->size; at += size) {
        bool word = chat_is_word(chat_decode(string->data + at, &size));
        count += word && !inside;
        inside = word;
    }
    *result = chat_int(count);
    return LOAM_OK;
}

// ---- URLs and XML ----

static enum loam_status append_quoted(struct chat_run *run, struct chat_text *text, struct chat_value value,
                                      bool query)
{
    struct chat_value string;
    LOAM_TRY(chat_to_string(run, value, &string));
    for (size_t i = 0; i < string.as.string->size; i++) {
        unsigned char byte = (unsigned char)string.as.string->data[i];
        bool plain = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
                     (byte >= 'A' && byte <= 'Z') || (byte != 0 && strchr("_.-~", byte) != NULL) ||
                     (byte == '/' && !query);
        char escape[4] = {(char)(byte == ' ' && query ? '+' : byte)};
        if (!plain && escape[0] != '+') snprintf(escape, sizeof escape, "%%%02X", byte);
        if (byte == '+') snprintf(escape, sizeof escape, "%%2B");
        LOAM_TRY(chat_text_append_words(text, escape, chat_string_origin_at(string.as.string, i)));
    }
    return LOAM_OK;
}

static enum loam_status filter_urlencode(struct chat_run *run, const struct chat_call *call,
                                         struct chat_value *result)
{
    struct chat_text text;
    struct chat_value pairs, view = call->self, pair;
    chat_text_init(&text, &run->pool, run->error);
    if (call->self.kind == CHAT_STRING || !chat_is_iterable(call->self)) {
        LOAM_TRY(append_quoted(run, &text, call->self, false));
        return chat_text_finish(&text, result);
    }
    struct chat_view items = {.dict = call->self.as.dict, .what = CHAT_ITEMS};
    if (call->self.kind == CHAT_DICT) view = (struct chat_value){.kind = CHAT_VIEW, .as.view = &items};
    LOAM_TRY(chat_collect(run, view, CHAT_LIST, &pairs));
    for (size_t i = 0; i < pairs.as.list->count; i++) {
        LOAM_TRY(chat_collect(run, pairs.as.list->items[i], CHAT_LIST, &pair));
        if (pair.as.list->count != 2) return chat_fail(run, "urlencode expects pairs");
        if (i > 0) LOAM_TRY(chat_text_append(&text, "&", 1, CHAT_TEMPLATE_ORIGIN));
        LOAM_TRY(append_quoted(run, &text, pair.as.list->items[0], true));
        LOAM_TRY(chat_text_append(&text, "=", 1, CHAT_TEMPLATE_ORIGIN));
        LOAM_TRY(append_quoted(run, &text, pair.as.list->items[1], true));
    }
    return chat_text_finish(&text, result);
}

static enum loam_status filter_xmlattr(struct chat_run *run, const struct chat_call *call,
                                       struct chat_value *result)
{
    struct chat_text text;
    struct chat_value part;
    bool space = call->values[0].kind == CHAT_MISSING || chat_is_true(call->values[0]);
    chat_text_init(&text, &run->pool, run->error);
    if (call->self.kind != CHAT_DICT)
        return chat_fail(run, "xmlattr expects a dict, not %s", chat_type_name(call->self));
    for (size_t i = 0; i < call->self.as.dict->count; i++) {
        const struct chat_entry *entry = &call->self.as.dict->entries[i];
        const struct chat_string *key;
        if (entry->value.kind == CHAT_NONE || entry->value.kind == CHAT_UNDEFINED) continue;
        LOAM_TRY(chat_need_string(run, entry->key, &key));
        for (size_t k = 0; k < key->size; k++)
            if (key->data[k] != '\0' && strchr(" \t\n\r\f\v/>=", key->data[k]) != NULL)
                return chat_fail(run, "Invalid character in attribute name: '%.*s'", (int)key->size,
                                 key->data);
        if (text.size > 0 || space) LOAM_TRY(chat_text_append(&text, " ", 1, CHAT_TEMPLATE_ORIGIN));
        LOAM_TRY(chat_escape(run, entry->key, &part));
        LOAM_TRY(chat_text_append_string(&text, part.as.string));
        LOAM_TRY(chat_text_append(&text, "=\"", 2, CHAT_TEMPLATE_ORIGIN));
        LOAM_TRY(chat_escape(run, entry->value, &part));
        LOAM_TRY(chat_text_append_string(&text, part.as.string));
        LOAM_TRY(chat_text_append(&text, "\"", 1, CHAT_TEMPLATE_ORIGIN));
    }
    return chat_text_finish(&text, result);
}

// ---- JSON ----

static enum loam_status read_separators(struct chat_run *run, struct chat_value pair,
                                        struct chat_json_form *form)
{
    struct chat_value list;
    LOAM_TRY(chat_collect(run, pair, CHAT_LIST, &list));
    if (list.as.list->count != 2) return chat_fail(run, "tojson expects two separators");
    LOAM_TRY(chat_need_string(run, list.as.list->items[0], &form->comma));
    return chat_need_string(run, list.as.list->items[1], &form->colon);
}

// transformers replaces jinja2's tojson by json.dumps.
static enum loam_status filter_tojson(struct chat_run *run, const struct chat_call *call,
                                      struct chat_value *result)
{
    struct chat_text text;
    struct chat_value comma, colon, indent = call->values[1], separators = call->values[2];
    struct chat_json_form form = {.ascii = chat_is_true(call->values[0]),
                                  .sorted = chat_is_true(call->values[3])};
    form.indent = indent.kind == CHAT_MISSING ? CHAT_NO_VALUE : indent;
    if (form.indent.kind != CHAT_NONE && form.indent.kind != CHAT_STRING && !chat_is_integer(form.indent))
        return chat_fail(run, "can't multiply sequence by non-int of type '%s'", chat_type_name(indent));
    LOAM_TRY(chat_make_string(run, form.indent.kind == CHAT_NONE ? ", " : ",", &comma));
    LOAM_TRY(chat_make_string(run, ": ", &colon));
    form.comma = comma.as.string;
    form.colon = colon.as.string;
    if (separators.kind != CHAT_MISSING && separators.kind != CHAT_NONE)
        LOAM_TRY(read_separators(run, separators, &form));
    chat_text_init(&text, &run->pool, run->error);
    LOAM_TRY(chat_print_json(run, &text, call->self, &form));
    return chat_text_finish(&text, result);
}

const struct chat_native chat_text_filters[] = {
    {"capitalize", "", 0, filter_capitalize},
    {"center", "width", 0, filter_center},
    {"e", "", 0, filter_escape},
    {"escape", "", 0, filter_escape},
    {"forceescape", "", 0, filter_forceescape},
    {"format", "*", 0, filter_format},
    {"indent", "width first blank", 0, filter_indent},
    {"lower", "", 0, filter_lower},
    {"replace", "old new count", 2, filter_replace},
    {"safe", "", 0, filter_safe},
    {"string", "", 0, filter_string},
    {"striptags", "*", 0, NULL},
    {"title", "", 0, filter_title},
    {"tojson", "ensure_ascii indent separators sort_keys", 0, filter_tojson},
    {"trim", "chars", 0, filter_trim},
    {"truncate", "length killwords end leeway", 0, filter_truncate},
    {"upper", "", 0, filter_upper},
    {"urlencode", "", 0, filter_urlencode},
    {"urlize", "*", 0, NULL},
    {"wordcount", "", 0, filter_wordcount},
    {"wordwrap", "*", 0, NULL},
    {"xmlattr", "autospace", 0, filter_xmlattr},
    {NULL, NULL, 0, NULL},
};
