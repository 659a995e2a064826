// Files compressed with gzip or zstd.
#ifndef LOAM_DATA_COMPRESSED_H
#define LOAM_DATA_COMPRESSED_H

#include "base/file.h"

enum loam_compression { LOAM_COMPRESSION_NONE, LOAM_COMPRESSION_GZIP, LOAM_COMPRESSION_ZSTD };

// The compression of a file by its first bytes.
enum loam_compression loam_compression_find(const uint8_t *data, size_t size);

// Unpacks `packed`, the contents of the file at `path`, into a temporary file without a name, and gives its
// descriptor and size. The file is in TMPDIR, or /tmp, and takes at most nine tenths of the room that is free
// there. Several members (gzip) or frames (zstd) are unpacked one after the other. A stream that is cut off
// or damaged, and bytes after it that are none, are refused with their offset.
enum loam_status loam_compressed_unpack(const struct loam_map *packed, enum loam_compression compression,
                                        const char *path, int *descriptor, size_t *size,
                                        struct loam_error *error);

#endif
