// Recognises data files that are not text that loam reads.
#ifndef LOAM_DATA_DATASET_SNIFF_H
#define LOAM_DATA_DATASET_SNIFF_H

#include "base/file.h"

// Refuses, by its first bytes, a file that is compressed, a table in another format, or text that is not
// UTF-8, and names the command that converts it.
enum loam_status loam_data_refuse_binary(const char *path, const struct loam_map *map,
                                         struct loam_error *error);

#endif
