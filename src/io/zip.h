// Reading zip archives whose entries are stored without compression, as torch.save writes them. Zip64 is
// read. Format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
#ifndef LOAM_IO_ZIP_H
#define LOAM_IO_ZIP_H

#include "base/file.h"

struct loam_zip_entry {
    const uint8_t *name; // in the mapped file, without a NUL
    size_t name_size;
    uint64_t header; // where the header of the entry begins
    uint64_t size;   // bytes of the contents
    bool stored;     // neither compressed nor encrypted
};

// A zeroed archive is empty. It uses the path and the map, which must outlive it.
struct loam_zip {
    const char *path;
    const struct loam_map *map;
    struct loam_zip_entry *entries; // sorted by name
    size_t count;
    const uint8_t *root; // the first name in the directory up to its first slash, without a NUL
    size_t root_size;
};

// Reads the directory of the archive. An archive in several files, and two entries of one name, are refused.
enum loam_status loam_zip_open(struct loam_zip *zip, const char *path, const struct loam_map *map,
                               struct loam_error *error);
void loam_zip_close(struct loam_zip *zip);

// Finds the contents of ROOT/NAME within the mapped file. `*data` is NULL if there is no such entry. Fails if
// the entry is compressed or leaves the file.
enum loam_status loam_zip_find(const struct loam_zip *zip, const char *name, size_t name_size,
                               const uint8_t **data, size_t *size, struct loam_error *error);

#endif
