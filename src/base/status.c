#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void loam_flatten(char *text)
{
    text[loam_make_printable(text, strlen(text))] = '\0';
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\n' || *c == '\t') *c = '?';
}

// The name is in parentheses because scripts/analysis/analysis.h defines a macro of the same name.
enum loam_status(loam_fail)(struct loam_error *error, enum loam_status status, const char *format, ...)
{
    if (error == NULL) return status;
    // Formatted into a copy, because the arguments may be parts of the old message.
    char message[sizeof error->message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    loam_flatten(message);
    memcpy(error->message, message, sizeof message);
    error->status = status;
    return status;
}

enum loam_status loam_require(const void *pointer, const char *what, struct loam_error *error)
{
    if (pointer != NULL) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT, "%s is NULL, and must not be", what);
}

enum loam_status loam_fail_prefix(struct loam_error *error, const char *format, ...)
{
    if (error == NULL) return LOAM_ERROR_INTERNAL;
    char message[2 * sizeof error->message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof error->message, format, arguments);
    va_end(arguments);
    size_t used = strlen(message);
    snprintf(message + used, sizeof message - used, ": %s", error->message);
    message[sizeof error->message - 1] = '\0';
    loam_flatten(message);
    memcpy(error->message, message, sizeof error->message);
    return error->status;
}
