// format.format(...).
#include "chat/format.h"

struct braces {
    struct chat_run *run;
    const struct chat_arguments *arguments;
    struct chat_text *text;
    int64_t next; // automatic field number; -1: fields have numbers
};

static enum loam_status format_part(struct braces *braces, const struct chat_string *format, int depth);

// ---- Specifications ----

static bool is_align(uint32_t code)
{
    return code == '<' || code == '>' || code == '^' || code == '=';
}

static size_t read_digits(const char *text, size_t size, int64_t *number)
{
    size_t at = 0;
    for (*number = 0; at < size && text[at] >= '0' && text[at] <= '9'; at++)
        if (*number <= CHAT_LARGEST_WIDTH) *number = *number * 10 + (text[at] - '0');
    if (at == 0) *number = -1;
    return at;
}

static enum loam_status read_specification(struct chat_run *run, const struct chat_string *string,
                                           struct chat_specification *form)
{
    const char *text = string->data, *end = text + string->size;
    *form = (struct chat_specification){.width = -1, .precision = -1};
    size_t first = text < end ? loam_utf8_length(*text) : 0;
    if (text + first < end && is_align((uint32_t)text[first])) {
        form->fill = chat_decode(text, &first);
        form->align = text[first];
        text += first + 1;
    } else if (text < end && is_align((uint32_t)*text)) {
        form->align = *text++;
    }
    if (text < end && strchr("+- ", *text) != NULL) form->sign = *text++;
    if (text < end && *text == '#') form->alternative = *text++ == '#';
    if (text < end && *text == '0') {
        if (form->fill == 0) form->fill = '0';
        if (form->align == 0) form->align = '=';
        text++;
    }
    text += read_digits(text, (size_t)(end - text), &form->width);
    if (text < end && (*text == ',' || *text == '_')) form->grouping = *text++;
    if (text < end && *text == '.') {
        text += 1 + read_digits(text + 1, (size_t)(end - text - 1), &form->precision);
        if (form->precision < 0) return chat_fail(run, "Format specifier missing precision");
    }
    if (text < end) form->type = *text++;
    return text == end ? LOAM_OK : chat_fail(run, "Invalid format specifier");
}

static enum loam_status append_value(struct braces *braces, struct chat_value value,
                                     const struct chat_string *string)
{
    struct chat_specification form;
    struct chat_run *run = braces->run;
    if (string->size == 0) return chat_print(run, braces->text, value);
    LOAM_TRY(read_specification(run, string, &form));
    bool as_text = value.kind == CHAT_STRING && (form.type == 0 || form.type == 's');
    if (as_text && form.align == '=' && form.fill != '0')
        return chat_fail(run, "'=' alignment not allowed in string format specifier");
    if (as_text && form.align == '=') form.align = '<';
    if (as_text) return chat_format_string(run, braces->text, value.as.string, &form);
    if (value.kind == CHAT_STRING)
        return chat_fail(run, "Unknown format code '%c' for object of type 'str'", form.type);
    if (value.kind == CHAT_FLOAT)
        return chat_format_float(run, braces->text, value.as.real, value.origin, &form);
    if (chat_is_integer(value))
        return chat_format_integer(run, braces->text, chat_integer(value), value.origin, &form);
    return chat_fail(run, "unsupported format string passed to %s.__format__", chat_type_name(value));
}

// ---- Fields ----

static enum loam_status field_number(struct braces *braces, bool automatic, int64_t number, int64_t *index)
{
    if (automatic && braces->next < 0)
        return chat_fail(braces->run,
                         "cannot switch from manual field specification to automatic field numbering");
    if (!automatic && braces->next > 0)
        return chat_fail(braces->run,
                         "cannot switch from automatic field numbering to manual field specification");
    *index = automatic ? braces->next++ : number;
    if (!automatic) braces->next = -1;
    return LOAM_OK;
}

static enum loam_status find_argument(struct braces *braces, const struct chat_string *name,
                                      struct chat_value *value)
{
    int64_t number;
    size_t digits = read_digits(name->data, name->size, &number);
    if (digits < name->size) {
        for (size_t i = 0; i < braces->arguments->named_count; i++)
            if (chat_string_equals(braces->arguments->named[i].name, name)) {
                *value = braces->arguments->named[i].value;
                return LOAM_OK;
            }
        return chat_fail(braces->run, "'%.*s'", (int)name->size, name->data);
    }
    LOAM_TRY(field_number(braces, name->size == 0, number, &number));
    if (number >= (int64_t)braces->arguments->count)
        return chat_fail(braces->run, "Replacement index %lld out of range for positional args tuple",
                         (long long)number);
    *value = braces->arguments->items[number];
    return LOAM_OK;
}

