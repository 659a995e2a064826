#include <string.h>
#include <strings.h>

#include "text/expression_parts.h"
#include "text/unicode.h"

char loam_expression_peek(const struct loam_expression *expression, size_t ahead)
{
    return ahead < expression->size - expression->at ? expression->text[expression->at + ahead] : '\0';
}

enum loam_status loam_expression_fail_malformed(const struct loam_expression *expression, size_t start,
                                                const char *reason, struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: not a readable regular expression (%s, at byte %zu)",
                     expression->name, reason, start);
}

enum loam_status loam_expression_fail_unsupported(const struct loam_expression *expression, size_t start,
                                                  const char *what, struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                     "%s: the regular expression has %s at byte %zu, which is not supported",
                     expression->name, what, start);
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

// Reads at most `most` digits of the base; returns their number.
static int read_number(struct loam_expression *expression, int base, int most, uint32_t *number)
{
    int count = 0;
    uint64_t value = 0;
    for (; count < most && digit_of(loam_expression_peek(expression, 0)) < base; count++) {
        value = value * (unsigned)base + (unsigned)digit_of(expression->text[expression->at++]);
        if (value > UINT32_MAX) value = UINT32_MAX;
    }
    *number = (uint32_t)value;
    return count;
}

// Reads \x{...} or \o{...} from the brace on. Without a digit inside, the letter stands for itself.
static enum loam_status read_braced(struct loam_expression *expression, size_t start, int base,
                                    uint32_t *code_point, struct loam_error *error)
{
    size_t brace = expression->at++;
    if (read_number(expression, base, base == 16 ? 8 : 11, code_point) == 0) {
        *code_point = (unsigned char)expression->text[brace - 1];
        expression->at = brace;
        return LOAM_OK;
    }
    char next = loam_expression_peek(expression, 0);
    if (next == ' ' || next == '-' || next == '\n')
        return loam_expression_fail_unsupported(expression, start, "a list of code points in one escape",
                                                error);
    if (next != '}')
        return loam_expression_fail_malformed(expression, start, "invalid code point value", error);
    expression->at++;
    return LOAM_OK;
}

// Reads the number of a byte. Bytes from 0x80 on are parts of characters and not supported here.
static enum loam_status read_byte(struct loam_expression *expression, size_t start, int base, int most,
                                  struct loam_escape *escape, struct loam_error *error)
{
    read_number(expression, base, most, &escape->code_point);
    if (escape->code_point >= 0x100)
        return loam_expression_fail_malformed(expression, start, "too big number", error);
    if (escape->code_point >= 0x80)
        return loam_expression_fail_unsupported(expression, start, "a byte that is not a character", error);
    return LOAM_OK;
}

static enum loam_status read_control(struct loam_expression *expression, size_t start, uint32_t *code_point,
                                     struct loam_error *error)
{
    char c = loam_expression_peek(expression, 0);
    if (c <= 0 || c == '\\')
        return loam_expression_fail_unsupported(expression, start, "a control character in this form", error);
    expression->at++;
    *code_point = c == '?' ? 0x7F : (uint32_t)c & 0x9F;
    return LOAM_OK;
}

// Reads \p{NAME} or \p{^NAME}, or \P{...} for the complement.
static enum loam_status read_property(struct loam_expression *expression, size_t start, bool in_class,
                                      struct loam_char_set *set, struct loam_error *error)
{
    bool negated = expression->text[expression->at - 1] == 'P';
    size_t name = expression->at + 1;
    if (loam_expression_peek(expression, 1) == '^') {
        negated = !negated;
        name++;
    }
    const char *end = memchr(expression->text + name, '}', expression->size - name);
    if (end == NULL)
        return loam_expression_fail_malformed(expression, start, "a property's name has no end", error);
    size_t size = (size_t)(end - expression->text) - name;
    expression->at = name + size + 1;
    bool known;
    bool is_word = size == 4 && strncasecmp(expression->text + name, "word", size) == 0;
    LOAM_TRY(loam_char_set_add_property(set, expression->text + name, size, &known, error));
    if (!known)
        return loam_fail(
            error, LOAM_ERROR_UNSUPPORTED,
            "%s: the regular expression has the property \"%.*s\" at byte %zu, which loam does not have",
            expression->name, size < 60 ? (int)size : 60, expression->text + name, start);
    if (is_word && !in_class) LOAM_TRY(loam_expression_add_word(set, error));
    return negated ? loam_char_set_invert(set, error) : LOAM_OK;
}

enum loam_status loam_expression_add_word(struct loam_char_set *set, struct loam_error *error)
{
    static const struct loam_span more[] = {{0xB2, 0xB4}, {0xB9, 0xBA}, {0xBC, 0xBF}};
    bool known;
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        LOAM_TRY(loam_char_set_add(set, more[i].first, more[i].end, error));
    return loam_char_set_add_property(set, "word", 4, &known, error);
}

