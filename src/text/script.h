// Scripts of characters: Latin, Cyrillic, Han. The table is that of \p{NAME} in pre-tokenizers.
#ifndef LOAM_TEXT_SCRIPT_H
#define LOAM_TEXT_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOAM_SCRIPTS = 256 }; // more than Unicode has

// The script of a character, below LOAM_SCRIPTS.
uint32_t loam_char_script(int32_t code_point);

// The name in lower case without blanks, as in \p{NAME}: "latin". NULL: there is no such script.
const char *loam_script_name(uint32_t script);

// Whether the script stands for no writing of its own: common (digits, punctuation, white space), inherited
// (accents), unknown.
bool loam_script_is_shared(uint32_t script);

#endif
