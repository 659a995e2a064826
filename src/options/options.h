// A command's options while they are being set.
#ifndef LOAM_OPTIONS_OPTIONS_H
#define LOAM_OPTIONS_OPTIONS_H

#include "options/option_table.h"

// Where a value comes from.
struct loam_option_origin {
    bool from_file; // of --config
    char *replaced; // the earlier value, which a later one replaced; NULL: none
};

struct loam_options {
    enum loam_command command;
    struct loam_settings settings;      // strings belong to `texts`, items of lists to the lists
    char **texts;                       // [loam_option_row_count] the value as it was given; NULL: not given
    struct loam_option_origin *origins; // [loam_option_row_count]
    bool config_read;                   // the file of --config was read
    bool reading_file;                  // what is set now comes from it
};

// The row of an option by a name that loam_options_set takes; NULL: the command has none. `*negated`: it was
// called "no-" and its name.
const struct loam_option_row *loam_option_row_find(enum loam_command command, const char *typed,
                                                   bool *negated);
// The name that `typed` was probably meant to be; NULL: nothing is near.
const char *loam_option_nearest(enum loam_command command, const char *typed);

// Whether the command has the row.
bool loam_option_row_of(enum loam_command command, const struct loam_option_row *row);

// Whether the option was given a value that has no effect beside the other options (options/option_needs.h).
bool loam_option_is_idle(const struct loam_options *options, const struct loam_option_row *row);
// Whether the options fit together. A required one that was not given, and a contradiction on the command
// line, is LOAM_ERROR_USAGE. Warns about options without effect and about replaced values.
enum loam_status loam_options_check(const struct loam_options *options, const struct loam_log *log,
                                    struct loam_error *error);

#endif
