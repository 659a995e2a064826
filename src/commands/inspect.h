// What `loam inspect` shows.
#ifndef LOAM_COMMANDS_INSPECT_H
#define LOAM_COMMANDS_INSPECT_H

#include <jansson.h>

#include "base/bytes.h"
#include "model/config.h"
#include "options/settings.h"

enum loam_status loam_inspect_model(const struct loam_settings *settings,
                                    const struct loam_callbacks *callbacks, struct loam_error *error);
enum loam_status loam_inspect_adapter(const struct loam_settings *settings,
                                      const struct loam_callbacks *callbacks, struct loam_error *error);
enum loam_status loam_inspect_families(const struct loam_settings *settings,
                                       const struct loam_callbacks *callbacks, struct loam_error *error);

// Appends a line for each trait of a family, or of a model where `config` is not NULL; adds them to an object.
enum loam_status loam_inspect_traits(struct loam_bytes *text, const struct loam_family *family,
                                     const struct loam_config *config, const char *indent,
                                     struct loam_error *error);
enum loam_status loam_inspect_traits_json(json_t **object, const struct loam_family *family,
                                          const struct loam_config *config, struct loam_error *error);

#endif
