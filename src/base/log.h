// Log lines. The library never prints; it passes each line to a callback of the caller (loam.h).
#ifndef LOAM_BASE_LOG_H
#define LOAM_BASE_LOG_H

#include "base/status.h"

// Passes one formatted line, without a line break, to `log`. Does nothing if `log` or its callback is NULL.
void loam_log_write(const struct loam_log *log, enum loam_log_level level, const char *format, ...)
    LOAM_PRINTF(3, 4);

#endif
