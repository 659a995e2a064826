// A growable byte string. `data` is NUL-terminated whenever it is not NULL, so text can be printed as it is.
#ifndef LOAM_BASE_BYTES_H
#define LOAM_BASE_BYTES_H

#include <stddef.h>

#include "base/status.h"

struct loam_bytes {
    char *data;
    size_t size;     // bytes in use, the terminating NUL not counted
    size_t capacity; // bytes allocated
};

// A zeroed struct is a valid empty string.
void loam_bytes_deinit(struct loam_bytes *bytes);
void loam_bytes_clear(struct loam_bytes *bytes); // keeps the memory
enum loam_status loam_bytes_reserve(struct loam_bytes *bytes, size_t capacity, struct loam_error *error);
enum loam_status loam_bytes_append(struct loam_bytes *bytes, const void *data, size_t size,
                                   struct loam_error *error);
enum loam_status loam_bytes_append_text(struct loam_bytes *bytes, const char *text, struct loam_error *error);
enum loam_status loam_bytes_format(struct loam_bytes *bytes, struct loam_error *error, const char *format,
                                   ...) LOAM_PRINTF(3, 4);
// Appends a word as a shell reads it back. A word with control characters is quoted as $'...', which bash,
// zsh and ksh read.
enum loam_status loam_bytes_append_word(struct loam_bytes *bytes, const char *word, struct loam_error *error);
// Appends one line for a person and its line break. Control characters in names are flattened (loam_flatten),
// so that they do not break the line.
enum loam_status loam_bytes_line(struct loam_bytes *bytes, struct loam_error *error, const char *format, ...)
    LOAM_PRINTF(3, 4);

// The bytes of a UTF-8 byte order mark, which some editors put at the start of a file: 3, or 0 where there is
// none. Every text that is read goes on after it.
size_t loam_byte_order_mark(const char *text, size_t size);

#endif
