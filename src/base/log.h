// The library never prints: what it has to say goes through a callback that the caller owns (loam.h).
#ifndef LOAM_BASE_LOG_H
#define LOAM_BASE_LOG_H

#include "base/status.h"

// Formats one line (no newline) for `log`; a NULL `log` or callback is silent.
void loam_log_write(const struct loam_log *log, enum loam_log_level level, const char *format, ...)
    LOAM_PRINTF(3, 4);

#endif
