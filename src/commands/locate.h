// Finds models and adapters by name: turns names on the hub into directories of the cache.
#ifndef LOAM_COMMANDS_LOCATE_H
#define LOAM_COMMANDS_LOCATE_H

#include "options/settings.h"

// Settings with directories, and the strings that these settings point to.
struct loam_located {
    struct loam_settings settings; // a copy with a directory in place of each name
    char *model;
    char *model_name;
    char *model_revision;
    char *adapter;
    struct loam_adapter_choice *chosen; // [chosen_count] their directories
    size_t chosen_count;
    char *path;
};

// Leaves existing files and directories unchanged. Another value that is a repository's name is looked up in
// the cache, and downloaded if the cache does not have it. Without a model, uses the model that the adapter
// names.
enum loam_status loam_locate(struct loam_located *located, enum loam_command command,
                             const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                             struct loam_error *error);
void loam_located_deinit(struct loam_located *located);

#endif
