// Recognises data files that loam cannot read.
#ifndef LOAM_DATA_DATASET_SNIFF_H
#define LOAM_DATA_DATASET_SNIFF_H

#include "base/file.h"

// Refuses a compressed file, a table in another format and text that is not UTF-8, by their first bytes. The
// message has the command that converts the file.
enum loam_status loam_data_refuse_binary(const char *path, const struct loam_map *map,
                                         struct loam_error *error);

#endif
