// Growing an array of any type.
#ifndef LOAM_BASE_GROW_H
#define LOAM_BASE_GROW_H

#include "base/status.h"

// Makes room for at least `needed` elements of `size` bytes and returns the array's new address. The capacity
// doubles, or grows by an eighth for a large array, so that appending takes constant time on average. On
// failure it returns NULL with a filled error and keeps the array.
void *loam_grow(void *items, size_t *capacity, size_t needed, size_t size, struct loam_error *error);

#endif
