#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"

void loam_bytes_deinit(struct loam_bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct loam_bytes){0};
}

void loam_bytes_clear(struct loam_bytes *bytes)
{
    bytes->size = 0;
    if (bytes->data != NULL) bytes->data[0] = '\0';
}

enum loam_status loam_bytes_reserve(struct loam_bytes *bytes, size_t capacity, struct loam_error *error)
{
    if (bytes->data != NULL && capacity < bytes->capacity) return LOAM_OK;
    size_t wanted; // one more byte for the NUL
    if (!loam_add_size(capacity, 1, &wanted))
        return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: a buffer of %zu bytes", capacity);
    size_t grown = bytes->capacity < 64 ? 64 : bytes->capacity;
    while (grown < wanted) {
        if (!loam_mul_size(grown, 2, &grown)) grown = wanted;
    }
    char *data = realloc(bytes->data, grown);
    if (data == NULL)
        return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: a buffer of %zu bytes", grown);
    data[bytes->size] = '\0';
    bytes->data = data;
    bytes->capacity = grown;
    return LOAM_OK;
}

// Room for `extra` more bytes.
static enum loam_status grow(struct loam_bytes *bytes, size_t extra, struct loam_error *error)
{
    size_t capacity;
    if (!loam_add_size(bytes->size, extra, &capacity))
        return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: a buffer of %zu more bytes", extra);
    return loam_bytes_reserve(bytes, capacity, error);
}

enum loam_status loam_bytes_append(struct loam_bytes *bytes, const void *data, size_t size,
                                   struct loam_error *error)
{
    LOAM_TRY(grow(bytes, size, error));
    if (size > 0) memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
    bytes->data[bytes->size] = '\0';
    return LOAM_OK;
}

enum loam_status loam_bytes_append_text(struct loam_bytes *bytes, const char *text, struct loam_error *error)
{
    return loam_bytes_append(bytes, text, strlen(text), error);
}

static enum loam_status append_formatted(struct loam_bytes *bytes, struct loam_error *error,
                                         const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    enum loam_status status = length < 0
                                  ? loam_fail(error, LOAM_ERROR_INTERNAL, "cannot format \"%s\"", format)
                                  : grow(bytes, (size_t)length, error);
    if (status == LOAM_OK) {
        vsnprintf(bytes->data + bytes->size, (size_t)length + 1, format, again);
        bytes->size += (size_t)length;
    }
    va_end(again);
    return status;
}

enum loam_status loam_bytes_format(struct loam_bytes *bytes, struct loam_error *error, const char *format,
                                   ...)
{
    va_list arguments;
    va_start(arguments, format);
    enum loam_status status = append_formatted(bytes, error, format, arguments);
    va_end(arguments);
    return status;
}

enum loam_status loam_bytes_append_line(struct loam_bytes *bytes, struct loam_error *error,
                                        const char *format, ...)
{
    size_t before = bytes->size;
    va_list arguments;
    va_start(arguments, format);
    enum loam_status status = append_formatted(bytes, error, format, arguments);
    va_end(arguments);
    if (status != LOAM_OK) return status;
    loam_flatten(bytes->data + before);
    bytes->size = before + strlen(bytes->data + before);
    return loam_bytes_append_text(bytes, "\n", error);
}

static bool is_control(char character)
{
    return (unsigned char)character < ' ' || character == 0x7f;
}

// $'...', with octal numbers.
static enum loam_status append_ansi_word(struct loam_bytes *bytes, const char *word, struct loam_error *error)
{
    LOAM_TRY(loam_bytes_append_text(bytes, "$'", error));
    for (; *word != '\0'; word++) {
        if (is_control(*word))
            LOAM_TRY(loam_bytes_format(bytes, error, "\\%03o", (unsigned)(unsigned char)*word));
        else
            LOAM_TRY(
                loam_bytes_format(bytes, error, "%s%c", *word == '\'' || *word == '\\' ? "\\" : "", *word));
    }
    return loam_bytes_append_text(bytes, "'", error);
}

enum loam_status loam_bytes_append_word(struct loam_bytes *bytes, const char *word, struct loam_error *error)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+,:@%=";
    if (word[0] != '\0' && word[strspn(word, plain)] == '\0')
        return loam_bytes_append_text(bytes, word, error);
    for (const char *at = word; *at != '\0'; at++)
        if (is_control(*at)) return append_ansi_word(bytes, word, error);
    LOAM_TRY(loam_bytes_append_text(bytes, "'", error));
    for (const char *quote; (quote = strchr(word, '\'')) != NULL; word = quote + 1) {
        LOAM_TRY(loam_bytes_append(bytes, word, (size_t)(quote - word), error));
        LOAM_TRY(loam_bytes_append_text(bytes, "'\\''", error));
    }
    LOAM_TRY(loam_bytes_append_text(bytes, word, error));
    return loam_bytes_append_text(bytes, "'", error);
}

size_t loam_byte_order_mark(const char *text, size_t size)
{
    return size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}