static enum loam_status read_type(struct loam_char_set *set, char letter, bool in_class,
                                  struct loam_error *error)
{
    static const struct {
        char letter;
        const char *property;
    } types[] = {{'w', ":word"}, {'d', ":digit"}, {'s', ":space"}, {'h', ":xdigit"}};
    bool negated = letter < 'a';
    char lower = (char)(negated ? letter - 'A' + 'a' : letter);
    bool known;
    if (lower == 'w' && !in_class) LOAM_TRY(loam_expression_add_word(set, error));
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].letter == lower)
            LOAM_TRY(
                loam_char_set_add_property(set, types[i].property, strlen(types[i].property), &known, error));
    return negated ? loam_char_set_invert(set, error) : LOAM_OK;
}

// Whether a letter after the backslash names a character: \n, \t ...
static bool is_named_character(char letter, bool in_class, uint32_t *code_point)
{
    static const char letters[] = "ntrfaevb"; // \b is a backspace in classes only
    static const char characters[] = "\n\t\r\f\a\x1B\v\b";
    const char *found = letter == '\0' ? NULL : strchr(letters, letter);
    if (found == NULL || (letter == 'b' && !in_class)) return false;
    *code_point = (uint32_t)characters[found - letters];
    return true;
}

static enum loam_status read_code(struct loam_expression *expression, size_t start, char letter,
                                  struct loam_escape *escape, struct loam_error *error)
{
    bool braced = loam_expression_peek(expression, 0) == '{';
    switch (letter) {
    case 'x':
        if (braced) return read_braced(expression, start, 16, &escape->code_point, error);
        return read_byte(expression, start, 16, 2, escape, error);
    case 'o':
        escape->code_point = 'o';
        return braced ? read_braced(expression, start, 8, &escape->code_point, error) : LOAM_OK;
    case 'u':
        if (read_number(expression, 16, 4, &escape->code_point) < 4)
            return loam_expression_fail_malformed(expression, start, "\\u needs four digits", error);
        return LOAM_OK;
    case 'c':
        return read_control(expression, start, &escape->code_point, error);
    default: // octal
        expression->at--;
        return read_byte(expression, start, 8, 3, escape, error);
    }
}

static enum loam_status read_letter(struct loam_expression *expression, size_t start, char letter,
                                    bool in_class, struct loam_escape *escape, struct loam_error *error)
{
    bool is_octal = letter == '0' || (in_class && letter >= '1' && letter <= '7');
    escape->kind = LOAM_ESCAPE_CHARACTER;
    if (is_named_character(letter, in_class, &escape->code_point)) return LOAM_OK;
    if (letter == 'C' && loam_expression_peek(expression, 0) == '-') {
        expression->at++;
        return read_control(expression, start, &escape->code_point, error);
    }
    if (letter == 'M' && loam_expression_peek(expression, 0) == '-')
        return loam_expression_fail_unsupported(expression, start, "\\M-", error);
    if (is_octal || (letter != '\0' && strchr("xouc", letter) != NULL))
        return read_code(expression, start, letter, escape, error);
    bool is_property = letter == 'p' || letter == 'P';
    if (is_property && loam_expression_peek(expression, 0) != '{') { // a letter before Oniguruma 6.9.11
        escape->code_point = (uint32_t)letter;
        return LOAM_OK;
    }
    if (letter != '\0' && strchr("wWdDsShHpP", letter) != NULL) {
        escape->kind = LOAM_ESCAPE_SET;
        if (is_property) return read_property(expression, start, in_class, &escape->set, error);
        return read_type(&escape->set, letter, in_class, error);
    }
    // Other letters are operators outside of classes, and stand for themselves inside.
    bool is_operator = !in_class && ((letter >= '1' && letter <= '9') || (letter >= 'a' && letter <= 'z') ||
                                     (letter >= 'A' && letter <= 'Z') || letter == '`' || letter == '\'');
    if (is_operator) {
        expression->at = start;
        escape->kind = LOAM_ESCAPE_OTHER;
        return LOAM_OK;
    }
    size_t length;
    expression->at--;
    escape->code_point = (uint32_t)loam_utf8_decode(expression->text + expression->at, &length);
    expression->at += length;
    return LOAM_OK;
}

enum loam_status loam_expression_read_escape(struct loam_expression *expression, bool in_class,
                                             struct loam_escape *escape, struct loam_error *error)
{
    size_t start = expression->at;
    *escape = (struct loam_escape){0};
    if (start + 1 == expression->size)
        return loam_expression_fail_malformed(expression, start, "end pattern at escape", error);
    char letter = expression->text[start + 1];
    expression->at = start + 2;
    return read_letter(expression, start, letter, in_class, escape, error);
}
