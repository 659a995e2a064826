// Reporting failure: every function that can fail returns enum loam_status (loam.h) and fills a caller-owned
// error.
#ifndef LOAM_BASE_STATUS_H
#define LOAM_BASE_STATUS_H

#include <loam.h>

#define LOAM_PRINTF(format_index, first_index) __attribute__((format(printf, format_index, first_index)))

// Fills `error` (which may be NULL) with the formatted message and returns `status`, so that a failing
// function can end in `return loam_fail(error, ...)`. The message names the file, key or tensor, says what
// was expected and what to do; it has no trailing newline and no "error:" prefix.
enum loam_status loam_fail(struct loam_error *error, enum loam_status status, const char *format, ...)
    LOAM_PRINTF(3, 4);

// Puts "prefix: " in front of a message that a callee wrote (a file name, say) and returns the status it
// holds.
enum loam_status loam_fail_prefix(struct loam_error *error, const char *format, ...) LOAM_PRINTF(2, 3);

// Makes a message safe to print: names and values in it come from outside. What would break its line or act
// on a terminal becomes "?" (loam_make_printable). Error and log messages are all flattened.
void loam_flatten(char *text);

// Returns from the calling function when `expression` is not LOAM_OK. Only where nothing has to be released.
#define LOAM_TRY(expression)                                                                                 \
    do {                                                                                                     \
        enum loam_status try_status_ = (expression);                                                         \
        if (try_status_ != LOAM_OK) return try_status_;                                                      \
    } while (0)

#endif
