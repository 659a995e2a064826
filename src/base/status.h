// Failures. A function that can fail returns enum loam_status (loam.h) and fills an error of its caller.
#ifndef LOAM_BASE_STATUS_H
#define LOAM_BASE_STATUS_H

#include <loam.h>

#define LOAM_PRINTF(format_index, first_index) __attribute__((format(printf, format_index, first_index)))

// Fills `error`, which may be NULL, with the formatted message and returns `status`, so that a failing
// function can end in `return loam_fail(error, ...)`. The message names the file, key or tensor, what was
// expected and what to do. It has no "error:" in front and no line break at its end.
enum loam_status loam_fail(struct loam_error *error, enum loam_status status, const char *format, ...)
    LOAM_PRINTF(3, 4);

// Puts "PREFIX: ", such as a file name, in front of the message and returns the error's status.
enum loam_status loam_fail_prefix(struct loam_error *error, const char *format, ...) LOAM_PRINTF(2, 3);

// The status of a failure that a called function has reported in `error`. Never LOAM_OK.
static inline enum loam_status loam_failure(const struct loam_error *error)
{
    return error->status != LOAM_OK ? error->status : LOAM_ERROR_INTERNAL;
}

// LOAM_ERROR_ARGUMENT where the pointer is NULL. `what` names it for the message.
enum loam_status loam_require(const void *pointer, const char *what, struct loam_error *error);

// The first statement of a function of loam.h: callers may pass NULL for `error`, functions of the library read
// the message and status of an earlier failure.
#define LOAM_ENSURE_ERROR(error)                                                                             \
    struct loam_error unread_ = {.status = LOAM_OK};                                                         \
    if ((error) == NULL) (error) = &unread_

// Makes a message safe to print as one line, because its names and values may come from outside. Line breaks,
// tabs and characters that act on a terminal (loam_make_printable) become "?". Every error and log message is
// flattened.
void loam_flatten(char *text);

// Returns from the calling function if `expression` is not LOAM_OK. Use it where nothing must be released.
#define LOAM_TRY(expression)                                                                                 \
    do {                                                                                                     \
        enum loam_status try_status_ = (expression);                                                         \
        if (try_status_ != LOAM_OK) return try_status_;                                                      \
    } while (0)

#endif
