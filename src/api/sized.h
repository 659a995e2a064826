// Structs of loam.h that begin with their size, so that a program and a library of different versions agree
// on the fields that both know.
#ifndef LOAM_API_SIZED_H
#define LOAM_API_SIZED_H

#include <stddef.h>

#include "base/status.h"

// Copies the caller's struct over `*target` [target_size]; fields that it does not have yet become 0. A field
// that this library does not know must be 0. `name` is the struct's, for messages. A size below that of `size`
// itself, or above LOAM_SIZED_LIMIT, is LOAM_ERROR_ARGUMENT: it was never set.
enum { LOAM_SIZED_LIMIT = 4096 };
enum loam_status loam_sized_read(void *target, size_t target_size, const void *source, const char *name,
                                 struct loam_error *error);
// Copies `*source` [source_size], which begins with a size too, to the fields that the caller's struct has.
enum loam_status loam_sized_write(void *target, const void *source, size_t source_size, const char *name,
                                  struct loam_error *error);
#define LOAM_SIZED_READ(target, source, name, error)                                                         \
    loam_sized_read((target), sizeof *(target), (source), (name), (error))
#define LOAM_SIZED_WRITE(target, source, name, error)                                                        \
    loam_sized_write((target), (source), sizeof *(source), (name), (error))

// As loam_require, and LOAM_ERROR_ARGUMENT for an empty path, which would mean the working directory to some
// functions and nothing to others.
enum loam_status loam_require_path(const char *path, const char *what, struct loam_error *error);

#endif
