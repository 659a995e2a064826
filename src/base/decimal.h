// Numbers as text for JSON and reports.
#ifndef LOAM_BASE_DECIMAL_H
#define LOAM_BASE_DECIMAL_H

#include <stddef.h>

enum { LOAM_DECIMAL_SIZE = 32, LOAM_MEMORY_SIZE = 32 };

// Writes the shortest decimal that reads back as `value`, with a point in every locale: "0.05", "1e-05".
// Whole numbers below 1e15 have all their digits: "1690". A value that is not finite becomes "null", as
// JSON requires.
void loam_decimal_format(double value, char text[LOAM_DECIMAL_SIZE]);
// Writes an amount of memory in the unit that suits it, a power of 1024, and returns `text`: "1.50 GiB", "200.0 KiB".
const char *loam_memory_format(size_t bytes, char text[LOAM_MEMORY_SIZE]);
// Writes two amounts that a message compares. Different amounts have different texts: in bytes, where their units hide
// the difference.
void loam_memory_format_both(size_t a, size_t b, char a_text[LOAM_MEMORY_SIZE],
                             char b_text[LOAM_MEMORY_SIZE]);

#endif
