#include "base/grow.h"

#include <stdlib.h>

#include "base/heap.h"

enum {
    FIRST_CAPACITY = 16,
    LARGE = 1 << 20, // bytes; a larger array grows by an eighth, so that little of it stays unused
};

void *loam_grow(void *items, size_t *capacity, size_t needed, size_t size, struct loam_error *error)
{
    if (needed <= *capacity && items != NULL) return items;
    size_t wanted = *capacity < FIRST_CAPACITY ? FIRST_CAPACITY : *capacity;
    size_t bytes;
    size_t more = loam_mul_size(wanted, size, &bytes) && bytes < LARGE ? wanted : wanted / 8;
    if (!loam_add_size(wanted, more, &wanted) || wanted < needed) wanted = needed;
    void *grown = loam_mul_size(wanted, size, &bytes) ? realloc(items, bytes) : NULL;
    if (grown == NULL) {
        loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: %zu x %zu bytes", wanted, size);
        return NULL;
    }
    *capacity = wanted;
    return grown;
}
