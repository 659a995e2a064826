// json.dumps() of Python.
#include <math.h>
#include <stdlib.h>

#include "chat/run.h"

struct writer {
    struct chat_run *run;
    struct chat_text *text;
    const struct chat_json_form *form;
    size_t level;
};

static enum loam_status write_value(struct writer *writer, struct chat_value value);

// ---- Strings ----

static enum loam_status write_unicode(struct writer *writer, uint32_t code, uint32_t origin)
{
    char escape[16];
    if (code >= 0x10000) {
        code -= 0x10000;
        snprintf(escape, sizeof escape, "\\u%04x\\u%04x", 0xD800 + (unsigned)(code >> 10),
                 0xDC00 + (unsigned)(code & 0x3FF));
    } else {
        snprintf(escape, sizeof escape, "\\u%04x", (unsigned)code);
    }
    return chat_text_append_words(writer->text, escape, origin);
}

static enum loam_status write_escape(struct writer *writer, uint32_t code, uint32_t origin)
{
    static const char characters[] = "\"\\\n\r\t\f\b", letters[] = "\"\\nrtfb";
    const char *found = code == 0 || code >= 0x80 ? NULL : strchr(characters, (int)code);
    if (found == NULL) return write_unicode(writer, code, origin);
    char escape[3] = {'\\', letters[found - characters], '\0'};
    return chat_text_append_words(writer->text, escape, origin);
}

static enum loam_status write_string(struct writer *writer, const struct chat_string *string, uint32_t origin)
{
    size_t plain = 0; // start of what needs no escape
    LOAM_TRY(chat_text_append(writer->text, "\"", 1, origin));
    for (size_t at = 0, size; at < string->size; at += size) {
        uint32_t code = chat_decode(string->data + at, &size);
        if (code >= 0x20 && code != '"' && code != '\\' && (code < 0x80 || !writer->form->ascii) &&
            (code != 0x7F || !writer->form->ascii))
            continue;
        if (code == 0x7F) continue; // Python leaves it as it is
        LOAM_TRY(chat_text_append_part(writer->text, string, plain, at, 0));
        LOAM_TRY(write_escape(writer, code, chat_string_origin_at(string, at)));
        plain = at + size;
    }
    LOAM_TRY(chat_text_append_part(writer->text, string, plain, string->size, 0));
    return chat_text_append(writer->text, "\"", 1, origin);
}

static enum loam_status write_number(struct writer *writer, struct chat_value value)
{
    char number[CHAT_FLOAT_SIZE];
    if (value.kind == CHAT_FLOAT && !isfinite(value.as.real)) {
        const char *word = isnan(value.as.real) ? "NaN" : value.as.real < 0 ? "-Infinity" : "Infinity";
        return chat_text_append_words(writer->text, word, value.origin);
    }
    if (value.kind == CHAT_FLOAT)
        chat_print_float(value.as.real, number);
    else
        snprintf(number, sizeof number, "%lld", (long long)value.as.integer);
    return chat_text_append_words(writer->text, number, value.origin);
}

// ---- Lists and dicts ----

// Begins a line with the indent of the level.
static enum loam_status write_line(struct writer *writer, uint32_t origin)
{
    struct chat_value indent = writer->form->indent;
    if (indent.kind == CHAT_NONE) return LOAM_OK;
    LOAM_TRY(chat_text_append(writer->text, "\n", 1, origin));
    for (size_t i = 0; i < writer->level; i++) {
        LOAM_TRY(chat_step(writer->run));
        if (indent.kind == CHAT_STRING)
            LOAM_TRY(chat_text_append_string(writer->text, indent.as.string));
        else
            for (int64_t k = 0; k < chat_integer(indent); k++)
                LOAM_TRY(chat_text_append(writer->text, " ", 1, origin));
    }
    return LOAM_OK;
}

static enum loam_status write_separator(struct writer *writer, const struct chat_string *separator,
                                        uint32_t origin)
{
    return chat_text_append(writer->text, separator->data, separator->size, origin);
}

static enum loam_status write_list(struct writer *writer, struct chat_value value)
{
    const struct chat_list *list = value.as.list;
    if (list->count == 0) return chat_text_append_words(writer->text, "[]", value.origin);
    LOAM_TRY(chat_text_append_words(writer->text, "[", value.origin));
    writer->level++;
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0) LOAM_TRY(write_separator(writer, writer->form->comma, value.origin));
        LOAM_TRY(write_line(writer, value.origin));
        LOAM_TRY(write_value(writer, list->items[i]));
    }
    writer->level--;
    LOAM_TRY(write_line(writer, value.origin));
    return chat_text_append_words(writer->text, "]", value.origin);
}

