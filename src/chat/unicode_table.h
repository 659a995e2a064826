// Tables that scripts/chat_unicode.py makes from Python's str methods.
#ifndef LOAM_CHAT_UNICODE_TABLE_H
#define LOAM_CHAT_UNICODE_TABLE_H

#include "text/unicode_data.h"

extern const struct loam_runs chat_unicode_bits; // of each code point, enum in chat/unicode.c

// Case mappings. A value from LOAM_CODE_POINTS on is a sequence: its index in chat_case_sequences is the rest.
struct chat_case_row {
    uint32_t code, upper, lower, title, fold;
};
extern const struct chat_case_row chat_case_rows[]; // [count], ascending by code
extern const size_t chat_case_row_count;
extern const uint32_t chat_case_sequences[][3]; // zeros fill shorter ones

extern const uint32_t chat_zeros[]; // [count] the digit zero of each script, ascending; nine more follow each
extern const size_t chat_zero_count;

#endif
