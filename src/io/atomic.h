// Output that appears whole or not at all: write a temporary file in the target's directory, fsync, rename,
// fsync the directory.
#ifndef LOAM_IO_ATOMIC_H
#define LOAM_IO_ATOMIC_H

#include <stdio.h>

#include "base/bytes.h"

struct loam_atomic_file {
    FILE *stream;
    char *path;      // the target
    char *temporary; // in the same directory
};
enum loam_status loam_atomic_open(struct loam_atomic_file *file, const char *path, struct loam_error *error);
enum loam_status loam_atomic_write(struct loam_atomic_file *file, const void *data, size_t size,
                                   struct loam_error *error);
enum loam_status loam_atomic_commit(struct loam_atomic_file *file, struct loam_error *error);
void loam_atomic_abort(struct loam_atomic_file *file); // removes the temporary; harmless after a commit

// Removes the temporary files of `path` that killed commands left.
void loam_atomic_clear(const char *path);

// Writes a small file in one call.
enum loam_status loam_atomic_write_file(const char *path, const void *data, size_t size,
                                        struct loam_error *error);
// Checks before any work is done that a file may be written: `path` is no directory, and not there unless
// `overwrite`. LOAM_ERROR_EXISTS names --overwrite.
enum loam_status loam_output_file_check(const char *path, bool overwrite, struct loam_error *error);
// Copies a file; `to` appears whole or not at all.
enum loam_status loam_atomic_copy_file(const char *from, const char *to, struct loam_error *error);

// Makes a directory and its parents, as mkdir -p does. `*kept` (`kept` may be NULL) is the length of the
// part of `path` that existed before, also after a failure.
enum loam_status loam_directory_make(const char *path, size_t *kept, struct loam_error *error);

// Makes an output directory before any work is done, or checks that `path` is an empty (with `overwrite`:
// any) writable directory. LOAM_ERROR_EXISTS names --overwrite. `kept` is that of loam_directory_make.
enum loam_status loam_output_directory_prepare(const char *path, bool overwrite, size_t *kept,
                                               struct loam_error *error);
enum loam_status loam_output_directory_require_empty(const char *path, struct loam_error *error);

#endif
