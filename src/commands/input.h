// Reads a command's input: a file, or what the input callback gives.
#ifndef LOAM_COMMANDS_INPUT_H
#define LOAM_COMMANDS_INPUT_H

#include "base/bytes.h"

// Appends the file at `path`, or all input where the path is "-", to `text`, whose data is not NULL afterwards. More than
// a GiB is refused. `command` is for messages.
enum loam_status loam_input_read(const struct loam_callbacks *callbacks, const char *command,
                                 const char *path, struct loam_bytes *text, struct loam_error *error);

#endif
