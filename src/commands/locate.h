// Models and adapters by name: the directory that a command gets may be one of the hub's cache.
#ifndef LOAM_COMMANDS_LOCATE_H
#define LOAM_COMMANDS_LOCATE_H

#include "options/settings.h"

// What was found, and the settings that say so.
struct loam_located {
    struct loam_settings settings; // a copy, in which every name has become a directory
    char *model;
    char *model_name;
    char *model_revision;
    char *adapter;
    char *path;
};

// An existing file or directory stays what it is. Anything else that is a repository's name is looked up in
// the cache and downloaded when it is not there; an adapter without a model brings the model that it names.
enum loam_status loam_locate(struct loam_located *located, enum loam_command command,
                             const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                             struct loam_error *error);
void loam_located_deinit(struct loam_located *located);

#endif