// Follows .name and [key].
static enum loam_status follow_path(struct braces *braces, const struct chat_string *path, size_t at,
                                    struct chat_value *value)
{
    struct chat_run *run = braces->run;
    while (at < path->size) {
        bool dot = path->data[at] == '.';
        size_t start = ++at;
        while (at < path->size &&
               (dot ? path->data[at] != '.' && path->data[at] != '[' : path->data[at] != ']'))
            at++;
        struct chat_value key;
        int64_t number;
        LOAM_TRY(chat_string_part(&key, path, start, at, &run->pool, run->error));
        if (at == start) return chat_fail(run, "Empty attribute in format string");
        if (!dot && at == path->size) return chat_fail(run, "Missing ']' in format string");
        bool index =
            !dot && read_digits(key.as.string->data, key.as.string->size, &number) == key.as.string->size;
        if (dot)
            LOAM_TRY(chat_attribute(run, *value, key.as.string, value));
        else
            LOAM_TRY(chat_item(run, *value, index ? chat_int(number) : key, value));
        at += !dot;
    }
    return LOAM_OK;
}

static enum loam_status convert(struct braces *braces, char conversion, struct chat_value *value)
{
    struct chat_text text;
    if (conversion == 's') return chat_to_string(braces->run, *value, value);
    if (conversion != 'r' && conversion != 'a')
        return chat_fail(braces->run, "Unknown conversion specifier %c", conversion);
    chat_text_init(&text, &braces->run->pool, braces->run->error);
    LOAM_TRY(chat_print_repr(braces->run, &text, *value));
    return chat_text_finish(&text, value);
}

// Writes the field {name!conversion:specification} between the bytes.
static enum loam_status append_field(struct braces *braces, const struct chat_string *format, size_t from,
                                     size_t to, int depth)
{
    struct chat_run *run = braces->run;
    struct chat_value name, first, specification, value;
    size_t end = from, path;
    bool bracket = false;
    for (; end < to && (bracket || (format->data[end] != ':' && format->data[end] != '!')); end++)
        bracket = format->data[end] == '[' || (bracket && format->data[end] != ']');
    LOAM_TRY(chat_string_part(&name, format, from, end, &run->pool, run->error));
    for (path = 0; path < name.as.string->size && name.as.string->data[path] != '.' &&
                   name.as.string->data[path] != '[';)
        path++;
    LOAM_TRY(chat_string_part(&first, name.as.string, 0, path, &run->pool, run->error));
    LOAM_TRY(find_argument(braces, first.as.string, &value));
    LOAM_TRY(follow_path(braces, name.as.string, path, &value));
    if (end < to && format->data[end] == '!') {
        if (end + 1 == to) return chat_fail(run, "end of string while looking for conversion specifier");
        LOAM_TRY(convert(braces, format->data[end + 1], &value));
        end += 2;
        if (end < to && format->data[end] != ':')
            return chat_fail(run, "expected ':' after conversion specifier");
    }
    LOAM_TRY(chat_string_part(&specification, format, end < to ? end + 1 : to, to, &run->pool, run->error));
    if (memchr(specification.as.string->data, '{', specification.as.string->size) != NULL) {
        struct chat_text *out = braces->text, *text = chat_pool_take(&run->pool, 1, sizeof *text, run->error);
        if (text == NULL) return loam_failure(run->error);
        chat_text_init(text, &run->pool, run->error);
        braces->text = text;
        LOAM_TRY(format_part(braces, specification.as.string, depth + 1));
        braces->text = out;
        LOAM_TRY(chat_text_finish(text, &specification));
    }
    return append_value(braces, value, specification.as.string);
}

// The byte behind the field that begins at `at`; 0 if it has no end.
static size_t field_end(const struct chat_string *format, size_t at)
{
    size_t depth = 1;
    for (; at < format->size; at++) {
        depth += format->data[at] == '{';
        depth -= format->data[at] == '}';
        if (depth == 0) return at;
    }
    return 0;
}

static enum loam_status format_part(struct braces *braces, const struct chat_string *format, int depth)
{
    struct chat_run *run = braces->run;
    if (depth > 1) return chat_fail(run, "Max string recursion exceeded");
    for (size_t at = 0; at < format->size;) {
        size_t plain = at;
        while (at < format->size && format->data[at] != '{' && format->data[at] != '}')
            at++;
        LOAM_TRY(chat_text_append_part(braces->text, format, plain, at, 0));
        if (at == format->size) break;
        char brace = format->data[at++];
        if (at < format->size && format->data[at] == brace) {
            LOAM_TRY(chat_text_append_part(braces->text, format, at, at + 1, 0));
            at++;
            continue;
        }
        size_t end = brace == '{' ? field_end(format, at) : 0;
        if (brace == '}') return chat_fail(run, "Single '}' encountered in format string");
        if (end == 0) return chat_fail(run, "expected '}' before end of string");
        LOAM_TRY(append_field(braces, format, at, end, depth));
        at = end + 1;
    }
    return LOAM_OK;
}

enum loam_status chat_format_braces(struct chat_run *run, const struct chat_string *format,
                                    const struct chat_arguments *arguments, struct chat_value *result)
{
    struct chat_text text;
    struct braces braces = {.run = run, .arguments = arguments, .text = &text};
    chat_text_init(&text, &run->pool, run->error);
    LOAM_TRY(format_part(&braces, format, 0));
    return chat_text_finish(&text, result);
}
