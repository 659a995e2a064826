// Sizes in bytes as text, in the notation of huggingface_hub.
#ifndef LOAM_OPTIONS_SIZE_H
#define LOAM_OPTIONS_SIZE_H

#include <stdbool.h>

#include "base/status.h"

// Reads decimal digits with at most one point, and moves `*text` behind them. Whether there are any; no sign, exponent or
// hexadecimal digits are.
bool loam_size_read_number(double *number, const char **text);

// Reads "5GB", "1.5 GiB", "300kb" or a number of bytes, of at least one byte. KB, MB, GB, TB are powers of
// 1000, KiB, MiB, GiB, TiB powers of 1024. `option` is the name of the option in messages.
enum loam_status loam_size_parse(size_t *bytes, const char *option, const char *text,
                                 struct loam_error *error);

#endif
