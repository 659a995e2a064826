#include "text/byte_level.h"

#include <stdbool.h>

// Bytes that are not printable: [0x00, 0x20], [0x7F, 0xA0] and 0xAD. Their characters are U+0100 and
// following.
enum {
    CONTROL_END = 0x21,
    UPPER_START = 0x7F,
    UPPER_END = 0xA1,
    SOFT_HYPHEN = 0xAD,
    SHIFT = 0x100,
    UPPER_SHIFT = SHIFT + CONTROL_END - UPPER_START,
    SOFT_HYPHEN_CHARACTER = SHIFT + CONTROL_END + UPPER_END - UPPER_START,
};

int32_t loam_byte_level_character(unsigned char byte)
{
    if (byte < CONTROL_END) return byte + SHIFT;
    if (byte >= UPPER_START && byte < UPPER_END) return byte + UPPER_SHIFT;
    return byte == SOFT_HYPHEN ? SOFT_HYPHEN_CHARACTER : byte;
}

int loam_byte_level_byte(int32_t code_point)
{
    if (code_point < SHIFT) {
        bool prints = code_point >= CONTROL_END && code_point != SOFT_HYPHEN &&
                      (code_point < UPPER_START || code_point >= UPPER_END);
        return prints ? code_point : -1;
    }
    if (code_point < SHIFT + CONTROL_END) return code_point - SHIFT;
    if (code_point < SOFT_HYPHEN_CHARACTER) return code_point - UPPER_SHIFT;
    return code_point == SOFT_HYPHEN_CHARACTER ? SOFT_HYPHEN : -1;
}
