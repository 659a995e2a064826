// A growable byte string. `data` is NULL or NUL-terminated, so text can be printed directly.
#ifndef LOAM_BASE_BYTES_H
#define LOAM_BASE_BYTES_H

#include <stddef.h>

#include "base/status.h"

struct loam_bytes {
    char *data;
    size_t size;     // bytes in use, without the terminating NUL
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
// Appends a word, quoted where a shell requires it. A word with control characters is quoted as $'...', which
// bash, zsh and ksh read.
enum loam_status loam_bytes_append_word(struct loam_bytes *bytes, const char *word, struct loam_error *error);
// Appends a formatted line and a line break. Control characters in the line are replaced (loam_flatten), so
// that a name cannot break it.
enum loam_status loam_bytes_append_line(struct loam_bytes *bytes, struct loam_error *error,
                                        const char *format, ...) LOAM_PRINTF(3, 4);

// The size of the UTF-8 byte order mark at the start of `text`: 3 bytes, or 0 if there is none. Some editors
// write one; every reader of text skips it.
size_t loam_byte_order_mark(const char *text, size_t size);

#endif
