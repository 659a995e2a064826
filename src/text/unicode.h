// Decoding of valid UTF-8, and the classes of characters that pre-tokenizers use.
#ifndef LOAM_TEXT_UNICODE_H
#define LOAM_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOAM_UTF8_MAX = 4 }; // bytes of the longest character

// Bytes of the character that starts with this byte of valid UTF-8.
static inline size_t loam_utf8_length(char first)
{
    unsigned char byte = (unsigned char)first;
    return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

// Bytes of the last character of `size` > 0 bytes of valid UTF-8.
static inline size_t loam_utf8_last(const char *text, size_t size)
{
    size_t length = 1;
    while (length < size && ((unsigned char)text[size - length] & 0xC0) == 0x80)
        length++;
    return length;
}

// The code point at `text`, valid UTF-8 that is not empty; `*length` is its number of bytes.
static inline int32_t loam_utf8_decode(const char *text, size_t *length)
{
    const unsigned char *byte = (const unsigned char *)text;
    *length = loam_utf8_length(*text);
    switch (*length) {
    case 1:
        return byte[0];
    case 2:
        return (byte[0] & 0x1F) << 6 | (byte[1] & 0x3F);
    case 3:
        return (byte[0] & 0x0F) << 12 | (byte[1] & 0x3F) << 6 | (byte[2] & 0x3F);
    default:
        return (byte[0] & 0x07) << 18 | (byte[1] & 0x3F) << 12 | (byte[2] & 0x3F) << 6 | (byte[3] & 0x3F);
    }
}

// Writes the character and returns its number of bytes.
size_t loam_utf8_encode(int32_t code_point, char out[LOAM_UTF8_MAX]);

// A class of characters of a pattern.
typedef bool (*loam_char_class)(int32_t code_point);

// The classes of the package `tokenizers`. loam_char_classes gives all of them as bits LOAM_CLASS_...
// (text/unicode_data.h).
uint32_t loam_char_classes(int32_t code_point);
bool loam_char_is_whitespace(int32_t code_point);
bool loam_char_is_numeric(int32_t code_point);
bool loam_char_is_punctuation(int32_t code_point);
bool loam_char_is_word(int32_t code_point);

// Lower case of one character. For U+0130, whose lower case is two characters, the first of them.
int32_t loam_char_lower(int32_t code_point);

#endif
