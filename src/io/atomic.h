// Output that appears whole or not at all: write to a temporary beside the target, fsync, rename, fsync the
// directory.
#ifndef LOAM_IO_ATOMIC_H
#define LOAM_IO_ATOMIC_H

#include <stdio.h>

#include "base/bytes.h"

struct loam_atomic_file {
    FILE *stream;
    char *path;      // the target
    char *temporary; // beside it
};
enum loam_status loam_atomic_open(struct loam_atomic_file *file, const char *path, struct loam_error *error);
enum loam_status loam_atomic_write(struct loam_atomic_file *file, const void *data, size_t size,
                                   struct loam_error *error);
enum loam_status loam_atomic_commit(struct loam_atomic_file *file, struct loam_error *error);
void loam_atomic_abort(struct loam_atomic_file *file); // removes the temporary; harmless after a commit

// Removes the temporaries of `path` that killed commands have left.
void loam_atomic_clear(const char *path);

// One call for a small file.
enum loam_status loam_atomic_write_file(const char *path, const void *data, size_t size,
                                        struct loam_error *error);
// Copies a file, atomically, into another place.
enum loam_status loam_atomic_copy_file(const char *from, const char *to, struct loam_error *error);

// Makes a directory and those above it, as mkdir -p does. `*kept` (`kept` may be NULL) is how many bytes of
// `path` name what was there before, also after a failure.
enum loam_status loam_directory_make(const char *path, size_t *kept, struct loam_error *error);

// An output directory. Prepare checks, before any work is done, that `path` can be made or is an empty (or,
// with `overwrite`, any) writable directory, and makes it. LOAM_ERROR_EXISTS names --overwrite. `kept` as
// above.
enum loam_status loam_output_directory_prepare(const char *path, bool overwrite, size_t *kept,
                                               struct loam_error *error);
enum loam_status loam_output_directory_require_empty(const char *path, struct loam_error *error);

#endif
