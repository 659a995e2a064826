// The characters of text from outside, and whether they are safe on a terminal.
#ifndef LOAM_BASE_PRINTABLE_H
#define LOAM_BASE_PRINTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A UTF-8 character. A byte that does not begin a well-formed sequence counts as one character.
struct loam_character {
    uint32_t code;
    size_t size;    // bytes
    bool printable; // false for controls, line separators, marks that reorder text, and invalid UTF-8
};

// Reads the character at the start of `text`, `size` > 0.
struct loam_character loam_character_read(const char *text, size_t size);

#endif
