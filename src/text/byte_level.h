// The byte alphabet of GPT-2: a printable character for each of the 256 bytes, so that byte-level
// vocabularies are text. Printable bytes stand for themselves; the others get the characters from U+0100 on,
// in order.
#ifndef LOAM_TEXT_BYTE_LEVEL_H
#define LOAM_TEXT_BYTE_LEVEL_H

#include <stddef.h>
#include <stdint.h>

enum { LOAM_BYTE_LEVEL_SPACE = 0x120 }; // the character of the space

int32_t loam_byte_level_character(unsigned char byte);
int loam_byte_level_byte(int32_t code_point); // -1: not in the alphabet

#endif
