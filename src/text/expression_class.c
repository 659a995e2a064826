// Bracketed classes, as Oniguruma 6.9.10 reads them: [a-z], [^...], nested classes, [:name:] and &&.
#include <string.h>

#include "text/expression_parts.h"
#include "text/unicode.h"
#include "text/unicode_data.h"

enum { MOST_CLASSES = 64 }; // nested

enum token_kind { TOKEN_CHARACTER, TOKEN_SET, TOKEN_CLOSE, TOKEN_RANGE, TOKEN_OPEN, TOKEN_AND };

struct token {
    enum token_kind kind;
    uint32_t code_point;      // TOKEN_CHARACTER
    struct loam_char_set set; // TOKEN_SET
};

// The state of reading a class.
enum place {
    AT_START,
    AFTER_VALUE, // after the character `value`, which may start a range
    AFTER_SET,
    AFTER_DASH, // after "value-"
    COMPLETE,   // after a range or a nested class
};

struct class_reader {
    struct loam_expression *expression;
    struct loam_char_set set;    // characters after the last &&
    struct loam_char_set before; // characters before the last &&
    bool has_before;
    enum place place;
    uint32_t value;
};

static enum loam_status read_class(struct loam_expression *expression, int depth, struct loam_char_set *set,
                                   struct loam_error *error);

// The end of the name in [:name:]; 0: not such a class.
static size_t find_posix_end(const struct loam_expression *expression)
{
    size_t at = expression->at + 2;
    if (at < expression->size && expression->text[at] == '^') at++;
    while (at < expression->size && ((expression->text[at] >= 'a' && expression->text[at] <= 'z') ||
                                     (expression->text[at] >= 'A' && expression->text[at] <= 'Z')))
        at++;
    bool ends = at > expression->at + 2 && expression->size - at >= 2 && expression->text[at] == ':' &&
                expression->text[at + 1] == ']';
    return ends ? at : 0;
}

static enum loam_status read_posix(struct loam_expression *expression, size_t end, struct loam_char_set *set,
                                   struct loam_error *error)
{
    char name[16] = ":";
    size_t start = expression->at + 2;
    bool negated = expression->text[start] == '^';
    if (negated) start++;
    size_t size = end - start;
    bool known = false;
    bool lower_case = size < sizeof name - 1;
    for (size_t i = 0; i < size && lower_case; i++)
        lower_case = expression->text[start + i] >= 'a';
    if (lower_case) {
        memcpy(name + 1, expression->text + start, size);
        LOAM_TRY(loam_char_set_add_property(set, name, 1 + size, &known, error));
    }
    if (!known)
        return loam_expression_fail_malformed(expression, expression->at, "invalid POSIX bracket type",
                                              error);
    expression->at = end + 2;
    return negated ? loam_char_set_invert(set, error) : LOAM_OK;
}

static enum loam_status read_token(struct loam_expression *expression, struct token *token,
                                   struct loam_error *error)
{
    *token = (struct token){.kind = TOKEN_CHARACTER};
    if (expression->at == expression->size)
        return loam_expression_fail_malformed(expression, expression->at, "premature end of char-class",
                                              error);
    char c = expression->text[expression->at];
    if (c == '\\') {
        struct loam_escape escape;
        enum loam_status status = loam_expression_read_escape(expression, true, &escape, error);
        token->kind = escape.kind == LOAM_ESCAPE_SET ? TOKEN_SET : TOKEN_CHARACTER;
        token->code_point = escape.code_point;
        token->set = escape.set;
        return status;
    }
    if (c == '[' && loam_expression_peek(expression, 1) == ':') {
        size_t end = find_posix_end(expression);
        token->kind = TOKEN_SET;
        if (end > 0) return read_posix(expression, end, &token->set, error);
    }
    bool twice = loam_expression_peek(expression, 1) == c;
    token->kind = c == ']'            ? TOKEN_CLOSE
                  : c == '-'          ? TOKEN_RANGE
                  : c == '['          ? TOKEN_OPEN
                  : c == '&' && twice ? TOKEN_AND
                                      : TOKEN_CHARACTER;
    size_t length;
    token->code_point = (uint32_t)loam_utf8_decode(expression->text + expression->at, &length);
    expression->at += token->kind == TOKEN_AND ? 2 : length;
    return LOAM_OK;
}

static enum loam_status add_value(struct class_reader *reader, struct loam_error *error)
{
    if (reader->place != AFTER_VALUE) return LOAM_OK;
    return loam_char_set_add(&reader->set, reader->value, reader->value + 1, error);
}

static enum loam_status take_character(struct class_reader *reader, uint32_t code_point, size_t start,
                                       struct loam_error *error)
{
    bool is_character = code_point < LOAM_CODE_POINTS && (code_point < 0xD800 || code_point >= 0xE000);
    if (reader->place == AFTER_DASH) {
        // The end of a range may be a surrogate or above U+10FFFF.
        if (!is_character && code_point < 0x100)
            return loam_expression_fail_malformed(reader->expression, start, "invalid code point value",
                                                  error);
        if (code_point < reader->value)
            return loam_expression_fail_malformed(reader->expression, start, "empty range in char class",
                                                  error);
        uint32_t end = code_point < LOAM_CODE_POINTS ? code_point + 1 : LOAM_CODE_POINTS;
        reader->place = COMPLETE;
        return loam_char_set_add(&reader->set, reader->value, end, error);
    }
    if (!is_character)
        return loam_expression_fail_malformed(reader->expression, start, "invalid code point value", error);
    LOAM_TRY(add_value(reader, error));
    reader->place = AFTER_VALUE;
    reader->value = code_point;
    return LOAM_OK;
}

