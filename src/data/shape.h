// The field names of well-known data sets, and how loam reads their records.
#ifndef LOAM_DATA_SHAPE_H
#define LOAM_DATA_SHAPE_H

#include <stddef.h>

// The bit of a field's name among those that are known; 0: it is none of them.
unsigned loam_shape_bit(const char *name, size_t size);
// What to do with records that have the fields of `bits`, and maybe others, and no "text".
const char *loam_shape_advice(unsigned bits);

#endif
