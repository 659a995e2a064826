#include "text/grow.h"

#include <stdlib.h>

#include "base/heap.h"

enum { FIRST_CAPACITY = 16 };

void *loam_grow(void *items, size_t *capacity, size_t needed, size_t size, struct loam_error *error)
{
    if (needed <= *capacity && items != NULL) return items;
    size_t wanted = *capacity < FIRST_CAPACITY ? FIRST_CAPACITY : *capacity;
    size_t bytes;
    if (!loam_mul_size(wanted, 2, &wanted) || wanted < needed) wanted = needed;
    void *grown = loam_mul_size(wanted, size, &bytes) ? realloc(items, bytes) : NULL;
    if (grown == NULL) {
        loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: %zu x %zu bytes", wanted, size);
        return NULL;
    }
    *capacity = wanted;
    return grown;
}
