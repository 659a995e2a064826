// Reading files, as a whole or mapped read-only.
#ifndef LOAM_BASE_FILE_H
#define LOAM_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct loam_map {
    const uint8_t *data; // NULL for an empty file
    size_t size;
};

// Maps `path` read-only. `populate` reads all pages at once.
enum loam_status loam_map_open(struct loam_map *map, const char *path, bool populate,
                               struct loam_error *error);
void loam_map_close(struct loam_map *map);
// Opens a regular file for reading. A pipe, a directory and a pointer of Git LFS are refused.
enum loam_status loam_file_open(const char *path, int *descriptor, size_t *size, struct loam_error *error);
// Maps an open file of `size` bytes read-only; it may be closed afterwards. `path` is for messages.
enum loam_status loam_map_descriptor(struct loam_map *map, int descriptor, size_t size, const char *path,
                                     bool populate, struct loam_error *error);

// Reads the pages of a part of a map in bulk.
void loam_map_populate(const void *data, size_t size);
// Removes the pages of a part of a map from memory. A later access reads them again.
void loam_map_release(const void *data, size_t size);

// Releases the pages of a map behind a reader that goes through it once, so that a large file is never in
// memory as a whole. A zeroed reader releases nothing.
struct loam_map_reader {
    const uint8_t *data;
    size_t released; // bytes from the start
};
void loam_map_reader_advance(struct loam_map_reader *reader, size_t at);

// Appends the whole file to `bytes`. A file of more than `limit` bytes is refused.
enum loam_status loam_file_read(const char *path, size_t limit, struct loam_bytes *bytes,
                                struct loam_error *error);

bool loam_file_exists(const char *path);      // a regular file
bool loam_directory_exists(const char *path); // a directory
bool loam_path_is_link(const char *path);
bool loam_directory_same(const char *a, const char *b); // both exist and are the same directory

// Refuses DIRECTORY/NAME if a link in it leads out of the directory. A snapshot of the hub's cache may
// link to the cache's blobs. A file that does not exist is accepted.
enum loam_status loam_file_check_inside(const char *directory, const char *name, struct loam_error *error);

// "DIRECTORY/NAME". The caller frees it. NULL and a filled error on failure.
char *loam_path_join(const char *directory, const char *name, struct loam_error *error);

#endif
