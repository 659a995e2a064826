// Text from outside, and what a terminal would do with it.
#ifndef LOAM_BASE_PRINTABLE_H
#define LOAM_BASE_PRINTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A character of UTF-8; a byte that begins none is one by itself.
struct loam_character {
    uint32_t code;
    size_t size;    // bytes
    bool printable; // false: a control character, one that changes the direction of text or breaks lines, or
                    // a byte that is not UTF-8
};

// The character at the start of `text`, `size` > 0.
struct loam_character loam_character_at(const char *text, size_t size);

#endif