// The text of a key: Python turns numbers, booleans and None into strings.
static enum loam_status write_key(struct writer *writer, struct chat_value key, uint32_t origin)
{
    struct chat_text text;
    struct chat_value string = key;
    if (key.kind == CHAT_STRING) return write_string(writer, key.as.string, origin);
    if (!chat_is_number(key) && key.kind != CHAT_NONE)
        return chat_fail(writer->run, "keys must be str, int, float, bool or None, not %s",
                         chat_type_name(key));
    struct writer inner = *writer;
    chat_text_init(&text, &writer->run->pool, writer->run->error);
    inner.text = &text;
    LOAM_TRY(write_value(&inner, key));
    LOAM_TRY(chat_text_finish(&text, &string));
    return write_string(writer, string.as.string, origin);
}

static int compare_entries(const void *left, const void *right)
{
    const struct chat_entry *a = *(const struct chat_entry *const *)left,
                            *b = *(const struct chat_entry *const *)right;
    size_t steps = 10000; // parts of two keys
    int order = chat_order(a->key, b->key, &steps);
    return order == -1 || order == 1 ? order : 0;
}

// The entries in the order in which they are written.
static enum loam_status order_entries(struct writer *writer, const struct chat_dict *dict,
                                      const struct chat_entry ***entries)
{
    *entries =
        chat_pool_take(&writer->run->pool, dict->count, sizeof(struct chat_entry *), writer->run->error);
    if (*entries == NULL) return loam_failure(writer->run->error);
    for (size_t i = 0; i < dict->count; i++)
        (*entries)[i] = &dict->entries[i];
    if (!writer->form->sorted) return LOAM_OK;
    for (size_t i = 1; i < dict->count; i++)
        if (chat_order(dict->entries[0].key, dict->entries[i].key, &writer->run->steps) == CHAT_NO_ORDER)
            return chat_fail(writer->run, "'<' not supported between instances of '%s' and '%s'",
                             chat_type_name(dict->entries[i].key), chat_type_name(dict->entries[0].key));
    qsort(*entries, dict->count, sizeof(struct chat_entry *), compare_entries);
    return LOAM_OK;
}

static enum loam_status write_dict(struct writer *writer, struct chat_value value)
{
    const struct chat_dict *dict = value.as.dict;
    const struct chat_entry **entries;
    if (dict->count == 0) return chat_text_append_words(writer->text, "{}", value.origin);
    LOAM_TRY(order_entries(writer, dict, &entries));
    LOAM_TRY(chat_text_append_words(writer->text, "{", value.origin));
    writer->level++;
    for (size_t i = 0; i < dict->count; i++) {
        if (i > 0) LOAM_TRY(write_separator(writer, writer->form->comma, value.origin));
        LOAM_TRY(write_line(writer, value.origin));
        LOAM_TRY(write_key(writer, entries[i]->key, value.origin));
        LOAM_TRY(write_separator(writer, writer->form->colon, value.origin));
        LOAM_TRY(write_value(writer, entries[i]->value));
    }
    writer->level--;
    LOAM_TRY(write_line(writer, value.origin));
    return chat_text_append_words(writer->text, "}", value.origin);
}

static enum loam_status write_by_kind(struct writer *writer, struct chat_value value)
{
    switch ((enum chat_kind)value.kind) {
    case CHAT_NONE:
        return chat_text_append_words(writer->text, "null", value.origin);
    case CHAT_BOOL:
        return chat_text_append_words(writer->text, value.as.truth ? "true" : "false", value.origin);
    case CHAT_INT:
    case CHAT_FLOAT:
        return write_number(writer, value);
    case CHAT_STRING:
        return write_string(writer, value.as.string, value.as.string->origin);
    case CHAT_LIST:
    case CHAT_TUPLE:
        return write_list(writer, value);
    case CHAT_DICT:
        return write_dict(writer, value);
    default:
        return chat_fail(writer->run, "Object of type %s is not JSON serializable", chat_type_name(value));
    }
}

static enum loam_status write_value(struct writer *writer, struct chat_value value)
{
    LOAM_TRY(chat_step(writer->run));
    LOAM_TRY(chat_descend(writer->run));
    LOAM_TRY(write_by_kind(writer, value));
    chat_ascend(writer->run);
    return LOAM_OK;
}

enum loam_status chat_print_json(struct chat_run *run, struct chat_text *text, struct chat_value value,
                                 const struct chat_json_form *form)
{
    struct writer writer = {.run = run, .text = text, .form = form};
    return write_value(&writer, value);
}
