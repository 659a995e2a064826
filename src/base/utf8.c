#include "base/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

size_t loam_utf8_sequence(const char *text, size_t size)
{
    const unsigned char *byte = (const unsigned char *)text;
    if (byte[0] < 0x80) return 1;
    if (byte[0] < 0xC2 || byte[0] > 0xF4) return 0; // a continuation, an overlong form or above U+10FFFF
    size_t length = byte[0] < 0xE0 ? 2 : byte[0] < 0xF0 ? 3 : 4;
    if (size < length) return 0;
    for (size_t i = 1; i < length; i++)
        if ((byte[i] & 0xC0) != 0x80) return 0;
    // The second byte shows overlong forms, surrogates and code points above U+10FFFF.
    bool refused = (byte[0] == 0xE0 && byte[1] < 0xA0) || (byte[0] == 0xED && byte[1] > 0x9F) ||
                   (byte[0] == 0xF0 && byte[1] < 0x90) || (byte[0] == 0xF4 && byte[1] > 0x8F);
    return refused ? 0 : length;
}

enum { WORD = sizeof(uint64_t) };

// The number of ASCII bytes at the start of `text`. Reads eight at a time, because most data is ASCII.
static size_t ascii_prefix(const char *text, size_t size)
{
    const uint64_t high_bits = UINT64_C(0x8080808080808080);
    size_t at = 0;
    for (; size - at >= WORD; at += WORD) {
        uint64_t word;
        memcpy(&word, text + at, WORD);
        if ((word & high_bits) != 0) break;
    }
    while (at < size && (unsigned char)text[at] < 0x80)
        at++;
    return at;
}

size_t loam_utf8_check(const char *text, size_t size)
{
    size_t at = ascii_prefix(text, size);
    while (at < size) {
        size_t length = loam_utf8_sequence(text + at, size - at);
        if (length == 0) return at;
        at += length;
        at += ascii_prefix(text + at, size - at);
    }
    return size;
}

// The number of bytes 10xxxxxx in a word.
static size_t continuations(uint64_t word)
{
    const uint64_t low_bits = UINT64_C(0x0101010101010101);
    const uint64_t ones = (word >> 7) & ~(word >> 6) & low_bits;
    return (size_t)((ones * low_bits) >> 56); // the sum of the eight bytes
}

// Each byte that does not continue a character begins one. Reads eight bytes at a time, because a template may
// build strings of hundreds of MiB.
size_t loam_utf8_count(const char *text, size_t size)
{
    uint64_t word;
    size_t at = 0, count = size;
    for (; size - at >= WORD; at += WORD) {
        memcpy(&word, text + at, WORD);
        count -= continuations(word);
    }
    word = 0;
    memcpy(&word, text + at, size - at);
    return count - continuations(word);
}

size_t loam_utf8_fit(const char *text, size_t size, size_t limit)
{
    if (size <= limit) return size;
    size_t end = limit;
    while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80)
        end--;
    return end;
}
