#include "base/printable.h"

#include <loam.h>

// C0 and C1 controls and DEL; line and paragraph separators; marks that reorder what stands around them.
static bool acts(uint32_t code)
{
    static const uint32_t ranges[][2] = {
        {0x0, 0x1F}, {0x7F, 0x9F}, {0x2028, 0x2029}, {0x202A, 0x202E}, {0x2066, 0x2069},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (code >= ranges[i][0] && code <= ranges[i][1]) return true;
    return false;
}

// Bytes of the sequence that a first byte begins; 0: none.
static size_t sequence_size(unsigned char first)
{
    if (first < 0x80) return 1;
    if (first >= 0xC2 && first < 0xE0) return 2;
    if (first >= 0xE0 && first < 0xF0) return 3;
    return first >= 0xF0 && first < 0xF5 ? 4 : 0;
}

struct loam_character loam_character_at(const char *text, size_t size)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000}; // by the size of a sequence
    unsigned char first = (unsigned char)text[0];
    const struct loam_character stray = {first, 1, false};
    size_t length = sequence_size(first);
    if (length == 0 || length > size) return stray;
    uint32_t code = length == 1 ? first : first & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if (((unsigned char)text[i] & 0xC0) != 0x80) return stray;
        code = code << 6 | ((unsigned char)text[i] & 0x3F);
    }
    if (code < least[length] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return stray;
    return (struct loam_character){code, length, !acts(code)};
}

size_t loam_make_printable(char *text, size_t size)
{
    size_t kept = 0;
    for (size_t at = 0; at < size;) {
        struct loam_character character = loam_character_at(text + at, size - at);
        if (!character.printable && character.code != '\n' && character.code != '\t') {
            text[kept++] = '?';
            at += character.size;
            continue;
        }
        for (size_t i = 0; i < character.size; i++)
            text[kept++] = text[at++];
    }
    return kept;
}