static enum loam_status take_set(struct class_reader *reader, const struct loam_char_set *set, size_t start,
                                 struct loam_error *error)
{
    if (reader->place == AFTER_DASH)
        return loam_expression_fail_malformed(reader->expression, start, "char-class value at end of range",
                                              error);
    LOAM_TRY(add_value(reader, error));
    reader->place = AFTER_SET;
    return loam_char_set_unite(&reader->set, set, error);
}

// Takes a "-": part of a range after a character; a character at the start or end of a part and after a
// range.
static enum loam_status take_dash(struct class_reader *reader, size_t start, struct loam_error *error)
{
    const struct loam_expression *expression = reader->expression;
    char next = loam_expression_peek(expression, 0);
    bool ends = next == ']' || (next == '&' && loam_expression_peek(expression, 1) == '&');
    if (reader->place == AFTER_SET && !ends)
        return loam_expression_fail_malformed(expression, start, "unmatched range specifier in char-class",
                                              error);
    if (reader->place != AFTER_VALUE || ends) return take_character(reader, '-', start, error);
    reader->place = AFTER_DASH;
    return LOAM_OK;
}

static enum loam_status take_open(struct class_reader *reader, int depth, struct loam_error *error)
{
    struct loam_char_set inner = {0};
    LOAM_TRY(add_value(reader, error));
    reader->place = COMPLETE;
    reader->expression->at--; // back to the bracket
    enum loam_status status = read_class(reader->expression, depth + 1, &inner, error);
    if (status == LOAM_OK) status = loam_char_set_unite(&reader->set, &inner, error);
    loam_char_set_deinit(&inner);
    return status;
}

// Takes &&: intersects the characters before and after the last &&.
static enum loam_status take_and(struct class_reader *reader, struct loam_error *error)
{
    LOAM_TRY(add_value(reader, error));
    if (reader->has_before) LOAM_TRY(loam_char_set_intersect(&reader->set, &reader->before, error));
    loam_char_set_deinit(&reader->before);
    reader->before = reader->set;
    reader->set = (struct loam_char_set){0};
    reader->has_before = true;
    reader->place = AT_START;
    return LOAM_OK;
}

static enum loam_status take_token(struct class_reader *reader, const struct token *token, size_t start,
                                   int depth, struct loam_error *error)
{
    switch (token->kind) {
    case TOKEN_SET:
        return take_set(reader, &token->set, start, error);
    case TOKEN_RANGE:
        return take_dash(reader, start, error);
    case TOKEN_OPEN:
        return take_open(reader, depth, error);
    case TOKEN_AND:
        return take_and(reader, error);
    default:
        return take_character(reader, token->code_point, start, error);
    }
}

static enum loam_status read_parts(struct class_reader *reader, int depth, struct loam_error *error)
{
    struct loam_expression *expression = reader->expression;
    for (bool first = true;; first = false) {
        struct token token;
        size_t start = expression->at;
        enum loam_status status = read_token(expression, &token, error);
        bool closes = status == LOAM_OK && token.kind == TOKEN_CLOSE;
        // A "]" at the start is a character if another one can close the class.
        if (closes && first) {
            if (memchr(expression->text + expression->at, ']', expression->size - expression->at) == NULL)
                return loam_expression_fail_malformed(expression, start, "empty char-class", error);
            closes = false;
        }
        if (status == LOAM_OK && !closes) status = take_token(reader, &token, start, depth, error);
        loam_char_set_deinit(&token.set);
        if (status != LOAM_OK || closes) return status;
    }
}

static enum loam_status read_class(struct loam_expression *expression, int depth, struct loam_char_set *set,
                                   struct loam_error *error)
{
    if (depth == MOST_CLASSES)
        return loam_expression_fail_unsupported(expression, expression->at, "more than 64 nested classes",
                                                error);
    struct class_reader reader = {.expression = expression};
    expression->at++;
    bool negated = loam_expression_peek(expression, 0) == '^';
    if (negated) expression->at++;
    enum loam_status status = read_parts(&reader, depth, error);
    if (status == LOAM_OK) status = add_value(&reader, error);
    if (status == LOAM_OK && reader.has_before)
        status = loam_char_set_intersect(&reader.set, &reader.before, error);
    loam_char_set_tidy(&reader.set);
    // Only the outermost class ignores case, before it is negated.
    if (status == LOAM_OK && depth == 0 && expression->ignore_case)
        status = loam_char_set_ignore_case(&reader.set, error);
    if (status == LOAM_OK && negated) status = loam_char_set_invert(&reader.set, error);
    loam_char_set_deinit(&reader.before);
    loam_char_set_deinit(set);
    *set = reader.set;
    return status;
}

enum loam_status loam_expression_read_class(struct loam_expression *expression, struct loam_char_set *set,
                                            struct loam_error *error)
{
    return read_class(expression, 0, set, error);
}
