#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/status.h"

void loam_log_write(const struct loam_log *log, enum loam_log_level level, const char *format, ...)
{
    if (log == NULL || log->write == NULL) return;
    char line[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    loam_flatten(line);
    log->write(log->user, level, line);
}
