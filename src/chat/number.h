// Numbers from text.
#ifndef LOAM_CHAT_NUMBER_H
#define LOAM_CHAT_NUMBER_H

#include <string.h>

#include "chat/text.h"

// strtod with a point in every locale. `digits` has at most 511 bytes.
double chat_read_float(const char *digits);

// Python's int(string, base) and float(string). False: not a number, or beyond 64 bits.
bool chat_parse_integer(const struct chat_string *string, int base, int64_t *value);
bool chat_parse_float(const struct chat_string *string, double *value);

#endif
