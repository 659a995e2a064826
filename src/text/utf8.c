#include "text/utf8.h"

#include <stdint.h>
#include <string.h>

enum { WORD = sizeof(uint64_t) };

// Bytes at the start of `text` that are ASCII, eight at a time: most data is.
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

size_t loam_utf8_fit(const char *text, size_t size, size_t limit)
{
    if (size <= limit) return size;
    size_t end = limit;
    while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80)
        end--;
    return end;
}
