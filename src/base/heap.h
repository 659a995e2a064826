// Heap memory with overflow-safe sizes and reported failures. Callers release it with free().
#ifndef LOAM_BASE_HEAP_H
#define LOAM_BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// Zeroed memory for `count` elements of `size` bytes. NULL and a filled error on failure. A count of zero
// gives a valid pointer.
void *loam_calloc(size_t count, size_t size, struct loam_error *error);

// A NUL-terminated copy of `size` bytes of `text`; NULL and a filled error on failure.
char *loam_strndup(const char *text, size_t size, struct loam_error *error);
char *loam_strdup(const char *text, struct loam_error *error);

// Formats into a new string; NULL and a filled error on failure.
char *loam_format(struct loam_error *error, const char *format, ...) LOAM_PRINTF(2, 3);

// Overflow-safe products and sums for sizes from outside. False if the result does not fit.
bool loam_mul_size(size_t a, size_t b, size_t *product);
bool loam_add_size(size_t a, size_t b, size_t *sum);

// The sum of two byte counts that are not negative, at most INT64_MAX.
int64_t loam_add_bytes(int64_t a, int64_t b);

#endif
