// Validation of UTF-8 text from outside.
#ifndef LOAM_BASE_UTF8_H
#define LOAM_BASE_UTF8_H

#include <stddef.h>

// The size in bytes of the well-formed sequence at the start of `text`, `size` > 0; 0 if there is none.
// Overlong forms, surrogates and code points above U+10FFFF are not well-formed.
size_t loam_utf8_sequence(const char *text, size_t size);

// The remedy in the message about a text that is not UTF-8.
#define LOAM_ENCODING_REMEDY                                                                                 \
    "loam reads UTF-8: text in another encoding, such as Latin-1, becomes it by iconv -f LATIN1 -t UTF-8 "   \
    "FILE >NEW"

// The offset of the first byte that does not belong to a well-formed sequence; `size` if the text is valid.
size_t loam_utf8_check(const char *text, size_t size);

// The number of characters of valid `text`.
size_t loam_utf8_count(const char *text, size_t size);

// The size of the longest run of whole characters at the start of valid `text` that fits into `limit` bytes.
size_t loam_utf8_fit(const char *text, size_t size, size_t limit);

#endif
