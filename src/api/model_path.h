// What stands in the place of a model's or an adapter's directory by mistake.
#ifndef LOAM_API_MODEL_PATH_H
#define LOAM_API_MODEL_PATH_H

#include "api/settings.h"

// Refuses what can be no model, with what was meant: an empty name, a URL, a file, an adapter. What is not
// there is left to those who look for it elsewhere. `loam inspect` describes a config.json and an adapter
// too, and `loam tokenize` takes the tokenizer that is beside an adapter.
enum loam_status loam_model_path_check(const char *path, enum loam_command command, struct loam_error *error);

// The same for --adapter: a URL, a file, a model.
enum loam_status loam_adapter_path_check(const char *path, struct loam_error *error);

#endif
