// GPT-2's alphabet: each of the 256 bytes as a printable character, so that a byte-level vocabulary is text.
#ifndef LOAM_TEXT_BYTE_LEVEL_H
#define LOAM_TEXT_BYTE_LEVEL_H

#include <stddef.h>
#include <stdint.h>

// Bytes that print stand for themselves, the others for U+0100 and on in order: the space is U+0120.
enum { LOAM_BYTE_LEVEL_SPACE = 0x120 };

int32_t loam_byte_level_character(unsigned char byte);
int loam_byte_level_byte(int32_t code_point); // -1: not of the alphabet

#endif
