// What stands in the place of a model's or an adapter's directory by mistake.
#ifndef LOAM_COMMANDS_MODEL_PATH_H
#define LOAM_COMMANDS_MODEL_PATH_H

#include "options/settings.h"

// Refuses an empty name, a URL, a file or an adapter, and names what was probably meant. A path that does not
// exist passes: it may be a name on the hub. `loam inspect` also accepts a config.json and an adapter, and
// `loam tokenize` an adapter with a tokenizer beside it.
enum loam_status loam_model_path_check(const char *path, enum loam_command command, struct loam_error *error);
// The same for an adapter: a URL, a file, a model.
enum loam_status loam_adapter_path_check(const char *path, struct loam_error *error);

// The same for --adapter: a URL, a file, a model.
enum loam_status loam_adapter_path_check(const char *path, struct loam_error *error);

#endif
