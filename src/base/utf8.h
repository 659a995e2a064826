// The well-formed sequences of UTF-8.
#ifndef LOAM_BASE_UTF8_H
#define LOAM_BASE_UTF8_H

#include <stddef.h>

// The size in bytes of the well-formed sequence at the start of `text`, `size` > 0. 0: there is none.
// Overlong forms, surrogates and code points above U+10FFFF are not well-formed.
size_t loam_utf8_sequence(const char *text, size_t size);

#endif
