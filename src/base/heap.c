#include "base/heap.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *loam_calloc(size_t count, size_t size, struct loam_error *error)
{
    // The product is checked here because some allocators abort on overflow. A request for 0 bytes may return
    // NULL, which would look like a failure.
    size_t bytes;
    void *memory = NULL;
    if (loam_mul_size(count, size, &bytes)) memory = calloc(bytes == 0 ? 1 : bytes, 1);
    if (memory == NULL) loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: %zu x %zu bytes", count, size);
    return memory;
}

char *loam_strndup(const char *text, size_t size, struct loam_error *error)
{
    size_t bytes;
    if (!loam_add_size(size, 1, &bytes)) {
        loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: a string of %zu bytes", size);
        return NULL;
    }
    char *copy = loam_calloc(bytes, 1, error);
    if (copy != NULL && size > 0) memcpy(copy, text, size);
    return copy;
}

char *loam_strdup(const char *text, struct loam_error *error)
{
    return loam_strndup(text, strlen(text), error);
}

char *loam_format(struct loam_error *error, const char *format, ...)
{
    va_list arguments;
    va_list again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = NULL;
    if (length < 0)
        loam_fail(error, LOAM_ERROR_INTERNAL, "cannot format \"%s\"", format);
    else
        text = loam_calloc((size_t)length + 1, 1, error);
    if (text != NULL) vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

bool loam_mul_size(size_t a, size_t b, size_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}

bool loam_add_size(size_t a, size_t b, size_t *sum)
{
    return !__builtin_add_overflow(a, b, sum);
}

int64_t loam_add_bytes(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}
