#include "text/expression.h"

#include <string.h>

#include "base/utf8.h"
#include "text/expression_parts.h"
#include "text/unicode.h"
#include "text/unicode_data.h"

enum {
    MOST_WRITTEN = 16 << 20, // bytes; \p{L} takes 5 KiB, a word boundary 25 KiB
    IGNORE_CASE = 1,         // bits of a group's options
    EXTENDED = 2,
};

static enum loam_status write_text(struct loam_expression *expression, const char *text, size_t size,
                                   struct loam_error *error)
{
    if (size > MOST_WRITTEN || expression->out->size > MOST_WRITTEN - size)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s: the regular expression has so many classes that it takes more than 16 MiB",
                         expression->name);
    return loam_bytes_append(expression->out, text, size, error);
}

static enum loam_status write_string(struct loam_expression *expression, const char *text,
                                     struct loam_error *error)
{
    return write_text(expression, text, strlen(text), error);
}

// Writes the next `size` bytes unchanged.
static enum loam_status copy_bytes(struct loam_expression *expression, size_t size, struct loam_error *error)
{
    expression->at += size;
    return write_text(expression, expression->text + expression->at - size, size, error);
}

// ---- Sets ----

static enum loam_status write_code_point(struct loam_expression *expression, uint32_t code_point,
                                         struct loam_error *error)
{
    static const char digits[] = "0123456789ABCDEF";
    // An ASCII character may be an operator and its letter an escape, so \x{..} is written.
    char text[8] = {'\\', 'x', '{', digits[code_point >> 4 & 15], digits[code_point & 15], '}'};
    size_t size = code_point < 0x80 ? 6 : loam_utf8_encode((int32_t)code_point, text);
    return write_text(expression, text, size, error);
}

// Writes [first, end) without the surrogates, which no text has and no expression can contain.
static enum loam_status write_range(struct loam_expression *expression, uint32_t first, uint32_t end,
                                    struct loam_error *error)
{
    if (first >= 0xD800 && first < 0xE000) first = 0xE000;
    if (end > 0xD800 && end <= 0xE000) end = 0xD800;
    if (first >= end) return LOAM_OK;
    LOAM_TRY(write_code_point(expression, first, error));
    if (end - first == 1) return LOAM_OK;
    if (end - first > 2) LOAM_TRY(write_string(expression, "-", error));
    return write_code_point(expression, end - 1, error);
}

static enum loam_status write_set(struct loam_expression *expression, const struct loam_char_set *tidy,
                                  struct loam_error *error)
{
    size_t start = expression->out->size;
    LOAM_TRY(write_string(expression, "[", error));
    for (size_t i = 0; i < tidy->count; i++)
        LOAM_TRY(write_range(expression, tidy->spans[i].first, tidy->spans[i].end, error));
    if (expression->out->size > start + 1) return write_string(expression, "]", error);
    // An empty class cannot be written. (?!) alone, which never matches either, cannot be repeated.
    expression->out->size = start;
    return write_string(expression, "(?:(?!)a)", error);
}

// Writes a set for which Oniguruma does not look for other cases.
static enum loam_status write_exact_set(struct loam_expression *expression, struct loam_char_set *set,
                                        struct loam_error *error)
{
    loam_char_set_tidy(set);
    if (!expression->ignore_case) return write_set(expression, set, error);
    LOAM_TRY(write_string(expression, "(?-i:", error));
    LOAM_TRY(write_set(expression, set, error));
    return write_string(expression, ")", error);
}

// Adds to `found` the characters of a set that match a sequence of several characters when case is ignored.
static enum loam_status add_sequences(struct loam_char_set *found, const struct loam_char_set *tidy,
                                      struct loam_error *error)
{
    const struct loam_runs *runs = &loam_unicode_sequences;
    for (size_t i = 0; i + 1 < runs->count; i++) {
        if (runs->items[i] % LOAM_RUN_VALUES != 2) continue;
        uint32_t end = runs->items[i + 1] >> LOAM_RUN_VALUE_BITS;
        for (uint32_t point = runs->items[i] >> LOAM_RUN_VALUE_BITS; point < end; point++)
            if (loam_char_set_has(tidy, point)) LOAM_TRY(loam_char_set_add(found, point, point + 1, error));
    }
    loam_char_set_tidy(found);
    return LOAM_OK;
}

