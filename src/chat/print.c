// Python's str() and repr().
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/decimal.h"
#include "chat/run.h"
#include "chat/unicode.h"

// ---- Numbers ----

// The digits and the decimal exponent of the shortest decimal that reads back as `real`, finite and not 0.
static int shortest_digits(double real, char digits[20])
{
    char text[LOAM_DECIMAL_SIZE];
    for (int count = 0; count < 17; count++) {
        snprintf(text, sizeof text, "%.*e", count, real);
        if (strtod(text, NULL) == real) break;
    }
    size_t kept = 0;
    const char *at = text;
    for (; *at != 'e'; at++)
        if (*at >= '0' && *at <= '9') digits[kept++] = *at;
    while (kept > 1 && digits[kept - 1] == '0')
        kept--;
    digits[kept] = '\0';
    return (int)strtol(at + 1, NULL, 10);
}

void chat_print_float(double real, char text[CHAT_FLOAT_SIZE])
{
    if (!isfinite(real) || real == 0) {
        const char *word = isnan(real) ? "nan" : isinf(real) ? "inf" : "0.0";
        snprintf(text, CHAT_FLOAT_SIZE, "%s%s", signbit(real) && !isnan(real) ? "-" : "", word);
        return;
    }
    char digits[20];
    const char *sign = real < 0 ? "-" : "";
    int exponent = shortest_digits(fabs(real), digits), count = (int)strlen(digits);
    if (exponent < -4 || exponent >= 16)
        snprintf(text, CHAT_FLOAT_SIZE, "%s%c%s%se%+03d", sign, digits[0], count > 1 ? "." : "", digits + 1,
                 exponent);
    else if (exponent < 0)
        snprintf(text, CHAT_FLOAT_SIZE, "%s0.%0*d%s", sign, -exponent - 1, 0, digits);
    else if (count > exponent + 1)
        snprintf(text, CHAT_FLOAT_SIZE, "%s%.*s.%s", sign, exponent + 1, digits, digits + exponent + 1);
    else
        snprintf(text, CHAT_FLOAT_SIZE, "%s%s%.*s.0", sign, digits, exponent + 1 - count, "0000000000000000");
    if (exponent == -1)
        snprintf(text, CHAT_FLOAT_SIZE, "%s0.%s", sign, digits); // "%0*d" of width 0 prints a zero
}

static enum loam_status print_number(struct chat_text *text, struct chat_value value)
{
    char number[CHAT_FLOAT_SIZE];
    if (value.kind == CHAT_INT)
        snprintf(number, sizeof number, "%lld", (long long)value.as.integer);
    else
        chat_print_float(value.as.real, number);
    return chat_text_append_words(text, number, value.origin);
}

// ---- Strings ----

static enum loam_status print_escape(struct chat_text *text, uint32_t code, char quote, uint32_t origin)
{
    char escape[16];
    const char *letters = "\t\n\r\\", *names = "tnr\\",
               *found = code < 0x80 ? strchr(letters, (int)code) : NULL;
    if (code != 0 && found != NULL)
        snprintf(escape, sizeof escape, "\\%c", names[found - letters]);
    else if (code == (uint32_t)quote)
        snprintf(escape, sizeof escape, "\\%c", quote);
    else
        snprintf(escape, sizeof escape,
                 code < 0x100     ? "\\x%02x"
                 : code < 0x10000 ? "\\u%04x"
                                  : "\\U%08x",
                 (unsigned)code);
    return chat_text_append_words(text, escape, origin);
}

static enum loam_status print_quoted(struct chat_text *text, const struct chat_string *string,
                                     uint32_t origin)
{
    bool single = memchr(string->data, '\'', string->size) != NULL;
    bool both = single && memchr(string->data, '"', string->size) != NULL;
    char quote = single && !both ? '"' : '\'';
    LOAM_TRY(chat_text_append(text, &quote, 1, origin));
    size_t plain = 0; // start of what needs no escape
    for (size_t at = 0, size; at < string->size; at += size) {
        uint32_t code = chat_decode(string->data + at, &size);
        if (code != (uint32_t)quote && code != '\\' && chat_is_printable(code)) continue;
        LOAM_TRY(chat_text_append_part(text, string, plain, at, 0));
        LOAM_TRY(print_escape(text, code, quote, chat_string_origin_at(string, at)));
        plain = at + size;
    }
    LOAM_TRY(chat_text_append_part(text, string, plain, string->size, 0));
    return chat_text_append(text, &quote, 1, origin);
}

