// A command's options while they are being set.
#ifndef LOAM_API_OPTIONS_H
#define LOAM_API_OPTIONS_H

#include "api/option_table.h"

struct loam_options {
    enum loam_command command;
    struct loam_settings settings; // its strings belong to `texts`, its fields to `settings` itself
    char **texts;                  // [loam_option_row_count] the value as it was given; NULL: not given
    bool config_read;              // the file of --config was read
};

// The row of an option by a name that loam_options_set takes; NULL: the command has none. `*negated`: it was
// called "no-" and its name.
const struct loam_option_row *loam_option_row_find(enum loam_command command, const char *typed,
                                                   bool *negated);
// The name that `typed` was probably meant to be; NULL: nothing is near.
const char *loam_option_nearest(enum loam_command command, const char *typed);

// A required option that was not given is LOAM_ERROR_USAGE.
enum loam_status loam_options_check(const struct loam_options *options, struct loam_error *error);

#endif
