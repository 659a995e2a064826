// What the files of family rows share.
#ifndef LOAM_MODEL_FAMILY_PARTS_H
#define LOAM_MODEL_FAMILY_PARTS_H

#include "base/json.h"
#include "model/config_parts.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

// Without a list of kinds in config.json: gives the layers from `first` on the second kind of the family, and the
// others the first. Where `period` is above 1, every layer of that number keeps the first kind.
enum loam_status loam_config_fill_kinds(struct loam_config *config, const char *name, int64_t first,
                                        int64_t period, struct loam_error *error);

#endif