// Writes a bracketed class. Where case is ignored, a class that is not negated also matches sequences of
// several characters. Oniguruma handles these: the characters that match one have not changed since Unicode
// 5.1.
static enum loam_status write_class(struct loam_expression *expression, struct loam_char_set *set,
                                    bool negated, struct loam_error *error)
{
    struct loam_char_set sequences = {0};
    enum loam_status status = LOAM_OK;
    if (expression->ignore_case && !negated) status = add_sequences(&sequences, set, error);
    bool either = status == LOAM_OK && sequences.count > 0;
    if (either) status = write_string(expression, "(?:", error);
    if (status == LOAM_OK) status = write_exact_set(expression, set, error);
    if (either && status == LOAM_OK) status = write_string(expression, "|", error);
    if (either && status == LOAM_OK) status = write_set(expression, &sequences, error);
    if (either && status == LOAM_OK) status = write_string(expression, ")", error);
    loam_char_set_deinit(&sequences);
    return status;
}

static enum loam_status rewrite_class(struct loam_expression *expression, struct loam_error *error)
{
    struct loam_char_set set = {0};
    bool negated = loam_expression_peek(expression, 1) == '^';
    enum loam_status status = loam_expression_read_class(expression, &set, error);
    if (status == LOAM_OK) status = write_class(expression, &set, negated, error);
    loam_char_set_deinit(&set);
    return status;
}

// ---- Characters and escapes ----

// Writes a character that stands for itself and is spelt by the bytes from `start` on.
static enum loam_status write_character(struct loam_expression *expression, uint32_t code_point, size_t start,
                                        struct loam_error *error)
{
    const char *spelt = expression->text + start;
    size_t size = expression->at - start;
    // ASCII and characters in sequences have the same cases in every version of Unicode.
    if (!expression->ignore_case || code_point >= LOAM_CODE_POINTS ||
        loam_runs_value(&loam_unicode_sequences, (int32_t)code_point) > 0)
        return write_text(expression, spelt, size, error);
    struct loam_char_set set = {0};
    enum loam_status status = loam_char_set_add(&set, code_point, code_point + 1, error);
    if (status == LOAM_OK) status = loam_char_set_ignore_case(&set, error);
    if (status == LOAM_OK) status = write_exact_set(expression, &set, error);
    loam_char_set_deinit(&set);
    return status;
}

// Writes \b, or negated \B, as lookbehind and lookahead for word characters.
static enum loam_status write_boundary(struct loam_expression *expression, bool negated,
                                       struct loam_error *error)
{
    static const char *const sides[] = {"(?:(?<=", ")(?!", ")|(?<!", ")(?=", "))"};
    static const char *const same_sides[] = {"(?:(?<=", ")(?=", ")|(?<!", ")(?!", "))"};
    struct loam_char_set word = {0};
    enum loam_status status = loam_expression_add_word(&word, error);
    for (size_t i = 0; i < 5 && status == LOAM_OK; i++) {
        status = write_string(expression, (negated ? same_sides : sides)[i], error);
        if (i < 4 && status == LOAM_OK) status = write_exact_set(expression, &word, error);
    }
    loam_char_set_deinit(&word);
    return status;
}

// Copies \k<name> or \g<name>; without a name, the letter.
static enum loam_status copy_reference(struct loam_expression *expression, struct loam_error *error)
{
    char open = loam_expression_peek(expression, 2);
    if (open != '<' && open != '\'') return copy_bytes(expression, 2, error);
    const char *start = expression->text + expression->at;
    const char *end = memchr(start + 3, open == '<' ? '>' : '\'', expression->size - expression->at - 3);
    if (end == NULL)
        return loam_expression_fail_malformed(expression, expression->at, "a name has no end", error);
    return copy_bytes(expression, (size_t)(end - start) + 1, error);
}

