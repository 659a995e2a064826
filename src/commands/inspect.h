// The two kinds of directories that `loam inspect` shows.
#ifndef LOAM_COMMANDS_INSPECT_H
#define LOAM_COMMANDS_INSPECT_H

#include "options/settings.h"

enum loam_status loam_inspect_model(const struct loam_settings *settings,
                                    const struct loam_callbacks *callbacks, struct loam_error *error);
enum loam_status loam_inspect_adapter(const struct loam_settings *settings,
                                      const struct loam_callbacks *callbacks, struct loam_error *error);

#endif
