// Reading files: whole, or mapped read-only.
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

// Maps `path` read-only (PROT_READ, so that a frozen base cannot be written). `populate` faults it in at
// once.
enum loam_status loam_map_open(struct loam_map *map, const char *path, bool populate,
                               struct loam_error *error);
void loam_map_close(struct loam_map *map);

// Advice on a part of a map: fault it in in bulk; or let its pages go (they are read again when touched), so
// that what has been converted does not stay in memory beside the copy.
void loam_map_populate(const void *data, size_t size);
void loam_map_release(const void *data, size_t size);

// Reads a map once, from its start. Pages that lie far enough behind are released, so that a big file is
// never in memory as a whole. A zeroed reader releases nothing.
struct loam_map_reader {
    const uint8_t *data;
    size_t released; // bytes from the start
};
void loam_map_reader_advance(struct loam_map_reader *reader, size_t at);

// Appends the whole file to `bytes`; files above `limit` bytes are refused.
enum loam_status loam_file_read(const char *path, size_t limit, struct loam_bytes *bytes,
                                struct loam_error *error);

bool loam_file_exists(const char *path);      // a regular file
bool loam_directory_exists(const char *path); // a directory
bool loam_path_is_link(const char *path);
bool loam_directory_same(const char *a, const char *b); // both are there, and are one

// Refuses DIRECTORY/NAME where a link in it leads outside of the directory. In a snapshot of the hub's cache,
// links to the cache's blobs are allowed. A file that does not exist passes.
enum loam_status loam_file_check_inside(const char *directory, const char *name, struct loam_error *error);

// "directory/name"; NULL and a filled error on failure. Released with free().
char *loam_path_join(const char *directory, const char *name, struct loam_error *error);

#endif
