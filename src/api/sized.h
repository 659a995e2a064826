// Structs of loam.h that begin with their size, so that a program and a library of different versions agree
// on the fields that both know.
#ifndef LOAM_API_SIZED_H
#define LOAM_API_SIZED_H

#include <stddef.h>

#include "base/status.h"

// Copies the caller's struct over `*target` [target_size]; fields that it does not have yet become 0. A field
// that this library does not know must be 0. `name` is the struct's, for messages.
enum loam_status loam_sized_read(void *target, size_t target_size, const void *source, const char *name,
                                 struct loam_error *error);
// Copies `*source` [source_size], which begins with a size too, to the fields that the caller's struct has.
enum loam_status loam_sized_write(void *target, const void *source, size_t source_size, const char *name,
                                  struct loam_error *error);
#define LOAM_SIZED_READ(target, source, name, error)                                                         \
    loam_sized_read((target), sizeof *(target), (source), (name), (error))
#define LOAM_SIZED_WRITE(target, source, name, error)                                                        \
    loam_sized_write((target), (source), sizeof *(source), (name), (error))

// LOAM_ERROR_ARGUMENT where the pointer is NULL. `what` names it for the message.
enum loam_status loam_require(const void *pointer, const char *what, struct loam_error *error);

#endif