// Rewrites an escape that is an operator.
static enum loam_status rewrite_operator(struct loam_expression *expression, struct loam_error *error)
{
    char letter = expression->text[expression->at + 1];
    bool reference = (letter >= '1' && letter <= '9') || letter == 'k';
    if (reference && expression->ignore_case)
        return loam_expression_fail_unsupported(expression, expression->at,
                                                "a back reference that ignores case", error);
    switch (letter) {
    case 'b':
    case 'B':
        expression->at += 2;
        return write_boundary(expression, letter == 'B', error);
    case 'R': // Oniguruma 6.9.8 does not find U+2028 and U+2029 here
        expression->at += 2;
        return write_string(expression, "(?>\\x0D\\x0A|[\\x0A-\\x0D\\x{85}\\x{2028}\\x{2029}])", error);
    case 'X':
    case 'y':
    case 'Y':
        return loam_expression_fail_unsupported(expression, expression->at,
                                                "a text segment (\\X, \\y or \\Y)", error);
    case 'k':
    case 'g':
        return copy_reference(expression, error);
    default:
        return copy_bytes(expression, 2, error);
    }
}

// Whether a byte escape may be part of a character, as in \xE3\x81\x82, which Oniguruma assembles. Not where
// case is ignored, since the character's cases are needed then.
static bool is_raw_byte(const struct loam_expression *expression)
{
    char letter = loam_expression_peek(expression, 1);
    char next = loam_expression_peek(expression, 2);
    return !expression->ignore_case &&
           ((letter == 'x' && next != '{') || letter == '0' || (letter >= '1' && letter <= '9'));
}

static enum loam_status rewrite_escape(struct loam_expression *expression, struct loam_error *error)
{
    size_t start = expression->at;
    struct loam_escape escape;
    if (is_raw_byte(expression)) return copy_bytes(expression, 2, error);
    enum loam_status status = loam_expression_read_escape(expression, false, &escape, error);
    if (status == LOAM_OK) {
        if (escape.kind == LOAM_ESCAPE_SET)
            status = write_exact_set(expression, &escape.set, error);
        else if (escape.kind == LOAM_ESCAPE_CHARACTER && (escape.code_point | 0x20) == 'p')
            status = write_code_point(expression, escape.code_point, error); // \p could be read as a property
        else if (escape.kind == LOAM_ESCAPE_CHARACTER)
            status = write_character(expression, escape.code_point, start, error);
        else
            status = rewrite_operator(expression, error);
    }
    loam_char_set_deinit(&escape.set);
    return status;
}

// ---- Groups ----

static enum loam_status push_options(struct loam_expression *expression, struct loam_error *error)
{
    char options =
        (char)((expression->ignore_case ? IGNORE_CASE : 0) | (expression->extended ? EXTENDED : 0));
    return loam_bytes_append(&expression->options, &options, 1, error);
}

static enum loam_status close_group(struct loam_expression *expression, struct loam_error *error)
{
    if (expression->options.size > 0) {
        char options = expression->options.data[--expression->options.size];
        expression->ignore_case = (options & IGNORE_CASE) != 0;
        expression->extended = (options & EXTENDED) != 0;
    }
    return copy_bytes(expression, 1, error);
}

// Reads (?imx-imx), which holds for the rest of the enclosing group, or (?imx-imx:.
static enum loam_status read_options(struct loam_expression *expression, struct loam_error *error)
{
    size_t start = expression->at;
    size_t at = start + 2;
    bool on = true;
    bool ignore_case = expression->ignore_case;
    bool extended = expression->extended;
    for (; at < expression->size && strchr("imx-", expression->text[at]) != NULL &&
           expression->text[at] != '\0';
         at++) {
        if (expression->text[at] == '-') on = false;
        if (expression->text[at] == 'i') ignore_case = on;
        if (expression->text[at] == 'x') extended = on;
    }
    char end = at < expression->size ? expression->text[at] : '\0';
    if (end != ':' && end != ')')
        return loam_expression_fail_unsupported(
            expression, start, "a group of a kind or with options other than i, m and x", error);
    if (end == ':') LOAM_TRY(push_options(expression, error));
    expression->ignore_case = ignore_case;
    expression->extended = extended;
    return copy_bytes(expression, at + 1 - start, error);
}

