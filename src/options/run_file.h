// The options of a run as a YAML file: keys are names of options, values are as on the command line.
#ifndef LOAM_OPTIONS_RUN_FILE_H
#define LOAM_OPTIONS_RUN_FILE_H

#include "base/bytes.h"
#include "options/options.h"

// Sets the options in `text` that were not set before. Values of the others are checked too. After a failure
// the options can only be destroyed. `name` is the name of the file in messages.
enum loam_status loam_run_file_parse(struct loam_options *options, const char *text, size_t size,
                                     const char *name, struct loam_error *error);
enum loam_status loam_run_file_load(struct loam_options *options, const char *path, struct loam_error *error);

// Appends every option of the run with its value, and options without a value as comments. Options of a
// single call are left out (`of_call` in struct loam_option_row). Relative paths become absolute, so that
// the file means the same in every directory.
enum loam_status loam_run_file_write(const struct loam_options *options, struct loam_bytes *text,
                                     struct loam_error *error);
// As loam_run_file_write for a run that has begun, with the values that it chose in place of the comments.
enum loam_status loam_run_file_write_resolved(const struct loam_options *options,
                                              const struct loam_train_resolved *resolved,
                                              struct loam_bytes *text, struct loam_error *error);

#endif
