// The hub's word on files that are to come: which it wants in git itself and which in LFS, which it ignores,
// and what it has under their names.
#ifndef LOAM_HUB_PREUPLOAD_H
#define LOAM_HUB_PREUPLOAD_H

#include "hub/folder.h"

// The question about files [first, first + count): JSON, with the first bytes of each.
enum loam_status loam_preupload_format(struct loam_bytes *text, const struct loam_folder *folder,
                                       size_t first, size_t count, struct loam_error *error);
// The answer, taken into the files. One that leaves a file of the question out is LOAM_ERROR_FORMAT.
enum loam_status loam_preupload_parse(struct loam_folder *folder, size_t first, size_t count,
                                      const char *text, size_t size, struct loam_error *error);

#endif
