// The options of a run as a YAML file: keys are the options' names, values what would stand on the command
// line.
#ifndef LOAM_OPTIONS_RUN_FILE_H
#define LOAM_OPTIONS_RUN_FILE_H

#include "base/bytes.h"
#include "options/options.h"

// Sets what `text` says and was not set before. Every value is checked, also one that does not count. After a
// failure the options are good for nothing but to be destroyed. `name` is the file's, for messages.
enum loam_status loam_run_file_parse(struct loam_options *options, const char *text, size_t size,
                                     const char *name, struct loam_error *error);
enum loam_status loam_run_file_load(struct loam_options *options, const char *path, struct loam_error *error);

// Appends the whole run: every option with its value, and as a comment what has none. What is about one call
// alone is left out (struct loam_option_row). Paths are made absolute, so that the file says the same
// wherever it is read.
enum loam_status loam_run_file_write(const struct loam_options *options, struct loam_bytes *text,
                                     struct loam_error *error);
// The same of a run that has begun, with what it chose in the place of those comments.
enum loam_status loam_run_file_write_resolved(const struct loam_options *options,
                                              const struct loam_train_resolved *resolved,
                                              struct loam_bytes *text, struct loam_error *error);

#endif
