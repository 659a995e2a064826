// The options of one command, as they are set one after the other.
#ifndef LOAM_OPTIONS_OPTIONS_H
#define LOAM_OPTIONS_OPTIONS_H

#include "options/option_table.h"

struct loam_option_origin {
    bool from_file; // the value comes from the file of --config
    char *replaced; // an earlier value on the command line; NULL: none
};

struct loam_options {
    enum loam_command command;
    struct loam_settings settings;      // strings belong to `texts`, items of lists to the lists
    char **texts;                       // [loam_option_row_count] values as given; NULL: not given
    struct loam_option_origin *origins; // [loam_option_row_count]
    bool config_read;                   // the file of --config has been read
    bool reading_file;                  // values that are set now come from the file of --config
};

// The row of an option by its name or alias, with hyphens or underscores; NULL: the command has no such
// option. `*negated`: `typed` is "no-" and the name of a switch.
const struct loam_option_row *loam_option_row_find(enum loam_command command, const char *typed,
                                                   bool *negated);
// The name that `typed` was probably meant to be; NULL: no name is near.
const char *loam_option_nearest(enum loam_command command, const char *typed);

// Whether the command has the row.
bool loam_option_row_of(enum loam_command command, const struct loam_option_row *row);

// Whether the option was given a value that has no effect together with the other options
// (options/option_needs.h).
bool loam_option_is_idle(const struct loam_options *options, const struct loam_option_row *row);
// Checks that the options fit together. A missing required option and a contradiction on the command line are
// LOAM_ERROR_USAGE. Warns about options without effect and about replaced values.
enum loam_status loam_options_check(const struct loam_options *options, const struct loam_log *log,
                                    struct loam_error *error);

#endif
