#include "commands/input.h"

#include <string.h>

#include "base/file.h"

enum { BLOCK = 1 << 16, LIMIT = 1 << 30 }; // bytes; the limit stops an endless input

enum loam_status loam_input_read(const struct loam_callbacks *callbacks, const char *command,
                                 const char *path, struct loam_bytes *text, struct loam_error *error)
{
    LOAM_TRY(loam_bytes_reserve(text, 1, error));
    if (strcmp(path, "-") != 0) return loam_file_read(path, LIMIT, text, error);
    if (callbacks->input == NULL) return loam_fail(error, LOAM_ERROR_ARGUMENT, "%s has no input", command);
    for (;;) {
        LOAM_TRY(loam_bytes_reserve(text, text->size + BLOCK + 1, error));
        ptrdiff_t size = callbacks->input(callbacks->user, text->data + text->size, BLOCK);
        if (size < 0) return loam_fail(error, LOAM_ERROR_IO, "the input could not be read");
        if (size == 0) break;
        text->size += (size_t)size;
        if (text->size > LIMIT)
            return loam_fail(error, LOAM_ERROR_FORMAT, "the input has more than %d bytes: split it", LIMIT);
    }
    text->data[text->size] = '\0';
    return LOAM_OK;
}
