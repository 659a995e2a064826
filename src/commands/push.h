// Pushes a directory to the hub, for `loam push` and at the end of a training run.
#ifndef LOAM_COMMANDS_PUSH_H
#define LOAM_COMMANDS_PUSH_H

#include "hub/push.h"
#include "options/settings.h"

// Checks what can be checked without the network before a push to `repository`.
enum loam_status loam_push_check(const char *repository, struct loam_error *error);
enum loam_status loam_push_directory(const struct loam_hub_options *options, const char *directory,
                                     const char *repository, const struct loam_callbacks *callbacks,
                                     struct loam_pushed *pushed, struct loam_error *error);

#endif
