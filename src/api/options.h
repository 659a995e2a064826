// A command's options while they are being set.
#ifndef LOAM_API_OPTIONS_H
#define LOAM_API_OPTIONS_H

#include "api/settings.h"

struct loam_options {
    enum loam_command command;
    struct loam_settings settings; // its strings belong to `texts`, its fields to `settings` itself
    char **texts;                  // [loam_option_row_count] the value as it was given; NULL: not given
};

// A required option that was not given is LOAM_ERROR_USAGE.
enum loam_status loam_options_check(const struct loam_options *options, struct loam_error *error);

#endif
