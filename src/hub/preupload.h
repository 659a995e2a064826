// A query to the hub before files are uploaded. The answer tells for each file whether it goes to git or to
// LFS, whether the repository ignores it, and the hash of the file that the repository holds under its name.
#ifndef LOAM_HUB_PREUPLOAD_H
#define LOAM_HUB_PREUPLOAD_H

#include "hub/folder.h"

// Writes the query about files [first, first + count) as JSON, with the first bytes of each file.
enum loam_status loam_preupload_format(struct loam_bytes *text, const struct loam_folder *folder,
                                       size_t first, size_t count, struct loam_error *error);
// Reads the answer into the files. LOAM_ERROR_FORMAT if it does not mention one of them.
enum loam_status loam_preupload_parse(struct loam_folder *folder, size_t first, size_t count,
                                      const char *text, size_t size, struct loam_error *error);

#endif
