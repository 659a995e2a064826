// String and number literals of templates.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/number.h"
#include "chat/text.h"
#include "chat/token.h"

// ---- Strings ----

static int digit_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'z' ? c - 'a' + 10 : 99;
}

// Reads up to `most` digits; returns how many there are.
static size_t read_digits(const char *text, size_t size, size_t most, int base, uint32_t *code)
{
    size_t count = 0;
    for (*code = 0; count < most && count < size && digit_value(text[count]) < base; count++)
        *code = *code * (uint32_t)base + (uint32_t)digit_value(text[count]);
    return count;
}

static enum loam_status append_code(struct chat_text *out, uint32_t code)
{
    if (code > 0x10FFFF)
        return loam_fail(out->error, LOAM_ERROR_FORMAT,
                         "a string has the escape of a character beyond U+10FFFF");
    if (code >= 0xD800 && code < 0xE000)
        return loam_fail(out->error, LOAM_ERROR_UNSUPPORTED,
                         "a string has the escape of a surrogate, \\u%04x, which is no character",
                         (unsigned)code);
    return chat_text_append_code(out, code, CHAT_TEMPLATE_ORIGIN);
}

// Reads \xHH, \uHHHH or \UHHHHHHHH; `text` is behind the letter.
static enum loam_status append_hex(struct chat_text *out, const char *text, size_t size, size_t digits,
                                   size_t *used)
{
    uint32_t code;
    *used = digits;
    if (read_digits(text, size, digits, 16, &code) < digits)
        return loam_fail(out->error, LOAM_ERROR_FORMAT, "a string has an escape with too few digits");
    return append_code(out, code);
}

// jinja2 escapes characters beyond ASCII before it resolves escapes, so that a backslash before such a character
// gives the text of its escape.
static enum loam_status append_escaped_character(struct chat_text *out, const char *text, size_t *used)
{
    char escape[16];
    uint32_t code = chat_decode(text, used);
    const char *format = code < 0x100 ? "\\x%02x" : code < 0x10000 ? "\\u%04x" : "\\U%08x";
    snprintf(escape, sizeof escape, format, (unsigned)code);
    return chat_text_append_words(out, escape, CHAT_TEMPLATE_ORIGIN);
}

// Appends the escape whose letter is at `text`; `*used` bytes from there belong to it.
static enum loam_status append_escape(struct chat_text *out, const char *text, size_t size, size_t *used)
{
    static const char letters[] = "\\'\"abfnrtv", meanings[] = "\\'\"\a\b\f\n\r\t\v";
    const char *letter = strchr(letters, *text);
    uint32_t code;
    *used = 1;
    if (*text == '\n') return LOAM_OK; // continues the line
    if (*text != '\0' && letter != NULL)
        return chat_text_append(out, meanings + (letter - letters), 1, CHAT_TEMPLATE_ORIGIN);
    if (*text >= '0' && *text <= '7') {
        *used = read_digits(text, size, 3, 8, &code);
        return append_code(out, code);
    }
    if ((unsigned char)*text >= 0x80) return append_escaped_character(out, text, used);
    size_t digits = *text == 'x' ? 2 : *text == 'u' ? 4 : *text == 'U' ? 8 : 0;
    if (digits > 0) {
        LOAM_TRY(append_hex(out, text + 1, size - 1, digits, used));
        *used += 1;
        return LOAM_OK;
    }
    if (*text == 'N')
        return loam_fail(out->error, LOAM_ERROR_UNSUPPORTED,
                         "a string has \\N{...}, a character by its name");
    LOAM_TRY(chat_text_append(out, "\\", 1, CHAT_TEMPLATE_ORIGIN));
    return chat_text_append(out, text, 1, CHAT_TEMPLATE_ORIGIN);
}

enum loam_status chat_literal_unescape(struct chat_value *value, const char *text, size_t size,
                                       struct chat_pool *pool, struct loam_error *error)
{
    if (memchr(text, '\\', size) == NULL)
        return chat_string_create(value, text, size, CHAT_TEMPLATE_ORIGIN, pool, error);
    struct chat_text out;
    chat_text_init(&out, pool, error);
    for (size_t at = 0; at < size;) {
        const char *slash = memchr(text + at, '\\', size - at);
        size_t plain = slash == NULL ? size - at : (size_t)(slash - text) - at;
        LOAM_TRY(chat_text_append(&out, text + at, plain, CHAT_TEMPLATE_ORIGIN));
        at += plain;
        if (at + 1 >= size) break;
        size_t used;
        LOAM_TRY(append_escape(&out, text + at + 1, size - at - 1, &used));
        at += 1 + used;
    }
    return chat_text_finish(&out, value);
}

// ---- Numbers ----

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// Bytes of digits with single underscores between them.
static size_t digits_size(const char *text, size_t size, int base)
{
    size_t at = 0;
    for (; at < size && digit_value(text[at]) < base; at++)
        if (at + 2 < size && text[at + 1] == '_' && digit_value(text[at + 2]) < base) at++;
    return at;
}

// Bytes of an exponent, 0 if there is none.
static size_t exponent_size(const char *text, size_t size)
{
    if (size < 2 || (*text | 0x20) != 'e') return 0;
    size_t sign = text[1] == '+' || text[1] == '-' ? 2 : 1;
    size_t digits = sign < size ? digits_size(text + sign, size - sign, 10) : 0;
    return digits == 0 ? 0 : sign + digits;
}

static size_t float_size(const char *text, size_t size)
{
    size_t whole = digits_size(text, size, 10), fraction = 0;
    if (whole == 0) return 0;
    if (whole + 1 < size && text[whole] == '.' && is_digit(text[whole + 1]))
        fraction = 1 + digits_size(text + whole + 1, size - whole - 1, 10);
    size_t exponent = exponent_size(text + whole + fraction, size - whole - fraction);
    return fraction + exponent == 0 ? 0 : whole + fraction + exponent;
}

static size_t integer_size(const char *text, size_t size, int *base)
{
    *base = 10;
    if (size == 0 || !is_digit(*text)) return 0;
    if (*text != '0') return digits_size(text, size, 10);
    char letter = size > 2 ? (char)(text[1] | 0x20) : '\0';
    int other = letter == 'b' ? 2 : letter == 'o' ? 8 : letter == 'x' ? 16 : 0;
    size_t skip = other > 0 && text[2] == '_' ? 3 : 2;
    size_t digits = other > 0 && skip < size ? digits_size(text + skip, size - skip, other) : 0;
    if (digits > 0) {
        *base = other;
        return skip + digits;
    }
    return digits_size(text, size, 1); // zeros
}

size_t chat_literal_number(struct chat_value *value, const char *text, size_t size, bool after_dot,
                           bool *too_large)
{
    int base = 10;
    char digits[512];
    size_t real = after_dot ? 0 : float_size(text, size), kept = 0;
    size_t used = real > 0 ? real : integer_size(text, size, &base);
    *too_large = used >= sizeof digits;
    if (used == 0 || *too_large) return used;
    for (size_t i = base == 10 ? 0 : 2; i < used; i++)
        if (text[i] != '_') digits[kept++] = text[i];
    digits[kept] = '\0';
    errno = 0;
    if (real > 0)
        *value = chat_float(chat_read_float(digits));
    else
        *value = chat_int(strtoll(digits, NULL, base));
    *too_large = real == 0 && errno == ERANGE;
    return used;
}
