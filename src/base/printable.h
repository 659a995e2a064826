// The characters of text from outside, and which of them act on a terminal.
#ifndef LOAM_BASE_PRINTABLE_H
#define LOAM_BASE_PRINTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A character of UTF-8. A byte that begins no well-formed sequence counts as one character.
struct loam_character {
    uint32_t code;
    size_t size;    // bytes
    bool printable; // false: a control character, one that changes the direction of text or breaks lines, or
                    // a byte that is not UTF-8
};

// The character at the start of `text`, `size` > 0.
struct loam_character loam_character_at(const char *text, size_t size);

#endif
