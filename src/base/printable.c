#include "base/printable.h"

#include <loam.h>

#include "base/utf8.h"

// Whether a terminal acts on the character: C0 and C1 controls, DEL, line and paragraph separators, and marks
// that reorder the text around them.
static bool is_active(uint32_t code)
{
    static const uint32_t ranges[][2] = {
        {0x0, 0x1F}, {0x7F, 0x9F}, {0x2028, 0x2029}, {0x202A, 0x202E}, {0x2066, 0x2069},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (code >= ranges[i][0] && code <= ranges[i][1]) return true;
    return false;
}

struct loam_character loam_character_read(const char *text, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)text;
    const size_t length = loam_utf8_sequence(text, size);
    if (length == 0) return (struct loam_character){bytes[0], 1, false};
    uint32_t code = length == 1 ? bytes[0] : bytes[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++)
        code = code << 6 | (bytes[i] & 0x3F);
    return (struct loam_character){code, length, !is_active(code)};
}

size_t loam_make_printable(char *text, size_t size)
{
    size_t kept = 0;
    for (size_t at = 0; at < size;) {
        struct loam_character character = loam_character_read(text + at, size - at);
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
