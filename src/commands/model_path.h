// Recognises values of --model and --adapter that are not such a directory.
#ifndef LOAM_COMMANDS_MODEL_PATH_H
#define LOAM_COMMANDS_MODEL_PATH_H

#include "options/settings.h"

// Refuses a URL, a file or an adapter with a message that has the value that was probably meant. Accepts a
// path that does not exist, which may be a name on the hub. `loam inspect` also accepts a config.json and an
// adapter, and `loam tokenize` an adapter with a tokenizer.
enum loam_status loam_model_path_check(const char *path, enum loam_command command, struct loam_error *error);
// Refuses a URL, a file or a model where an adapter is expected. `option` is "--adapter ", or empty for an argument
// without a name.
enum loam_status loam_adapter_path_check(const char *option, const char *path, struct loam_error *error);

#endif