// ---- Lists and dicts ----

// Prints a value inside another one, whose origin the punctuation has.
static enum loam_status print_inner(struct chat_run *run, struct chat_text *text, struct chat_value value,
                                    uint32_t origin)
{
    if (value.kind == CHAT_STRING && value.markup) LOAM_TRY(chat_text_append_words(text, "Markup(", origin));
    if (value.kind == CHAT_STRING) LOAM_TRY(print_quoted(text, value.as.string, origin));
    if (value.kind == CHAT_STRING) return value.markup ? chat_text_append_words(text, ")", origin) : LOAM_OK;
    return chat_print_repr(run, text, value);
}

static enum loam_status print_list(struct chat_run *run, struct chat_text *text, struct chat_value value,
                                   const char *open, const char *close)
{
    const struct chat_list *list = value.as.list;
    LOAM_TRY(chat_text_append_words(text, open, value.origin));
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0) LOAM_TRY(chat_text_append_words(text, ", ", value.origin));
        LOAM_TRY(print_inner(run, text, list->items[i], value.origin));
    }
    if (value.kind == CHAT_TUPLE && list->count == 1)
        LOAM_TRY(chat_text_append_words(text, ",", value.origin));
    return chat_text_append_words(text, close, value.origin);
}

static enum loam_status print_dict(struct chat_run *run, struct chat_text *text, struct chat_value value)
{
    const struct chat_dict *dict = value.as.dict;
    LOAM_TRY(chat_text_append_words(text, "{", value.origin));
    for (size_t i = 0; i < dict->count; i++) {
        if (i > 0) LOAM_TRY(chat_text_append_words(text, ", ", value.origin));
        LOAM_TRY(print_inner(run, text, dict->entries[i].key, value.origin));
        LOAM_TRY(chat_text_append_words(text, ": ", value.origin));
        LOAM_TRY(print_inner(run, text, dict->entries[i].value, value.origin));
    }
    return chat_text_append_words(text, "}", value.origin);
}

static enum loam_status print_view(struct chat_run *run, struct chat_text *text, struct chat_value value)
{
    struct chat_value list;
    char open[32];
    LOAM_TRY(chat_collect(run, value, CHAT_LIST, &list));
    snprintf(open, sizeof open, "%s([", chat_type_name(value));
    return print_list(run, text, list, open, "])");
}

static enum loam_status print_range(struct chat_text *text, const struct chat_range *range)
{
    char words[80];
    int size =
        snprintf(words, sizeof words, "range(%lld, %lld", (long long)range->start, (long long)range->stop);
    if (range->step != 1)
        size += snprintf(words + size, sizeof words - (size_t)size, ", %lld", (long long)range->step);
    LOAM_TRY(chat_text_append(text, words, (size_t)size, CHAT_TEMPLATE_ORIGIN));
    return chat_text_append_words(text, ")", CHAT_TEMPLATE_ORIGIN);
}

static enum loam_status print_namespace(struct chat_run *run, struct chat_text *text, struct chat_value value)
{
    value.kind = CHAT_DICT;
    LOAM_TRY(chat_text_append_words(text, "<Namespace ", value.origin));
    LOAM_TRY(print_dict(run, text, value));
    return chat_text_append_words(text, ">", value.origin);
}

static enum loam_status print_macro(struct chat_text *text, const struct chat_macro *macro)
{
    const struct chat_string *name = macro->node->name;
    if (name == NULL) return chat_text_append_words(text, "<Macro anonymous>", CHAT_TEMPLATE_ORIGIN);
    LOAM_TRY(chat_text_append_words(text, "<Macro ", CHAT_TEMPLATE_ORIGIN));
    LOAM_TRY(print_quoted(text, name, CHAT_TEMPLATE_ORIGIN));
    return chat_text_append_words(text, ">", CHAT_TEMPLATE_ORIGIN);
}

