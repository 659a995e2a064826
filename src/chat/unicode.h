// Characters as Python's str methods see them.
#ifndef LOAM_CHAT_UNICODE_H
#define LOAM_CHAT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool chat_is_space(uint32_t code);      // str.isspace
bool chat_is_line_break(uint32_t code); // where str.splitlines splits
bool chat_is_alpha(uint32_t code);
bool chat_is_decimal(uint32_t code);
bool chat_is_digit(uint32_t code);
bool chat_is_numeric(uint32_t code);
bool chat_is_printable(uint32_t code);
bool chat_is_upper(uint32_t code);
bool chat_is_lower(uint32_t code);
bool chat_is_title(uint32_t code);
bool chat_is_word(uint32_t code); // \w of regular expressions
// The value of a decimal digit of any script; -1 for other characters.
int chat_decimal_value(uint32_t code);

// Bytes of white space at the start of valid UTF-8, and the size without the white space at the end.
size_t chat_space_prefix(const char *text, size_t size);
size_t chat_space_trim_end(const char *text, size_t size);
// Bytes of the identifier at the start, 0 if there is none.
size_t chat_identifier_size(const char *text, size_t size);

// Case mappings; up to three characters. Return their number.
enum { CHAT_CASE_MAX = 3 };
size_t chat_to_upper(uint32_t code, uint32_t out[CHAT_CASE_MAX]);
size_t chat_to_lower(uint32_t code, uint32_t out[CHAT_CASE_MAX]); // without the rule for a final sigma
size_t chat_to_title(uint32_t code, uint32_t out[CHAT_CASE_MAX]);
size_t chat_fold_case(uint32_t code, uint32_t out[CHAT_CASE_MAX]);
bool chat_is_cased(uint32_t code);
bool chat_is_case_ignorable(uint32_t code);

#endif