static enum loam_status copy_comment(struct loam_expression *expression, struct loam_error *error)
{
    size_t end = expression->at;
    while (end < expression->size && expression->text[end] != ')')
        end += expression->text[end] == '\\' && end + 1 < expression->size ? 2 : 1;
    if (end == expression->size)
        return loam_expression_fail_malformed(expression, expression->at, "end pattern in group", error);
    return copy_bytes(expression, end + 1 - expression->at, error);
}

// Opens a group (?<name> or (?'name'.
static enum loam_status open_named(struct loam_expression *expression, char close, struct loam_error *error)
{
    const char *start = expression->text + expression->at;
    const char *end = memchr(start + 3, close, expression->size - expression->at - 3);
    if (end == NULL)
        return loam_expression_fail_malformed(expression, expression->at, "a name has no end", error);
    LOAM_TRY(push_options(expression, error));
    return copy_bytes(expression, (size_t)(end - start) + 1, error);
}

static enum loam_status open_group(struct loam_expression *expression, struct loam_error *error)
{
    char kind = loam_expression_peek(expression, 2);
    char next = loam_expression_peek(expression, 3);
    if (loam_expression_peek(expression, 1) == '*')
        return loam_expression_fail_unsupported(expression, expression->at, "a callout", error);
    if (loam_expression_peek(expression, 1) != '?') {
        LOAM_TRY(push_options(expression, error));
        return copy_bytes(expression, 1, error);
    }
    switch (kind) {
    case '#':
        return copy_comment(expression, error);
    case '{':
        return loam_expression_fail_unsupported(expression, expression->at, "a callout", error);
    case '<':
        if (next != '=' && next != '!') return open_named(expression, '>', error);
        LOAM_TRY(push_options(expression, error));
        return copy_bytes(expression, 4, error);
    case '\'':
        return open_named(expression, '\'', error);
    case ':':
    case '=':
    case '!':
    case '>':
    case '~':
        LOAM_TRY(push_options(expression, error));
        return copy_bytes(expression, 3, error);
    case '(': // a condition, which is a group inside this one
        LOAM_TRY(push_options(expression, error));
        return copy_bytes(expression, 2, error);
    default:
        return read_options(expression, error);
    }
}

// ---- The whole expression ----

// Bytes of the comment that begins here in the extended form; else 0.
static size_t comment_size(const struct loam_expression *expression)
{
    if (!expression->extended || expression->text[expression->at] != '#') return 0;
    const char *start = expression->text + expression->at;
    const char *end = memchr(start, '\n', expression->size - expression->at);
    return end == NULL ? expression->size - expression->at : (size_t)(end - start);
}

static enum loam_status rewrite_next(struct loam_expression *expression, struct loam_error *error)
{
    size_t comment = comment_size(expression);
    if (comment > 0) return copy_bytes(expression, comment, error);
    switch (expression->text[expression->at]) {
    case '\\':
        return rewrite_escape(expression, error);
    case '[':
        return rewrite_class(expression, error);
    case '(':
        return open_group(expression, error);
    case ')':
        return close_group(expression, error);
    default: {
        size_t start = expression->at;
        size_t length;
        int32_t code_point = loam_utf8_decode(expression->text + start, &length);
        expression->at += length;
        return write_character(expression, (uint32_t)code_point, start, error);
    }
    }
}

enum loam_status loam_expression_rewrite(const char *text, size_t size, const char *name,
                                         struct loam_bytes *out, struct loam_error *error)
{
    struct loam_expression expression = {.text = text, .size = size, .name = name, .out = out};
    enum loam_status status = LOAM_OK;
    size_t valid = loam_utf8_check(text, size);
    if (valid < size) return loam_expression_fail_malformed(&expression, valid, "not UTF-8", error);
    while (expression.at < size && status == LOAM_OK)
        status = rewrite_next(&expression, error);
    loam_bytes_deinit(&expression.options);
    return status;
}