static enum loam_status print_loop(struct chat_run *run, struct chat_text *text, struct chat_loop *loop)
{
    char words[64];
    int64_t length;
    LOAM_TRY(chat_loop_length(run, loop, &length));
    snprintf(words, sizeof words, "<LoopContext %lld/%lld>", (long long)loop->index0 + 1, (long long)length);
    return chat_text_append_words(text, words, CHAT_TEMPLATE_ORIGIN);
}

static enum loam_status print_by_kind(struct chat_run *run, struct chat_text *text, struct chat_value value)
{
    switch ((enum chat_kind)value.kind) {
    case CHAT_UNDEFINED:
        return chat_text_append_words(text, "Undefined", value.origin);
    case CHAT_NONE:
        return chat_text_append_words(text, "None", value.origin);
    case CHAT_BOOL:
        return chat_text_append_words(text, value.as.truth ? "True" : "False", value.origin);
    case CHAT_INT:
    case CHAT_FLOAT:
        return print_number(text, value);
    case CHAT_STRING:
        return print_inner(run, text, value, value.as.string->origin);
    case CHAT_LIST:
        return print_list(run, text, value, "[", "]");
    case CHAT_TUPLE:
        return print_list(run, text, value, "(", ")");
    case CHAT_DICT:
        return print_dict(run, text, value);
    case CHAT_RANGE:
        return print_range(text, value.as.range);
    case CHAT_VIEW:
        return print_view(run, text, value);
    case CHAT_NAMESPACE:
        return print_namespace(run, text, value);
    case CHAT_LOOP:
        return print_loop(run, text, value.as.loop);
    case CHAT_MACRO:
        return print_macro(text, value.as.macro);
    default:
        return loam_fail(run->error, LOAM_ERROR_UNSUPPORTED, "a %s has no text: Python prints its address",
                         chat_type_name(value));
    }
}

enum loam_status chat_print_repr(struct chat_run *run, struct chat_text *text, struct chat_value value)
{
    LOAM_TRY(chat_step(run));
    LOAM_TRY(chat_descend(run));
    LOAM_TRY(print_by_kind(run, text, value));
    chat_ascend(run);
    return LOAM_OK;
}

enum loam_status chat_print(struct chat_run *run, struct chat_text *text, struct chat_value value)
{
    if (value.kind == CHAT_UNDEFINED) return LOAM_OK;
    if (value.kind == CHAT_STRING) return chat_text_append_string(text, value.as.string);
    return chat_print_repr(run, text, value);
}

enum loam_status chat_to_string(struct chat_run *run, struct chat_value value, struct chat_value *string)
{
    struct chat_text text;
    *string = value;
    if (value.kind == CHAT_STRING) return LOAM_OK;
    chat_text_init(&text, &run->pool, run->error);
    LOAM_TRY(chat_print(run, &text, value));
    return chat_text_finish(&text, string);
}

// ---- HTML ----

enum loam_status chat_escape(struct chat_run *run, struct chat_value value, struct chat_value *result)
{
    static const char characters[] = "&<>'\"";
    static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    struct chat_text text;
    LOAM_TRY(chat_to_string(run, value, result));
    if (result->markup) return LOAM_OK;
    const struct chat_string *string = result->as.string;
    size_t plain = 0;
    chat_text_init(&text, &run->pool, run->error);
    for (size_t at = 0; at < string->size; at++) {
        const char *found = string->data[at] == '\0' ? NULL : strchr(characters, string->data[at]);
        if (found == NULL) continue;
        LOAM_TRY(chat_text_append_part(&text, string, plain, at, 0));
        LOAM_TRY(
            chat_text_append_words(&text, entities[found - characters], chat_string_origin_at(string, at)));
        plain = at + 1;
    }
    LOAM_TRY(chat_text_append_part(&text, string, plain, string->size, 0));
    LOAM_TRY(chat_text_finish(&text, result));
    result->markup = true;
    return LOAM_OK;
}
