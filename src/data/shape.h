// The field names of well-known data sets, and advice on how to read them with loam.
#ifndef LOAM_DATA_SHAPE_H
#define LOAM_DATA_SHAPE_H

#include <stddef.h>

// The bit of a known field name; 0: the name is not known.
unsigned loam_shape_bit(const char *name, size_t size);
// Advice for records that have the fields of `bits`, and maybe others, but no field "text".
const char *loam_shape_advice(unsigned bits);

#endif
