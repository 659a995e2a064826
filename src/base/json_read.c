#include "base/json_read.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/heap.h"

enum {
    DEPTH_MAX = 2048,
    // Bounds the memory: two bytes of text can be a value of 100 bytes. 100,000 tensors need 900,000 values.
    VALUES_MAX = 1 << 21,
};

struct reader {
    const char *begin;
    const char *at;
    const char *end;
    const char *name;
    int depth;
    int values;
    struct loam_bytes text; // the last string or number
    struct loam_error *error;
};

// ---- Errors ----

// The column counts characters, up to the first one that was not read.
static bool fail(struct reader *reader, const char *what)
{
    int line = 1, column = 1;
    for (const char *c = reader->begin; c < reader->at; c++) {
        column += ((unsigned char)*c & 0xC0) != 0x80;
        if (*c == '\n') line++, column = 1;
    }
    loam_fail(reader->error, LOAM_ERROR_FORMAT, "%s is not valid JSON: line %d, column %d: %s", reader->name,
              line, column, what);
    return false;
}

static bool fail_memory(struct reader *reader)
{
    loam_fail(reader->error, LOAM_ERROR_MEMORY, "out of memory while reading %s", reader->name);
    return false;
}

// Returns a new value of jansson, which is NULL if memory was lacking.
static json_t *check_value(struct reader *reader, json_t *value)
{
    if (value == NULL) fail_memory(reader);
    return value;
}

static bool append(struct reader *reader, const char *text, size_t size)
{
    return loam_bytes_append(&reader->text, text, size, reader->error) == LOAM_OK || fail_memory(reader);
}

// ---- Characters ----

static bool is_next(const struct reader *reader, char c)
{
    return reader->at < reader->end && *reader->at == c;
}

// Moves past `c` if it is the next character.
static bool take(struct reader *reader, char c)
{
    bool found = is_next(reader, c);
    reader->at += found;
    return found;
}

static void skip_space(struct reader *reader)
{
    while (reader->at < reader->end && memchr(" \t\r\n", *reader->at, 4) != NULL)
        reader->at++;
}

// Moves past white space, and past `c` if it follows.
static bool take_mark(struct reader *reader, char c)
{
    skip_space(reader);
    return take(reader, c);
}

static bool take_word(struct reader *reader, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(reader->end - reader->at) < size || memcmp(reader->at, word, size) != 0) return false;
    reader->at += size;
    return true;
}

// Bytes of the next UTF-8 sequence; 0 if it is not well-formed.
static size_t sequence_size(const struct reader *reader)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *bytes = (const unsigned char *)reader->at;
    size_t size = bytes[0] < 0x80   ? 1
                  : bytes[0] < 0xC0 ? 0
                  : bytes[0] < 0xE0 ? 2
                  : bytes[0] < 0xF0 ? 3
                  : bytes[0] < 0xF8 ? 4
                                    : 0;
    if (size < 2) return size;
    if ((size_t)(reader->end - reader->at) < size) return 0;
    uint32_t code = bytes[0] & (0x7FU >> size);
    for (size_t i = 1; i < size; i++) {
        if ((bytes[i] & 0xC0) != 0x80) return 0;
        code = code << 6 | (bytes[i] & 0x3F);
    }
    bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    return code < least[size] || code > 0x10FFFF || surrogate ? 0 : size;
}

// ---- Strings, into reader->text ----

static bool take_unit(struct reader *reader, uint32_t *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        static const char digits[] = "0123456789abcdef0123456789ABCDEF";
        const char *digit = reader->at < reader->end ? memchr(digits, *reader->at, sizeof digits - 1) : NULL;
        if (digit == NULL) return fail(reader, "\\u needs four hexadecimal digits");
        *unit = *unit << 4 | ((uint32_t)(digit - digits) & 15);
        reader->at++;
    }
    return true;
}

static bool append_code(struct reader *reader, uint32_t code)
{
    char bytes[4];
    size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint32_t first[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = size; i-- > 1; code >>= 6)
        bytes[i] = (char)(0x80 | (code & 0x3F));
    bytes[0] = (char)(first[size] | code);
    return append(reader, bytes, size);
}

// Reads what follows "\u". Characters beyond 16 bits are two units.
static bool read_code(struct reader *reader)
{
    uint32_t code, low = 0;
    if (!take_unit(reader, &code)) return false;
    bool high = code >= 0xD800 && code <= 0xDBFF;
    if (high && take_word(reader, "\\u") && !take_unit(reader, &low)) return false;
    if (code == 0) return fail(reader, "\\u0000 is not allowed");
    if ((code >= 0xDC00 && code <= 0xDFFF) || (high && (low < 0xDC00 || low > 0xDFFF)))
        return fail(reader, "\\u is half of a character");
    return append_code(reader, high ? 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00) : code);
}

// Reads what follows a backslash.
static bool read_escape(struct reader *reader)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (take(reader, 'u')) return read_code(reader);
    const char *name = reader->at < reader->end ? memchr(names, *reader->at, sizeof names - 1) : NULL;
    if (name == NULL) return fail(reader, "a backslash before a character that has no escape");
    reader->at++;
    return append(reader, &meant[name - names], 1);
}

// Reads what follows the opening quote.
static bool read_string(struct reader *reader)
{
    loam_bytes_clear(&reader->text);
    for (;;) {
        const char *start = reader->at;
        size_t size;
        while (reader->at < reader->end && (unsigned char)*reader->at >= ' ' && *reader->at != '"' &&
               *reader->at != '\\' && (size = sequence_size(reader)) > 0)
            reader->at += size;
        if (!append(reader, start, (size_t)(reader->at - start))) return false;
        if (take(reader, '"')) return true;
        if (!take(reader, '\\'))
            return fail(reader, reader->at == reader->end          ? "the text ends within a string"
                                : (unsigned char)*reader->at < ' ' ? "a control character in a string"
                                                                   : "bytes that are not UTF-8");
        if (!read_escape(reader)) return false;
    }
}

