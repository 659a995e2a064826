// Sizes as people and huggingface_hub write them.
#ifndef LOAM_OPTIONS_SIZE_H
#define LOAM_OPTIONS_SIZE_H

#include "base/status.h"

// "5GB", "1.5 GiB", "300kb" or a number of bytes: KB, MB, GB, TB are powers of 1000, KiB, MiB, GiB, TiB of
// 1024. `option` is how messages call it. At least one byte.
enum loam_status loam_size_parse(size_t *bytes, const char *option, const char *text,
                                 struct loam_error *error);

#endif
