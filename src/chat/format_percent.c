// format % values.
#include "chat/format.h"

struct percent {
    struct chat_run *run;
    const struct chat_string *format;
    size_t at; // byte of the format
    struct chat_value values;
    size_t next; // of a tuple
    bool used;   // what is no tuple
    bool mapped; // a name was looked up
    struct chat_text text;
    bool markup;
};

static enum loam_status next_value(struct percent *percent, struct chat_value *value)
{
    if (percent->values.kind == CHAT_TUPLE) {
        if (percent->next >= percent->values.as.list->count)
            return chat_fail(percent->run, "not enough arguments for format string");
        *value = percent->values.as.list->items[percent->next++];
        return LOAM_OK;
    }
    if (percent->used) return chat_fail(percent->run, "not enough arguments for format string");
    percent->used = true;
    *value = percent->values;
    return LOAM_OK;
}

static char peek(const struct percent *percent)
{
    return percent->at < percent->format->size ? percent->format->data[percent->at] : '\0';
}

// A width or precision: digits, or "*" for a value.
static enum loam_status read_number(struct percent *percent, int64_t *number)
{
    struct chat_value value;
    if (peek(percent) == '*') {
        percent->at++;
        LOAM_TRY(next_value(percent, &value));
        if (!chat_is_integer(value)) return chat_fail(percent->run, "* wants int");
        *number = chat_integer(value);
        return LOAM_OK;
    }
    for (*number = 0; peek(percent) >= '0' && peek(percent) <= '9'; percent->at++)
        if (*number <= CHAT_LARGEST_WIDTH) *number = *number * 10 + (peek(percent) - '0');
    return LOAM_OK;
}

// (name): takes the value from a dict.
static enum loam_status read_name(struct percent *percent, struct chat_value *value, bool *named)
{
    *named = peek(percent) == '(';
    if (!*named) return LOAM_OK;
    size_t start = ++percent->at, depth = 1;
    for (; percent->at < percent->format->size && depth > 0; percent->at++)
        depth += (peek(percent) == '(') - (size_t)(peek(percent) == ')');
    if (depth > 0) return chat_fail(percent->run, "incomplete format key");
    if (percent->values.kind != CHAT_DICT) return chat_fail(percent->run, "format requires a mapping");
    struct chat_value key;
    LOAM_TRY(chat_string_part(&key, percent->format, start, percent->at - 1, &percent->run->pool,
                              percent->run->error));
    const struct chat_value *found = chat_dict_get(percent->values.as.dict, key);
    if (found == NULL)
        return chat_fail(percent->run, "'%.*s'", (int)key.as.string->size, key.as.string->data);
    *value = *found;
    percent->mapped = true;
    return LOAM_OK;
}

static enum loam_status read_form(struct percent *percent, struct chat_specification *form, bool *left,
                                  bool *zero)
{
    *form = (struct chat_specification){.width = -1, .precision = -1};
    for (; peek(percent) != '\0' && strchr("-+ #0", peek(percent)) != NULL; percent->at++) {
        char flag = peek(percent);
        if (flag == '-') *left = true;
        if (flag == '0') *zero = true;
        if (flag == '#') form->alternative = true;
        if (flag == '+' || (flag == ' ' && form->sign == 0)) form->sign = flag;
    }
    LOAM_TRY(read_number(percent, &form->width));
    if (form->width < 0) {
        *left = true;
        form->width = -form->width;
    }
    if (peek(percent) == '.') {
        percent->at++;
        LOAM_TRY(read_number(percent, &form->precision));
        if (form->precision < 0) form->precision = 0;
    }
    while (peek(percent) != '\0' && strchr("hlL", peek(percent)) != NULL)
        percent->at++;
    return LOAM_OK;
}

static enum loam_status append_string(struct percent *percent, struct chat_value value, char type,
                                      const struct chat_specification *form)
{
    struct chat_text text;
    struct chat_value string;
    if (type == 's') {
        LOAM_TRY(percent->markup ? chat_escape(percent->run, value, &string)
                                 : chat_to_string(percent->run, value, &string));
    } else {
        chat_text_init(&text, &percent->run->pool, percent->run->error);
        LOAM_TRY(chat_print_repr(percent->run, &text, value));
        LOAM_TRY(chat_text_finish(&text, &string));
    }
    struct chat_specification right = *form;
    if (right.align == 0) right.align = '>';
    return chat_format_string(percent->run, &percent->text, string.as.string, &right);
}

