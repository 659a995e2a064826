// Growing an array of any type.
#ifndef LOAM_BASE_GROW_H
#define LOAM_BASE_GROW_H

#include "base/status.h"

// Room for at least `needed` elements of `size` bytes. The capacity doubles, and that of a large array grows
// by an eighth, so that appending costs constant time on average. Gives the array's new place, or NULL with a
// filled error and the old array untouched.
void *loam_grow(void *items, size_t *capacity, size_t needed, size_t size, struct loam_error *error);

#endif
