// Python's int() and float() of strings.
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "chat/number.h"
#include "chat/unicode.h"

double chat_read_float(const char *digits)
{
    char text[560];
    const char *point = localeconv()->decimal_point, *dot = strchr(digits, '.');
    size_t head = dot == NULL ? strlen(digits) : (size_t)(dot - digits);
    int size = dot == NULL ? snprintf(text, sizeof text, "%s", digits)
                           : snprintf(text, sizeof text, "%.*s%s%s", (int)head, digits, point, dot + 1);
    return size < 0 || (size_t)size >= sizeof text ? NAN : strtod(text, NULL);
}

enum { LONGEST = 512 }; // bytes of a number

// Copies a number without white space around it and with the decimal digits of all scripts as ASCII. Underscores must
// stand between digits. False: not a number.
static bool tidy(const struct chat_string *string, char text[LONGEST])
{
    size_t from = chat_space_prefix(string->data, string->size);
    size_t to = from + chat_space_trim_end(string->data + from, string->size - from), kept = 0;
    bool after_digit = false;
    for (size_t at = from, size; at < to; at += size) {
        uint32_t code = chat_decode(string->data + at, &size);
        if (kept + 1 >= LONGEST) return false;
        if (code == '_') {
            size_t next;
            if (!after_digit || at + 1 >= to) return false;
            uint32_t follows = chat_decode(string->data + at + 1, &next);
            if (follows == '_' || !(chat_is_decimal(follows) || (follows < 0x80 && chat_is_alpha(follows))))
                return false;
            after_digit = false;
            continue;
        }
        int digit = chat_decimal_value(code);
        if (digit < 0 && (code >= 0x80 || code == 0)) return false;
        text[kept++] = digit >= 0 ? (char)('0' + digit) : (char)code;
        after_digit = digit >= 0 || (code < 0x80 && chat_is_alpha(code));
    }
    text[kept] = '\0';
    return kept > 0;
}

bool chat_parse_integer(const struct chat_string *string, int base, int64_t *value)
{
    char text[LONGEST], *end;
    if (!tidy(string, text) || base == 1 || base < 0 || base > 36) return false;
    bool signed_ = *text == '-' || *text == '+';
    const char *digits = text + signed_;
    char letter = digits[0] == '0' ? (char)(digits[1] | 0x20) : '\0';
    int prefix = letter == 'b' ? 2 : letter == 'o' ? 8 : letter == 'x' ? 16 : 0;
    bool prefixed = prefix != 0 && (base == 0 || base == prefix);
    if (base == 0 && prefix == 0 && digits[0] == '0' && strspn(digits, "0") != strlen(digits)) return false;
    if (prefixed) digits += 2;
    int used = prefixed ? prefix : base == 0 ? 10 : base;
    if (*digits == '\0' || *digits == '+' || *digits == '-' || chat_space_prefix(digits, 1) > 0) return false;
    if (used == 16 && digits[0] == '0' && (digits[1] | 0x20) == 'x') return false; // strtoll takes a prefix
    errno = 0;
    long long number = strtoll(digits, &end, used);
    if (*end != '\0' || errno == ERANGE) return false;
    *value = *text == '-' ? -number : number;
    return true;
}

bool chat_parse_float(const struct chat_string *string, double *value)
{
    char text[LONGEST] = "", lower[LONGEST];
    if (!tidy(string, text)) return false;
    bool minus = *text == '-';
    const char *digits = text + (*text == '-' || *text == '+');
    size_t size = strlen(digits);
    for (size_t i = 0; i <= size; i++)
        lower[i] = (char)(digits[i] >= 'A' && digits[i] <= 'Z' ? digits[i] | 0x20 : digits[i]);
    if (strcmp(lower, "inf") == 0 || strcmp(lower, "infinity") == 0 || strcmp(lower, "nan") == 0) {
        *value = *lower == 'n' ? NAN : minus ? -INFINITY : INFINITY;
        return true;
    }
    size_t whole = strspn(lower, "0123456789"), at = whole, fraction = 0;
    if (lower[at] == '.') {
        fraction = strspn(lower + at + 1, "0123456789");
        at += 1 + fraction;
    }
    if (whole + fraction == 0) return false;
    if (lower[at] == 'e') {
        at += lower[at + 1] == '+' || lower[at + 1] == '-' ? 2 : 1;
        size_t exponent = strspn(lower + at, "0123456789");
        if (exponent == 0) return false;
        at += exponent;
    }
    if (lower[at] != '\0') return false;
    *value = chat_read_float(lower);
    if (minus) *value = -*value;
    return true;
}