static enum loam_status append_number(struct percent *percent, struct chat_value value, char type,
                                      struct chat_specification *form)
{
    struct chat_run *run = percent->run;
    if (value.kind == CHAT_UNDEFINED) return chat_fail_undefined(run, value);
    if (!chat_is_number(value)) {
        bool integer = strchr("diu", type) != NULL;
        return chat_fail(run, "%%%c format: %s is required, not %s", type,
                         integer                       ? "a real number"
                         : strchr("oxX", type) != NULL ? "an integer"
                                                       : "a number",
                         chat_type_name(value));
    }
    if (strchr("eEfFgG", type) != NULL) {
        form->type = type;
        return chat_format_float(run, &percent->text, chat_number(value), value.origin, form);
    }
    if (value.kind == CHAT_FLOAT && strchr("oxX", type) != NULL)
        return chat_fail(run, "%%%c format: an integer is required, not float", type);
    if (value.kind == CHAT_FLOAT &&
        !(value.as.real > -9223372036854775808.0 && value.as.real < 9223372036854775808.0))
        return chat_fail(run, "cannot convert float to integer");
    int64_t number = value.kind == CHAT_FLOAT ? (int64_t)value.as.real : chat_integer(value);
    form->type = strchr("diu", type) != NULL ? 'd' : type;
    int64_t digits = form->precision;
    form->precision = -1;
    if (digits >= 0) return chat_fail(run, "loam has no precision of integers in a format");
    return chat_format_integer(run, &percent->text, number, value.origin, form);
}

static enum loam_status append_character(struct percent *percent, struct chat_value value,
                                         struct chat_specification *form)
{
    if (form->align == 0) form->align = '>';
    if (value.kind == CHAT_STRING && value.as.string->length == 1)
        return chat_format_string(percent->run, &percent->text, value.as.string, form);
    if (!chat_is_integer(value)) return chat_fail(percent->run, "%%c requires int or char");
    form->type = 'c';
    form->precision = -1;
    return chat_format_integer(percent->run, &percent->text, chat_integer(value), value.origin, form);
}

// Reads and writes what follows a "%".
static enum loam_status append_conversion(struct percent *percent)
{
    struct chat_specification form;
    struct chat_value value;
    bool named, left = false, zero = false;
    LOAM_TRY(read_name(percent, &value, &named));
    LOAM_TRY(read_form(percent, &form, &left, &zero));
    char type = peek(percent);
    if (type == '\0') return chat_fail(percent->run, "incomplete format");
    percent->at++;
    if (type == '%') return chat_text_append(&percent->text, "%", 1, CHAT_TEMPLATE_ORIGIN);
    if (!named) LOAM_TRY(next_value(percent, &value));
    if (left) form.align = '<';
    if (type == 's' || type == 'r' || type == 'a') return append_string(percent, value, type, &form);
    if (type == 'c') return append_character(percent, value, &form);
    if (strchr("diuoxXeEfFgG", type) == NULL)
        return chat_fail(percent->run, "unsupported format character '%c' (0x%x) at index %zu", type,
                         (unsigned)type, percent->at - 1);
    if (zero && !left) {
        form.fill = '0';
        form.align = '=';
    }
    return append_number(percent, value, type, &form);
}

enum loam_status chat_format_percent(struct chat_run *run, struct chat_value format, struct chat_value values,
                                     struct chat_value *result)
{
    struct percent percent = {
        .run = run, .format = format.as.string, .values = values, .markup = format.markup};
    chat_text_init(&percent.text, &run->pool, run->error);
    while (percent.at < percent.format->size) {
        const char *found = memchr(percent.format->data + percent.at, '%', percent.format->size - percent.at);
        size_t end = found == NULL ? percent.format->size : (size_t)(found - percent.format->data);
        LOAM_TRY(chat_text_append_part(&percent.text, percent.format, percent.at, end, 0));
        percent.at = end + 1;
        if (found != NULL) LOAM_TRY(append_conversion(&percent));
    }
    bool tuple = values.kind == CHAT_TUPLE;
    bool mapping = values.kind == CHAT_DICT || values.kind == CHAT_LIST || values.kind == CHAT_UNDEFINED ||
                   values.kind == CHAT_RANGE;
    if (tuple ? percent.next < values.as.list->count : !percent.used && !mapping)
        return chat_fail(run, "not all arguments converted during string formatting");
    LOAM_TRY(chat_text_finish(&percent.text, result));
    result->markup = format.markup;
    return LOAM_OK;
}