// ---- Numbers ----

static size_t take_digits(struct reader *reader)
{
    const char *start = reader->at;
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9')
        reader->at++;
    return (size_t)(reader->at - start);
}

// Moves past a number. `*whole`: it has neither a fraction nor an exponent.
static bool take_number(struct reader *reader, bool *whole)
{
    (void)take(reader, '-');
    const char *first = reader->at;
    size_t digits = take_digits(reader);
    bool good = digits == 1 || (digits > 1 && *first != '0');
    *whole = !is_next(reader, '.') && !is_next(reader, 'e') && !is_next(reader, 'E');
    if (good && take(reader, '.')) good = take_digits(reader) > 0;
    if (good && (take(reader, 'e') || take(reader, 'E'))) {
        if (!take(reader, '+')) (void)take(reader, '-');
        good = take_digits(reader) > 0;
    }
    return good;
}

// Copies the number with the decimal point of the caller's locale, as strtod expects it.
static bool append_number(struct reader *reader, const char *start)
{
    const char *locale_point = localeconv()->decimal_point;
    const char *point = memchr(start, '.', (size_t)(reader->at - start));
    const char *rest = point == NULL ? start : point + 1;
    loam_bytes_clear(&reader->text);
    if (point != NULL && !(append(reader, start, (size_t)(point - start)) &&
                           append(reader, locale_point, strlen(locale_point))))
        return false;
    return append(reader, rest, (size_t)(reader->at - rest));
}

static json_t *read_number(struct reader *reader)
{
    const char *start = reader->at;
    bool whole;
    if (!take_number(reader, &whole)) {
        fail(reader, start == reader->at ? "a value expected" : "this is not a number");
        return NULL;
    }
    if (!append_number(reader, start)) return NULL;
    errno = 0;
    long long integer = whole ? strtoll(reader->text.data, NULL, 10) : 0;
    if (whole && errno == 0) return check_value(reader, json_integer(integer));
    double real = strtod(reader->text.data, NULL);
    if (isfinite(real)) return check_value(reader, json_real(real));
    fail(reader, "a number beyond what a double holds");
    return NULL;
}

// ---- Arrays, objects and values ----

static json_t *read_value(struct reader *reader);

static bool read_items(struct reader *reader, json_t *array)
{
    if (take_mark(reader, ']')) return true;
    do {
        json_t *item = read_value(reader);
        if (item == NULL) return false;
        if (json_array_append_new(array, item) != 0) return fail_memory(reader);
    } while (take_mark(reader, ','));
    return take_mark(reader, ']') || fail(reader, "',' or ']' expected");
}

// Reads what follows a key. The caller releases the key.
static bool read_member(struct reader *reader, json_t *object, const char *key)
{
    if (json_object_get(object, key) != NULL) return fail(reader, "duplicate key");
    if (!take_mark(reader, ':')) return fail(reader, "':' expected");
    json_t *value = read_value(reader);
    if (value == NULL) return false;
    return json_object_set_new_nocheck(object, key, value) == 0 || fail_memory(reader);
}

static bool read_members(struct reader *reader, json_t *object)
{
    if (take_mark(reader, '}')) return true;
    do {
        if (!take_mark(reader, '"')) return fail(reader, "a key between quotes expected");
        if (!read_string(reader)) return false;
        char *key = loam_strndup(reader->text.data, reader->text.size, reader->error);
        if (key == NULL) return false;
        bool read = read_member(reader, object, key);
        free(key);
        if (!read) return false;
    } while (take_mark(reader, ','));
    return take_mark(reader, '}') || fail(reader, "',' or '}' expected");
}

static json_t *read_nested(struct reader *reader, json_t *nest, bool (*read)(struct reader *, json_t *))
{
    if (check_value(reader, nest) == NULL) return NULL;
    reader->depth++;
    bool complete =
        reader->depth > DEPTH_MAX ? fail(reader, "nested to a depth of more than 2048") : read(reader, nest);
    reader->depth--;
    if (complete) return nest;
    json_decref(nest);
    return NULL;
}

static json_t *read_value(struct reader *reader)
{
    if (reader->values++ == VALUES_MAX) {
        fail(reader, "more than 2097152 values");
        return NULL;
    }
    if (take_mark(reader, '{')) return read_nested(reader, json_object(), read_members);
    if (take(reader, '[')) return read_nested(reader, json_array(), read_items);
    if (take(reader, '"')) {
        if (!read_string(reader)) return NULL;
        return check_value(reader, json_stringn_nocheck(reader->text.data, reader->text.size));
    }
    if (take_word(reader, "true")) return json_true();
    if (take_word(reader, "false")) return json_false();
    if (take_word(reader, "null")) return json_null();
    return read_number(reader);
}

json_t *loam_json_read(const char *text, size_t size, const char *name, struct loam_error *error)
{
    struct reader reader = {.begin = text, .at = text, .end = text + size, .name = name, .error = error};
    json_t *root = read_value(&reader);
    skip_space(&reader);
    if (root != NULL && reader.at < reader.end) {
        fail(&reader, "the end of the text expected");
        json_decref(root);
        root = NULL;
    }
    loam_bytes_deinit(&reader.text);
    return root;
}
